/**
 * Whether the frames of one direction of one stream arrive as they were sent, each once and whole (PROTOCOL.md FR6). A frame's place is the number of
 * payload bytes and of frames up to its end, in 16 bits: it stands in two bytes of the header that are there anyway, and costs an addition.
 */
import { FLAG_ANEW, NO_PLACE } from "../../protocol/frame.ts";
import type { Frame } from "../../protocol/frame.ts";

/** What a stream's reason says after the leg. A frame that overtook another shows as one that is missing. */
export const BYTES_MISSING = "bytes are missing";
export const BYTES_TWICE = "bytes came twice";

const PLACES = 0x1_0000;

function placeAfter(count: number, bytes: number): number {
  return (count + bytes + 1) % PLACES;
}

/** The sending end: how much went before. */
export class SendOrder {
  #count: number;
  #isAnew: boolean;

  /** @param count place of the last frame; 0: none @param isAnew what was sent before is not known (CR5): the first frame says that the count begins anew */
  constructor(count = 0, isAnew = false) {
    this.#count = count;
    this.#isAnew = isAnew;
  }

  /** Place of the last frame, or null while it is not known. */
  get count(): number | null {
    return this.#isAnew ? null : this.#count;
  }

  /** The flag of the next frame: FLAG_ANEW while no frame has begun the count anew, else 0. */
  get flag(): number {
    return this.#isAnew ? FLAG_ANEW : 0;
  }

  /** A frame leaves, with `flag` as it was before. @param bytes of its payload @returns its place */
  take(bytes: number): number {
    this.#count = placeAfter(this.#count, bytes);
    this.#isAnew = false;
    return this.#count;
  }
}

/** The receiving end: how much came. */
export class ReceiveOrder {
  #count: number | null;
  /** Place of the last frame that this object saw. */
  #last = NO_PLACE;
  #begin = NO_PLACE;

  /** @param count place of the last frame; 0: none; null: not known (CR5), and the first frame tells it */
  constructor(count: number | null = 0) {
    this.#count = count;
  }

  /** Place of the last frame, or null while it is not known. */
  get count(): number | null {
    return this.#count;
  }

  /**
   * A frame arrived; one without a place tells nothing.
   *
   * @returns what is wrong: nothing of the frame may be acted on then, and the stream cannot go on
   */
  take(frame: Pick<Frame, "flags" | "place" | "payload">): typeof BYTES_MISSING | typeof BYTES_TWICE | null {
    const { place } = frame;
    if (place === NO_PLACE) return null;
    const bytes = frame.payload.byteLength;
    if ((frame.flags & FLAG_ANEW) !== 0) {
      // Each sender that begins anew begins with another count.
      const begin = (place - bytes - 1 + 2 * PLACES) % PLACES;
      if (begin === this.#begin) return BYTES_TWICE;
      this.#begin = begin;
    } else if (this.#count !== null && place !== placeAfter(this.#count, bytes)) return place === this.#last ? BYTES_TWICE : BYTES_MISSING;
    this.#last = place;
    this.#count = place;
    return null;
  }
}
