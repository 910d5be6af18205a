/** What ends by time alone: nonces, silent requests, sessions, grants that nobody activated. Called by the alarm, as often and as late as it likes. */
import { REQUEST_SILENCE_MS } from "../../protocol/limits.ts";
import type { Admission } from "./context.ts";
import { dropEndedBlocks } from "./devices/blocks.ts";
import { dropEnded } from "./devices/new-device-alerts.ts";
import { endLapsed } from "./pairing/activation-expiry.ts";
import { endRequest, requestLastSeenMs } from "./pairing/requests.ts";
import type { RequestRow, SessionRow } from "./storage/rows.ts";

/** Ends what is over. @returns the next time, in ms, that something will be over, or null */
export function sweep(admission: Admission, nowMs: number): number | null {
  const { storage } = admission;
  storage.dropOldNonces(nowMs);
  let next: number | null = storage.lastNonceMs();
  const later = (atMs: number): void => {
    next = next === null ? atMs : Math.min(next, atMs);
  };
  for (const row of storage.all<RequestRow>("requests")) {
    const endsAtMs = requestLastSeenMs(admission, row) + REQUEST_SILENCE_MS;
    if (endsAtMs <= nowMs) endRequest(admission, row, "expired", { type: "ended", why: "expired" });
    else later(endsAtMs);
  }
  for (const atMs of [endLapsed(admission, nowMs), dropEnded(admission, nowMs), dropEndedBlocks(admission, nowMs)])
    if (atMs !== null) later(atMs);
  for (const row of storage.all<SessionRow>("sessions")) if (row.expiresAtMs <= nowMs) storage.delete("sessions", row.id);
  return next;
}
