/** Rates, counted in tokens that come back with time. Pure: the clock is an argument. */

export interface Rate {
  readonly perSecond: number;
  /** Tokens of a bucket that was left alone; also what it starts with. */
  readonly burst: number;
}

export class TokenBucket {
  readonly #rate: Rate;
  #tokens: number;
  #atMs: number;

  constructor(rate: Rate, nowMs: number) {
    this.#rate = rate;
    this.#tokens = rate.burst;
    this.#atMs = nowMs;
  }

  /** Takes one token. @returns 0, or the milliseconds until there is one; then nothing was taken. A clock that steps back brings none. */
  take(nowMs: number): number {
    const { perSecond, burst } = this.#rate;
    this.#tokens = Math.min(burst, this.#tokens + (Math.max(0, nowMs - this.#atMs) * perSecond) / 1000);
    this.#atMs = nowMs;
    if (this.#tokens < 1) return Math.max(1, Math.ceil(((1 - this.#tokens) * 1000) / perSecond));
    this.#tokens -= 1;
    return 0;
  }
}

/** One bucket per key, and never more than `maxKeys` of them: whoever makes up keys only pushes out keys that were not used for longest. */
export class BucketTable {
  readonly #rate: Rate;
  readonly #maxKeys: number;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(rate: Rate, maxKeys: number) {
    this.#rate = rate;
    this.#maxKeys = maxKeys;
  }

  /** @see TokenBucket.take */
  take(key: string, nowMs: number): number {
    const bucket = this.#buckets.get(key) ?? new TokenBucket(this.#rate, nowMs);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > this.#maxKeys)
      for (const oldest of this.#buckets.keys()) {
        this.#buckets.delete(oldest);
        break;
      }
    return bucket.take(nowMs);
  }

  get size(): number {
    return this.#buckets.size;
  }
}

/**
 * Keeps a flow of items within a rate: what comes too fast is held back in order, and what keeps coming too fast is over. The caller asks for
 * what may go on whenever something happens, and not later than `waitMs` says.
 */
export class Pace<T> {
  readonly #bucket: TokenBucket;
  readonly #shared: TokenBucket | null;
  readonly #maxHeld: number;
  #held: T[] = [];
  #waitMs = 0;

  /**
   * @param rate this flow's own share, which nobody else can use up
   * @param maxHeld items that may wait; one more means that the sender does not care about the rate
   * @param shared what all flows together may use first; the own share is for when others have used it up
   */
  constructor(rate: Rate, maxHeld: number, nowMs: number, shared: TokenBucket | null = null) {
    this.#bucket = new TokenBucket(rate, nowMs);
    this.#shared = shared;
    this.#maxHeld = maxHeld;
  }

  /** The usual case, without a list: nothing waits and the rate allows one more. @returns whether an item may go on at once */
  pass(nowMs: number): boolean {
    return this.#held.length === 0 && this.#take(nowMs) === 0;
  }

  /** @returns the items that may go on now, oldest first, or "over" when too many wait */
  push(item: T, nowMs: number): readonly T[] | "over" {
    this.#held.push(item);
    const released = this.release(nowMs);
    return this.#held.length > this.#maxHeld ? "over" : released;
  }

  /** @returns held items that may go on by now, oldest first */
  release(nowMs: number): readonly T[] {
    let count = 0;
    this.#waitMs = 0;
    while (count < this.#held.length) {
      this.#waitMs = this.#take(nowMs);
      if (this.#waitMs > 0) break;
      count += 1;
    }
    return this.#held.splice(0, count);
  }

  #take(nowMs: number): number {
    return this.#shared?.take(nowMs) === 0 ? 0 : this.#bucket.take(nowMs);
  }

  /** @returns everything that still waits; the flow is at its end */
  drain(): readonly T[] {
    return this.#held.splice(0);
  }

  get heldCount(): number {
    return this.#held.length;
  }

  /** Milliseconds until the next held item may go on; 0 when none waits. */
  get waitMs(): number {
    return this.#held.length === 0 ? 0 : this.#waitMs;
  }
}
