/** When a connector dials again (PROTOCOL.md LINK6): full jitter, as AWS's "Exponential Backoff and Jitter" names it. */
import { RECONNECT_MAX_MS, RECONNECT_MIN_MS, RECONNECT_RESET_AFTER_MS } from "../protocol/limits.ts";

/**
 * @param failures links that ended or failed in a row, 0 for the first
 * @param upForMs how long the last link was up; a minute of health starts the count again
 * @param random 0 inclusive to 1 exclusive
 * @returns wait in milliseconds, and the count for next time
 */
export function nextDial(failures: number, upForMs: number, random: number): { readonly waitMs: number; readonly failures: number } {
  const count = upForMs >= RECONNECT_RESET_AFTER_MS ? 0 : failures;
  const ceiling = Math.min(RECONNECT_MAX_MS, RECONNECT_MIN_MS * 2 ** Math.min(count, 20));
  return { waitMs: Math.floor(random * ceiling), failures: count + 1 };
}
