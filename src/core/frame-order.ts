/**
 * Whether the frames of one direction of one stream arrive as they were sent, each once (PROTOCOL.md FR6). A frame's place is the number of payload
 * bytes and of frames before it, in 16 bits: it stands in two bytes of the header that are there anyway, and costs an addition.
 */
import { FLAG_ANEW, NO_PLACE } from "../protocol/frame.ts";
import type { Frame } from "../protocol/frame.ts";

/** What a stream's reason says after the leg. A frame that overtook another shows as one that is missing. */
export const BYTES_MISSING = "bytes are missing";
export const BYTES_TWICE = "bytes came twice";

const PLACES = 0x1_0000;

function placeAfter(place: number, bytes: number): number {
  return (place + bytes + 1) % PLACES;
}

/** The sending end: where the next frame stands. */
export class SendOrder {
  #next: number;
  #isAnew: boolean;

  /** @param next place of the first frame @param isAnew the count of what was sent before is lost (CR5): the first frame says so */
  constructor(next = 0, isAnew = false) {
    this.#next = next;
    this.#isAnew = isAnew;
  }

  /** Place of the next frame. */
  get next(): number {
    return this.#next;
  }

  /** The flag of the next frame: FLAG_ANEW while no frame has begun the count anew, else 0. */
  get flag(): number {
    return this.#isAnew ? FLAG_ANEW : 0;
  }

  /** A frame leaves, with `flag` as it was before. @param bytes of its payload @returns its place */
  take(bytes: number): number {
    const place = this.#next;
    this.#next = placeAfter(place, bytes);
    this.#isAnew = false;
    return place;
  }
}

/** The receiving end: where the next frame must stand. */
export class ReceiveOrder {
  #next: number | null;
  #last = NO_PLACE;
  #lastAnew = NO_PLACE;

  /** @param next place of the first frame; null: the count of what came before is lost, and the first frame tells it (CR5) */
  constructor(next: number | null = 0) {
    this.#next = next;
  }

  /** Place of the next frame, or null while it is not known. */
  get next(): number | null {
    return this.#next;
  }

  /**
   * A frame arrived; one without a place tells nothing.
   *
   * @returns what is wrong: nothing of the frame may be acted on then, and the stream cannot go on
   */
  take(frame: Pick<Frame, "flags" | "place" | "payload">): typeof BYTES_MISSING | typeof BYTES_TWICE | null {
    const { place } = frame;
    if (place === NO_PLACE) return null;
    if ((frame.flags & FLAG_ANEW) !== 0) {
      // Each beginning has a place of its own.
      if (place === this.#lastAnew) return BYTES_TWICE;
      this.#lastAnew = place;
    } else if (this.#next !== null && place !== this.#next) return place === this.#last ? BYTES_TWICE : BYTES_MISSING;
    this.#last = place;
    this.#next = placeAfter(place, frame.payload.byteLength);
    return null;
  }
}
