/** How long things took, counted by size: what Prometheus calls a histogram. */

/** Upper bounds in seconds, ascending: from a loopback round trip to a network that is in trouble. */
export const BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5] as const;

export class Histogram {
  readonly #counts = BUCKETS_S.map(() => 0);
  #count = 0;
  #sum = 0;

  /** @param seconds how long one took */
  add(seconds: number): void {
    const at = BUCKETS_S.findIndex((bound) => seconds <= bound);
    if (at >= 0) this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#count += 1;
    this.#sum += seconds;
  }

  get count(): number {
    return this.#count;
  }

  /** Seconds in all. */
  get sum(): number {
    return this.#sum;
  }

  /** For each bound: how many took at most that long. */
  get cumulative(): readonly { readonly bound: number; readonly count: number }[] {
    let count = 0;
    return BUCKETS_S.map((bound, at) => ({ bound, count: (count += this.#counts[at] ?? 0) }));
  }
}
