/** Devices and grants as D1 hears of them; the room's own rows are the truth. */
import type { OutboxEvent } from "../../db/room-writes.ts";
import type { DeviceRow, GrantRow } from "./rows.ts";

/** @returns the device and, while it has one, its token's state */
export function deviceEvents(gatewayId: string, row: DeviceRow): OutboxEvent[] {
  const { id, name, platform, browser, state, access, notAfterMs, createdAtMs, lastSeenMs } = row;
  const publicKey = JSON.stringify(row.key);
  const device = { gatewayId, id, publicKey, name, platform, browser, state, access, notAfterMs, createdAtMs, lastSeenMs };
  if (row.token === null) return [{ kind: "device", row: device }];
  const { current, previous, rotatedAtMs, isFrozen } = row.token;
  const token = { gatewayId, deviceId: id, currentMac: current, previousMac: previous, rotatedAtMs, isFrozen };
  return [
    { kind: "device", row: device },
    { kind: "token", row: token },
  ];
}

/** @param times when it was given and until when it holds, in ms; D1 keeps what it heard first */
export function grantEvent(
  gatewayId: string,
  row: GrantRow,
  times: { readonly issuedAtMs: number; readonly notAfterMs: number },
): OutboxEvent {
  const { id, device, signed, state } = row;
  const signature = JSON.stringify({ list: signed.list, assertion: signed.assertion });
  return { kind: "grant", row: { id, gatewayId, deviceId: device, statement: signed.statement, signature, state, ...times } };
}
