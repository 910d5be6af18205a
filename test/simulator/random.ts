/** Seeded randomness: one generator per purpose, so that taking one event out of a run moves no other draw. */

/** A small fast generator (sfc32) with the draws that a plan needs. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param label what the draws are for; the same seed and label give the same draws */
  constructor(seed: number, label: string) {
    let hash = 0x811c9dc5 ^ seed;
    for (let i = 0; i < label.length; i += 1) hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193);
    this.#a = hash | 0;
    this.#b = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) | 0;
    this.#c = Math.imul(hash ^ (seed << 7), 0xc2b2ae35) | 0;
    for (let i = 0; i < 12; i += 1) this.u32();
  }

  /** @returns an integer from 0 to 2^32 - 1 */
  u32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return sum >>> 0;
  }

  /** @returns a number from 0 up to, not including, 1 */
  fraction(): number {
    return this.u32() / 2 ** 32;
  }

  /** @returns an integer from `low` to `high`, both included */
  int(low: number, high: number): number {
    return low + Math.floor(this.fraction() * (high - low + 1));
  }

  /** @param p probability of true */
  chance(p: number): boolean {
    return this.fraction() < p;
  }

  /** @param list not empty */
  pick<T>(list: readonly T[]): T {
    return list[this.int(0, list.length - 1)] as T;
  }

  /** @param weights value and weight; weights are positive */
  weighted<T>(weights: readonly (readonly [T, number])[]): T {
    let left = this.fraction() * weights.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [value, weight] of weights) {
      left -= weight;
      if (left < 0) return value;
    }
    return (weights[0] as readonly [T, number])[0];
  }

  bytes(count: number): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(count);
    for (let i = 0; i < count; i += 1) out[i] = this.u32() >>> 11;
    return out;
  }
}
