/** Memory that is used again: for bytes that are put together only to be handed to something that copies them at once. */

/** New memory is zeroed, mapped page by page and, beyond a small heap, what drives the garbage collector. */
export class Scratch {
  readonly #keepUpTo: number;
  #bytes = new Uint8Array(0);

  /** @param keepUpTo bytes; what is larger is allocated anew each time and not kept */
  constructor(keepUpTo: number) {
    this.#keepUpTo = keepUpTo;
  }

  /** @returns that many bytes, whatever stands in them; theirs are the same ones as the next call's */
  readonly take = (bytes: number): Uint8Array<ArrayBuffer> => {
    if (bytes > this.#keepUpTo) return new Uint8Array(bytes);
    if (this.#bytes.byteLength < bytes) this.#bytes = new Uint8Array(bytes);
    return this.#bytes.subarray(0, bytes);
  };
}
