/** What was used last, within a bound of bytes. */

interface Held<T> {
  readonly value: T;
  readonly bytes: number;
  readonly untilMs: number;
}

export class ByteLru<T> {
  readonly #maxBytes: number;
  /** Oldest use first. */
  readonly #held = new Map<string, Held<T>>();
  #bytes = 0;

  /** @param maxBytes of everything together */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Whether something of that size is held at all: no single thing drives out the rest. */
  holds(bytes: number): boolean {
    return bytes <= this.#maxBytes / 8;
  }

  /** Bytes held at the moment. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @returns the value, until its time is over */
  get(key: string, nowMs: number): T | null {
    const held = this.#held.get(key);
    if (held === undefined) return null;
    this.#held.delete(key);
    if (held.untilMs > nowMs) {
      this.#held.set(key, held);
      return held.value;
    }
    this.#bytes -= held.bytes;
    return null;
  }

  /** Takes the place of an older value of the same key. Whatever was not used for longest makes room. @param untilMs epoch ms */
  put(key: string, value: T, bytes: number, untilMs: number): void {
    this.#drop(key);
    if (!this.holds(bytes)) return;
    this.#held.set(key, { value, bytes, untilMs });
    this.#bytes += bytes;
    for (const oldest of this.#held.keys()) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#bytes -= this.#held.get(key)?.bytes ?? 0;
    this.#held.delete(key);
  }
}
