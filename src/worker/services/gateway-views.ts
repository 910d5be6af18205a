/** Gateways as the dashboard sees them: D1's row joined with what the room knows now. */
import type { Device, Gateway } from "../../protocol/api.ts";
import type { Config } from "../config.ts";
import { insertGateway } from "../db/gateway-queries.ts";
import type { GatewayRow } from "../db/gateway-queries.ts";
import type { Env } from "../env.ts";
import { workerFailures } from "../failures.ts";
import { mintGatewayId } from "../auth/gateway-id.ts";
import { roomOf } from "../objects.ts";
import type { RoomSnapshot } from "../room/rpc.ts";

/** Makes a gateway that no machine belongs to yet. Its room is made when a connector confirms, near that connector. @returns D1's row */
export async function createGateway(env: Env, account: string, name: string): Promise<GatewayRow> {
  const id = await mintGatewayId(env, crypto.getRandomValues(new Uint8Array(10)));
  const row = { id, accountId: account, name, createdAtMs: Date.now(), claimedAtMs: null };
  await insertGateway(env.DB, row);
  return row;
}

/**
 * One gateway as this account sees it.
 *
 * @param row what D1 says of it; the room says who sees it, and its word counts
 * @returns the view, its devices and those that are blocked; null for an account that is nobody there. A room that does not answer shows, as without link, to the
 * account in D1's row alone
 */
export async function viewGateway(
  env: Env,
  config: Config,
  row: GatewayRow,
  account: string,
): Promise<{ gateway: Gateway; devices: readonly Device[]; drift: RoomSnapshot["drift"]; blocked: RoomSnapshot["blocked"] } | null> {
  let snapshot: RoomSnapshot | null = null;
  try {
    const result = row.claimedAtMs === null ? null : await roomOf(env, row.id).snapshot({ account });
    if (result?.ok === true) snapshot = result.value;
  } catch (error) {
    // Shown as `no-link` below.
    workerFailures(env)("room-view", error);
  }
  if (snapshot === null && row.accountId !== account) return null;
  const devices = snapshot?.devices ?? [];
  const gateway = {
    id: row.id,
    name: snapshot?.name ?? row.name,
    origin: config.gatewayOrigin(row.id),
    state: snapshot?.state ?? (row.claimedAtMs === null ? "unclaimed" : "no-link"),
    reason: snapshot?.report?.reason ?? null,
    settings: snapshot?.settings ?? null,
    openclawVersion: snapshot?.report?.version ?? null,
    connectorVersion: snapshot?.connectorVersion ?? null,
    clockAheadMs: snapshot?.report?.clockAheadMs ?? null,
    machineFaults: snapshot?.report?.machine ?? [],
    demo: snapshot?.report?.demo ?? false,
    alarm: snapshot?.alarm ?? null,
    copyWaiting: snapshot?.copyWaiting ?? false,
    lastSeenMs: snapshot?.lastSeenMs ?? null,
    linkSinceMs: snapshot?.linkSinceMs ?? null,
    lastBreak: snapshot?.lastBreak ?? null,
    deviceCount: devices.filter((device) => device.state === "allowed" || device.state === "waiting").length,
    waitingCount: snapshot?.waitingCount ?? 0,
    personsWaiting: snapshot?.personsWaiting ?? 0,
    createdAtMs: row.createdAtMs,
    role: snapshot?.role ?? ("owner" as const),
    isOwn: snapshot?.isOwn ?? true,
  };
  return { gateway, devices, drift: snapshot?.drift ?? null, blocked: snapshot?.blocked ?? [] };
}
