/** Sums of money and bytes, and the day's budget, for people. */
import type { BudgetNotice } from "../protocol/api.ts";
import type { CostLine } from "../protocol/usage.ts";

/** @returns one line about a budget that is nearly or wholly used up */
export function budgetText({ gatewayName, state }: Pick<BudgetNotice, "gatewayName" | "state">): string {
  return state === "budget-warned"
    ? `“${gatewayName}” has used more than four fifths of its budget of today.`
    : `“${gatewayName}” has used up its budget of today: only your own devices connect until 00:00 UTC, or until you raise it.`;
}

export const COST_METER: Readonly<Record<CostLine["meter"], string>> = {
  "object-requests": "Room requests",
  "object-duration": "Room awake, GB-seconds",
  "rows-written": "Rows written",
  "worker-requests": "Worker requests",
  stored: "Stored, bytes",
};

/** @param microUsd millionths of a dollar @returns `$0.0012`: as many digits as small sums need, never more than nothing for nothing */
export function money(microUsd: number): string {
  const dollars = microUsd / 1_000_000;
  if (dollars === 0) return "$0";
  if (dollars < 0.0001) return "less than $0.0001";
  return `$${dollars.toFixed(dollars < 0.1 ? 4 : 2)}`;
}

/** @returns `1.5 MB`: powers of ten, as the platform counts */
export function byteCount(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [value, at] = [bytes, 0];
  while (value >= 1000 && at < units.length - 1) [value, at] = [value / 1000, at + 1];
  return `${value.toLocaleString("en", { maximumFractionDigits: value < 10 && at > 0 ? 1 : 0 })} ${units[at] ?? ""}`;
}
