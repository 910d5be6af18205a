/** How much of one stream's messages waits, and how much of that beside the largest of them (PROTOCOL.md CR6). Plain numbers. */
import { LARGE_MESSAGE_BYTES } from "../../protocol/limits.ts";

export class WaitingBytes {
  #bytes = 0;
  #leftBytes = 0;
  /** Large messages of which something waits, in order: where in all that ever waited they begin and end. */
  readonly #large: { readonly from: number; readonly to: number }[] = [];

  /** All that waits. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What waits without the large message of which most still waits; all of it when none is large. */
  get besideLargest(): number {
    const largest = this.#large.map(({ from, to }) => to - Math.max(from, this.#leftBytes));
    return this.#bytes - Math.max(0, ...largest);
  }

  /**
   * A message came.
   *
   * @param messageBytes the whole of it
   * @param bytes what has to wait: its end
   */
  came(messageBytes: number, bytes: number): void {
    if (bytes === 0) return;
    this.#bytes += bytes;
    const to = this.#leftBytes + this.#bytes;
    if (messageBytes > LARGE_MESSAGE_BYTES) this.#large.push({ from: to - bytes, to });
  }

  /** The first `bytes` of what waits have left. */
  left(bytes: number): void {
    this.#bytes -= bytes;
    this.#leftBytes += bytes;
    while ((this.#large[0]?.to ?? Number.POSITIVE_INFINITY) <= this.#leftBytes) this.#large.shift();
  }
}
