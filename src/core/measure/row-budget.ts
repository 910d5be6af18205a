/** How many rows a gateway's own machine may cause: a burst, then one a minute. Kept with the rows, so that no sleep forgets it. Pure. */
import { MACHINE_ROWS } from "../../protocol/limits.ts";

export interface RowBudget {
  readonly tokens: number;
  readonly atMs: number;
}

/**
 * Takes one row from the budget.
 *
 * @param kept what the last row left; null before the first. A clock that steps back brings nothing
 * @returns what to keep with this row, or null: it has no place
 */
export function takeRow(kept: RowBudget | null, nowMs: number): RowBudget | null {
  const { perSecond, burst } = MACHINE_ROWS;
  const tokens = kept === null ? burst : Math.min(burst, kept.tokens + (Math.max(0, nowMs - kept.atMs) * perSecond) / 1000);
  return tokens < 1 ? null : { tokens: tokens - 1, atMs: nowMs };
}
