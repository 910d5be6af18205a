/** Devices that wait for a decision: their cards, their signs of life, their end (PROTOCOL.md RQ). */
import type { WaitingCard } from "../../../protocol/api.ts";
import type { ToDoor } from "../../../protocol/door-messages.ts";
import { REQUEST_SILENCE_MS } from "../../../protocol/limits.ts";
import type { OutboxEvent } from "../../db/room-writes.ts";
import type { Admission } from "../context.ts";
import { byWhom } from "../roles.ts";
import type { Who } from "../roles.ts";
import type { DecidedRow } from "../storage/member-rows.ts";
import type { RoomStorage } from "../storage/storage.ts";
import type { RequestRow } from "../storage/rows.ts";

const DECIDED_MS = 24 * 3_600_000;

type Outcome = Extract<OutboxEvent, { kind: "request" }>["row"]["outcome"];

/** Ends a request in one transaction and tells its page and the inbox. */
export function endRequest(admission: Admission, row: RequestRow, outcome: Outcome, tell: ToDoor, who: Who | null = null): void {
  const { storage, outbox, notices } = admission;
  const { gateway } = admission.mustMeta();
  const decidedAtMs = admission.options.now();
  storage.transaction(() => {
    storage.delete("requests", row.id);
    outbox.add({
      kind: "request",
      row: { id: row.id, gatewayId: gateway, deviceId: row.device, outcome, createdAtMs: row.createdAtMs, decidedAtMs },
    });
    const isDecided = outcome === "allowed" || outcome === "denied";
    if (isDecided) rememberDecision(storage, { id: row.id, outcome, atMs: decidedAtMs });
    admission.audit(isDecided ? (who?.role ?? "owner") : "device", `request-${outcome}`, row.device, byWhom(who));
  });
  notices.device(row.device, tell);
  admission.relay.setWaiting(admission.isAnybodyWaiting());
  void notices.inboxes("decide", (inbox) => inbox.drop({ gateway, request: row.id }));
}

/** For whoever opens the same card later: kept for a day. */
function rememberDecision(storage: RoomStorage, row: DecidedRow): void {
  for (const old of storage.all<DecidedRow>("decided")) if (old.atMs < row.atMs - DECIDED_MS) storage.delete("decided", old.id);
  storage.put("decided", row.id, row);
}

/** @returns what somebody decided about a request that is over, or null */
export function decisionOf(storage: RoomStorage, request: string): DecidedRow["outcome"] | null {
  return storage.get<DecidedRow>("decided", request)?.outcome ?? null;
}

/** @returns the card as the owner's inbox shows it */
export function cardOf(admission: Admission, row: RequestRow): WaitingCard {
  const meta = admission.mustMeta();
  return {
    id: row.id,
    gateway: meta.gateway,
    gatewayName: meta.name,
    gatewayState: admission.state(),
    device: row.device,
    requestedAccess: row.access,
    claims: row.claims,
    observed: { address: row.address, country: row.country },
    createdAtMs: row.createdAtMs,
    lastSeenMs: row.lastSeenMs,
    expiresAtMs: row.lastSeenMs + REQUEST_SILENCE_MS,
  };
}

/** Puts the card into the inbox, or replaces it there. */
export function showCard(admission: Admission, row: RequestRow): void {
  admission.relay.setWaiting(true);
  void admission.notices.inboxes("decide", (inbox) => inbox.put(cardOf(admission, row)));
}

/** Last sign of life of a request's page, in ms: its open socket's latest heartbeat, or when it closed. */
export function requestLastSeenMs(admission: Admission, row: RequestRow): number {
  let last = row.lastSeenMs;
  for (const ws of admission.notices.waitingPages(row.device)) {
    last = Math.max(last, admission.options.ctx.getWebSocketAutoResponseTimestamp(ws)?.getTime() ?? 0);
  }
  return last;
}
