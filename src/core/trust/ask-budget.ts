/** How many new pairing requests a gateway takes within an hour: what strangers ask, withdraw and ask again must not fill the owner's history. */
import { MAX_NEW_REQUESTS_PER_ADDRESS, MAX_NEW_REQUESTS_PER_GATEWAY, NEW_REQUESTS_MS } from "../../protocol/limits.ts";

/** One request that was made; coming back to it with the same key makes none. */
export interface AskMade {
  readonly atMs: number;
  /** Address, or /64, it came from (`addressGroup`). */
  readonly group: string;
}

/**
 * Takes one new request from the budget.
 *
 * @param made what was kept the last time, oldest first
 * @param group where the new one comes from
 * @returns what to keep now, never more than the gateway's budget; or null when one more is too many
 */
export function withNewAsk(made: readonly AskMade[], group: string, nowMs: number): readonly AskMade[] | null {
  const recent = made.filter((each) => nowMs - each.atMs < NEW_REQUESTS_MS);
  const own = recent.filter((each) => each.group === group).length;
  if (recent.length >= MAX_NEW_REQUESTS_PER_GATEWAY || own >= MAX_NEW_REQUESTS_PER_ADDRESS) return null;
  return [...recent, { atMs: nowMs, group }];
}
