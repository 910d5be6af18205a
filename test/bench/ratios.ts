/** What the regression gate holds Gatehouse to: ratios to a minimal mux object of the same run, each about twice as bad as what is measured. */

export interface Limit {
  readonly scenario: string;
  readonly column: string;
  /** Worst median of the rounds' ratios that passes. */
  readonly limit: number;
  readonly isMoreBetter: boolean;
}

export const LIMITS: readonly Limit[] = [
  // Time tells what waits, CPU what is done too often; the second hardly depends on what else the machine does.
  { scenario: "round-trip", column: "p50 ms", limit: 2.5, isMoreBetter: false },
  { scenario: "round-trip", column: "relay CPU µs", limit: 2.5, isMoreBetter: false },
  { scenario: "round-trip", column: "connector CPU µs", limit: 3, isMoreBetter: false },
  { scenario: "64 KiB frames", column: "MB/s each way", limit: 0.5, isMoreBetter: true },
  { scenario: "64 KiB frames", column: "relay CPU µs", limit: 2, isMoreBetter: false },
  { scenario: "64 KiB frames", column: "connector CPU µs", limit: 2, isMoreBetter: false },
];

/** @returns the middle value, between two the mean of them; NaN of none */
export function median(values: readonly number[]): number {
  const sorted = [...values].toSorted((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2;
}

/** @returns the median of the rounds, and whether it is within the limit; no rounds are not */
export function judge(ratios: readonly number[], { limit, isMoreBetter }: Limit): { readonly median: number; readonly isWithin: boolean } {
  const middle = median(ratios);
  return { median: middle, isWithin: isMoreBetter ? middle >= limit : middle <= limit };
}
