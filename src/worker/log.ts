/** The only place that writes logs and metrics, and only these fields: no addresses, tokens, codes, names or request objects (security.md 14). */

export interface RequestEntry {
  readonly event: "request";
  /** Route template, never the path. */
  readonly route: string;
  readonly status: number;
  /** Until the answer's head was there. */
  readonly ms: number;
  /** Code of the answer: `ok`, one of the API's errors, or what became of a visitor's request. */
  readonly decision: string;
  /** Eight characters of an HMAC of the id. */
  readonly gateway?: string;
  readonly account?: string;
  /** Of an error that nobody expected: its code, or its class (failure-code.ts). */
  readonly code?: string;
}

/** What failed outside of a request's own line. */
export interface FailureEntry {
  readonly event: "failure";
  readonly place: string;
  readonly code: string;
  /** How often until now: the 1st, 10th, 100th have a line. */
  readonly times: number;
  readonly version: string;
  readonly gateway?: string;
}

export type LogEntry = RequestEntry | FailureEntry;

export function log(entry: LogEntry): void {
  if (entry.event === "failure") {
    const { event, place, code, times, version, gateway } = entry;
    return console.log(JSON.stringify({ event, place, code, times, version, gateway }));
  }
  const { event, route, status, ms, decision, gateway, account, code } = entry;
  console.log(JSON.stringify({ event, route, status, ms, decision, gateway, account, code }));
}

/** One point of the metrics. What each place means is in the README, "Seeing it". */
export interface Point {
  readonly index: string;
  readonly blobs: readonly string[];
  readonly doubles: readonly number[];
}

/** What a binding of Analytics Engine does. */
interface Dataset {
  writeDataPoint(point: { indexes: string[]; blobs: string[]; doubles: number[] }): void;
}

/** What the platform refuses (Analytics Engine, limits): more of these, or longer ones. */
const MAX_VALUES = 20;
const MAX_INDEX_BYTES = 96;
const MAX_BLOB_CHARS = 200;

function cutToBytes(text: string, bytes: number): string {
  let cut = text.slice(0, bytes);
  while (new TextEncoder().encode(cut).byteLength > bytes) cut = cut.slice(0, -1);
  return cut;
}

/** Writes one point when a dataset is bound. Whatever becomes of it, the request goes on. */
export function count(dataset: Dataset | undefined, { index, blobs, doubles }: Point): void {
  if (dataset === undefined) return;
  try {
    dataset.writeDataPoint({
      indexes: [cutToBytes(index, MAX_INDEX_BYTES)],
      blobs: blobs.slice(0, MAX_VALUES).map((blob) => blob.slice(0, MAX_BLOB_CHARS)),
      doubles: doubles.slice(0, MAX_VALUES),
    });
  } catch {
    // A metric that is missing harms nobody.
  }
}
