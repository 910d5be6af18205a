/** When a connector dials again (PROTOCOL.md LINK6). Pure: clock and randomness are arguments. */
import { RECONNECT_MAX_MS, RECONNECT_MIN_MS, RECONNECT_QUICK_AFTER_MS, RECONNECT_RESET_AFTER_MS } from "../../protocol/limits.ts";

export interface Lost {
  /** From when on this connector counts as away: links that did not last move it later. Null when the last one was healthy. */
  readonly sinceMs: number | null;
  /** How long the link that ended was up; 0 when a dial failed. */
  readonly upForMs: number;
  readonly nowMs: number;
  /** The other side asks to be left alone for at least this long (`Retry-After`). */
  readonly atLeastMs?: number;
  /** The link ended without a close of the room: the network broke, not the room. */
  readonly isBroken?: boolean;
}

/**
 * Full jitter over a window of half the time that the link has been away, so that whoever was cut off together comes back evenly spread over that
 * window, however long the room was gone: a window that doubles with each try instead leaves a few far behind and lets the others arrive at once.
 *
 * @param random 0 inclusive to 1 exclusive
 * @returns wait in milliseconds, and `sinceMs` for next time
 */
export function nextDial(lost: Lost, random: number): { readonly waitMs: number; readonly sinceMs: number } {
  const { sinceMs, upForMs, nowMs, atLeastMs = 0, isBroken = false } = lost;
  // A clock that was set back would otherwise shorten the window for as long as it was wrong.
  const isNew = sinceMs === null || upForMs >= RECONNECT_RESET_AFTER_MS || sinceMs > nowMs;
  // Time with a link is not time away, also when that link did not last.
  const start = isNew ? nowMs : Math.min(nowMs, sinceMs + upForMs);
  // The first try after a network's loss is spread over the shortest window; the ones after it over the time away, as ever.
  const awayMs = isBroken && upForMs >= RECONNECT_QUICK_AFTER_MS ? 0 : nowMs - start;
  const windowMs = Math.min(RECONNECT_MAX_MS, Math.max(RECONNECT_MIN_MS, awayMs / 2));
  return { waitMs: Math.min(RECONNECT_MAX_MS, Math.max(0, atLeastMs)) + Math.floor(random * windowMs), sinceMs: start };
}

/** @param header `Retry-After` of an answer, in seconds @returns the same in ms, 0 when there is none or it is a date */
export function retryAfterMs(header: string | undefined): number {
  return /^\d{1,6}$/.test(header ?? "") ? Number(header) * 1_000 : 0;
}
