/** Frames on their way to the link's socket: alone as they are, or several in one message where the other end reads that (PROTOCOL.md FR5). */
import { FRAME_CREDIT, FRAME_DATA, encodeU32, hasPlace, writeBatchHeader, writeFrame, writeU32 } from "../../protocol/frame.ts";
import type { FrameType } from "../../protocol/frame.ts";
import { BATCH_LENGTH_BYTES, FRAME_HEADER_BYTES, MAX_BATCH_BYTES } from "../../protocol/limits.ts";
import type { SendOrder } from "./frame-order.ts";
import type { Piece } from "./message-frames.ts";

/** A frame that waits for its message; its payload is a view of somebody else's bytes. */
interface Waiting {
  readonly type: FrameType;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Uint8Array | undefined;
  readonly place: number;
}

export interface FrameSenderOptions {
  /** Gets each whole message, in order. */
  readonly transmit: (message: Uint8Array<ArrayBuffer>) => void;
  /** @returns that many bytes, whatever stands in them */
  readonly allocate: (bytes: number) => Uint8Array<ArrayBuffer>;
}

/** Payloads are copied once, into the message that leaves. */
export class FrameSender {
  readonly #options: FrameSenderOptions;
  #waiting: Waiting[] = [];
  #bytes = FRAME_HEADER_BYTES;
  /** Whether the other end said that it reads several frames in one message. */
  isBatching = false;
  /** Whether both ends said that frames say their place (PROTOCOL.md FR6). */
  hasPlaces = false;

  constructor(options: FrameSenderOptions) {
    this.#options = options;
  }

  /** Bytes of the message that is being collected; 0 when nothing waits. */
  get waitingBytes(): number {
    return this.#waiting.length === 0 ? 0 : this.#bytes;
  }

  /**
   * Adds one frame (arguments as `encodeFrame`'s). It leaves with `flush` at the latest; at once when the other end takes only single frames.
   *
   * @param order of its stream; none for what has no stream (any more)
   */
  put(type: FrameType, flags: number, streamId: number, payload?: Uint8Array, order?: SendOrder): void {
    const payloadBytes = payload?.byteLength ?? 0;
    const bytes = BATCH_LENGTH_BYTES + FRAME_HEADER_BYTES + payloadBytes;
    if (this.#bytes + bytes > MAX_BATCH_BYTES) this.flush();
    const isPlaced = this.hasPlaces && order !== undefined && hasPlace(type);
    const allFlags = isPlaced ? flags | order.flag : flags;
    this.#waiting.push({ type, flags: allFlags, streamId, payload, place: isPlaced ? order.take(payloadBytes) : 0 });
    this.#bytes += bytes;
    if (!this.isBatching) this.flush();
  }

  /** Adds one piece of a message as DATA, with the credit that goes along; 0: none. */
  putData(streamId: number, piece: Piece, credit: number, order?: SendOrder): void {
    if (credit > 0) this.put(FRAME_CREDIT, 0, streamId, encodeU32(credit), order);
    this.put(FRAME_DATA, piece.flags, streamId, piece.payload, order);
  }

  /** What waits leaves now, as one message. */
  flush(): void {
    const [first] = this.#waiting;
    if (first === undefined) return;
    const isAlone = this.#waiting.length === 1;
    const message = this.#options.allocate(isAlone ? this.#bytes - FRAME_HEADER_BYTES - BATCH_LENGTH_BYTES : this.#bytes);
    if (isAlone) writeFrame(message, 0, first.type, first.flags, first.streamId, first.payload, first.place);
    else {
      let at = writeBatchHeader(message);
      for (const { type, flags, streamId, payload, place } of this.#waiting) {
        at = writeU32(message, at, FRAME_HEADER_BYTES + (payload?.byteLength ?? 0));
        at = writeFrame(message, at, type, flags, streamId, payload, place);
      }
    }
    this.clear();
    this.#options.transmit(message);
  }

  /** What waits is for nobody any more. */
  clear(): void {
    this.#waiting = [];
    this.#bytes = FRAME_HEADER_BYTES;
  }
}
