/** Counted events -> billed units -> money. Cloudflare's list prices of the paid plan, before what the plan includes; one table, dated. */
import type { CostLine, Counts } from "../../protocol/usage.ts";

/** Millionths of a dollar for one unit: a price "per million" is that number. */
export const PRICES = {
  checked: "2026-11",
  source: "https://developers.cloudflare.com/durable-objects/platform/pricing/",
  /** HTTP requests, RPC calls and alarms; WebSocket messages that come in count a twentieth; those that go out, protocol pings and auto-responses nothing. */
  objectRequest: 0.15,
  /** An object is billed as 128 MB while it is awake. */
  gbSecond: 12.5,
  /** In a Durable Object or D1; D1 counts each index as one more row. */
  rowWritten: 1,
  workerRequest: 0.3,
  /** SQLite of Durable Objects, one GB for a month. */
  storedGbMonth: 200_000,
} as const;

export const MESSAGES_PER_REQUEST = 20;
const GB_OF_AN_OBJECT = 0.128;
const BYTES_OF_A_GB = 1_000_000_000;

/** What the platform bills for counted events. */
export interface BilledUnits {
  readonly objectRequests: number;
  readonly gbSeconds: number;
  readonly rowsWritten: number;
  readonly workerRequests: number;
}

/** @returns units as they stand on the bill; parts of a request stay parts, because a month is summed up before it is rounded */
export function billedUnits(counts: Counts): BilledUnits {
  const { exchanges, upgrades, doorRequests, calls, alarms } = counts;
  const requests = exchanges + upgrades + doorRequests + calls;
  return {
    objectRequests: requests + alarms + (counts.messages + counts.controls) / MESSAGES_PER_REQUEST,
    gbSeconds: ((counts.awakeMs + counts.otherAwakeMs) / 1000) * GB_OF_AN_OBJECT,
    rowsWritten: counts.rowsWritten,
    // Each came through the Worker, or stands for a request of the dashboard that did.
    workerRequests: requests,
  };
}

/** @param storedBytes of the room's database, billed as if it had been so large all month @returns one line for each meter of the bill */
export function costLines(counts: Counts, storedBytes: number): CostLine[] {
  const { objectRequests, gbSeconds, rowsWritten, workerRequests } = billedUnits(counts);
  return [
    { meter: "object-requests", units: objectRequests, microUsd: objectRequests * PRICES.objectRequest },
    { meter: "object-duration", units: gbSeconds, microUsd: gbSeconds * PRICES.gbSecond },
    { meter: "rows-written", units: rowsWritten, microUsd: rowsWritten * PRICES.rowWritten },
    { meter: "worker-requests", units: workerRequests, microUsd: workerRequests * PRICES.workerRequest },
    { meter: "stored", units: storedBytes, microUsd: (storedBytes / BYTES_OF_A_GB) * PRICES.storedGbMonth },
  ];
}

/** @returns the same lines with whole millionths of a dollar, each rounded up, as an API shows them */
export function wholeLines(lines: readonly CostLine[]): CostLine[] {
  return lines.map((line) => ({ ...line, microUsd: Math.ceil(line.microUsd) }));
}

/** @returns millionths of a dollar */
export function sumOf(lines: readonly CostLine[]): number {
  return lines.reduce((sum, line) => sum + line.microUsd, 0);
}
