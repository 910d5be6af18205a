/** How much data may be under way on a link, so that what is small and urgent never waits long behind it (PROTOCOL.md CR10). Plain numbers, no clock of its own. */
import {
  LINK_MARK_BYTES,
  LINK_PIECE_MIN_BYTES,
  LINK_QUEUE_MS,
  LINK_WINDOW_FIRST_BYTES,
  LINK_WINDOW_MAX_BYTES,
  LINK_WINDOW_MIN_BYTES,
} from "../../protocol/limits.ts";

/** A heartbeat's place in the stream of bytes: its answer says that what was sent before it has arrived. */
export interface LinkMark {
  /** All bytes sent before it. */
  readonly upTo: number;
  /** Those of them that were not known to have arrived. */
  readonly aheadBytes: number;
}

/** A mark that is answered this much later than one with nothing before it waited behind data: the window fits what the line carries in LINK_QUEUE_MS. */
export class LinkWindow {
  #bytes = LINK_WINDOW_FIRST_BYTES;
  #sent = 0;
  #marked = 0;
  #arrived = 0;
  /** Round trip with nothing before it. */
  #restMs = Number.POSITIVE_INFINITY;
  /** Whether no mark was made yet: the first one leaves before the first data, for the others to be compared with. */
  isUnmarked = true;

  /** Bytes that may still leave; not positive when the window is full. */
  get freeBytes(): number {
    return this.#bytes - (this.#sent - this.#arrived);
  }

  get sentBytes(): number {
    return this.#sent;
  }

  /** Largest payload that fits the window well: a fourth of it. */
  get pieceBytes(): number {
    return Math.max(LINK_PIECE_MIN_BYTES, this.#bytes >> 2);
  }

  /** Bytes left. @returns whether a mark is due behind them */
  sent(bytes: number): boolean {
    this.#sent += bytes;
    return this.#sent - this.#marked >= Math.min(this.#bytes >> 2, LINK_MARK_BYTES);
  }

  mark(): LinkMark {
    this.#marked = this.#sent;
    this.isUnmarked = false;
    return { upTo: this.#sent, aheadBytes: this.#sent - this.#arrived };
  }

  /** Whether everything up to there is known to have arrived. */
  hasArrived(upTo: number): boolean {
    return this.#arrived >= upTo;
  }

  /**
   * A mark was answered.
   *
   * @param ms since it was sent
   * @returns whether another one is due: the window is full of what no mark stands behind
   */
  answered({ upTo, aheadBytes }: LinkMark, ms: number): boolean {
    this.#arrived = Math.max(this.#arrived, upTo);
    if (ms < this.#restMs || aheadBytes === 0) this.#restMs = ms;
    const waitedMs = ms - this.#restMs;
    const fitting = (aheadBytes * LINK_QUEUE_MS) / Math.max(1, waitedMs);
    // So much crossed in the whole round trip that it would in the time allowed; beyond that no more than twice what was tried.
    const proven = Math.max((aheadBytes * LINK_QUEUE_MS) / Math.max(1, ms), Math.min(2 * aheadBytes, fitting));
    if (waitedMs <= LINK_QUEUE_MS) this.#bytes = Math.max(this.#bytes, Math.min(proven, LINK_WINDOW_MAX_BYTES));
    // One answer that was late for another reason halves it at most; so little ahead says nothing about the line.
    else if (aheadBytes >= LINK_WINDOW_MIN_BYTES)
      this.#bytes = Math.max(LINK_WINDOW_MIN_BYTES, this.#bytes / 2, Math.min(this.#bytes, fitting));
    return this.#sent > this.#marked && this.freeBytes <= 0;
  }
}
