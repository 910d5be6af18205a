/** Which of many equal failures are worth a line, and when what failed is tried again. Pure. */

/** Different failures that are counted; more push out what was counted first. */
const MAX_KEYS = 100;
const FIRST_WAIT_MS = 60_000;
const LONGEST_WAIT_MS = 3_600_000;

export class FailureCounts {
  readonly #times = new Map<string, number>();

  /**
   * Counts one failure.
   *
   * @param key place and code
   * @returns how many there were, at the 1st, 10th, 100th and so on; else null: this one has no line
   */
  note(key: string): number | null {
    const times = (this.#times.get(key) ?? 0) + 1;
    this.#times.set(key, times);
    if (this.#times.size > MAX_KEYS)
      for (const oldest of this.#times.keys()) {
        this.#times.delete(oldest);
        break;
      }
    return isPowerOfTen(times) ? times : null;
  }
}

function isPowerOfTen(times: number): boolean {
  let power = 1;
  while (power < times) power *= 10;
  return power === times;
}

/**
 * Doubles from one minute to one hour; the upper half of each step is jitter, so that rooms that failed together do not come back together.
 *
 * @param failures in a row, from 1
 * @param draw evenly between 0 and 1, 1 excluded
 * @returns milliseconds until the next try
 */
export function retryAfterFailureMs(failures: number, draw: number): number {
  const stepMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures, 10));
  return Math.floor((stepMs / 2) * (1 + draw));
}
