/** How broken streams get into the audit without filling it: a row each while they are rare, then one a minute that counts what came between. */
import { BREAK_ROWS } from "../../protocol/limits.ts";
import { TokenBucket } from "./token-bucket.ts";

export class BreakNotes {
  readonly #bucket: TokenBucket;
  #unnoted = 0;

  constructor(nowMs: number) {
    this.#bucket = new TokenBucket(BREAK_ROWS, nowMs);
  }

  /**
   * @param streams that broke together
   * @returns how many broke since the last row and have none, or null: this one has none either and is counted
   */
  note(streams: number, nowMs: number): number | null {
    if (this.#bucket.take(nowMs) > 0) {
      this.#unnoted += streams;
      return null;
    }
    const unnoted = this.#unnoted;
    this.#unnoted = 0;
    return unnoted;
  }
}
