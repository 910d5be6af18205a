/** Values that arrive in order and are taken in order; a taker waits for the next one. */
export class Arrivals<T> {
  readonly #values: T[] = [];
  readonly #takers: ((value: T) => void)[] = [];

  put(value: T): void {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#values.push(value);
    else taker(value);
  }

  next(): Promise<T> {
    return this.#values.length === 0 ? new Promise((resolve) => this.#takers.push(resolve)) : Promise.resolve(this.#values.shift() as T);
  }

  /** How many wait to be taken. */
  get count(): number {
    return this.#values.length;
  }
}
