/** WebSocket messages as DATA frames and back (PROTOCOL.md ST2). */
import { FLAG_FIN, FLAG_TEXT, FRAME_DATA, encodeFrame } from "../../protocol/frame.ts";
import type { Frame } from "../../protocol/frame.ts";
import { MAX_FRAME_PAYLOAD_BYTES, MAX_MESSAGE_BYTES } from "../../protocol/limits.ts";

/** One piece of a message, ready to be sent when there is credit. */
export interface Piece {
  /** A view into the message. */
  readonly payload: Uint8Array;
  readonly flags: number;
}

/**
 * Cuts a message into pieces of one frame each. An empty message is one empty piece.
 *
 * @param message the whole message; not copied
 */
export function* piecesOf(message: Uint8Array, isText: boolean): Generator<Piece> {
  const kind = isText ? FLAG_TEXT : 0;
  let at = 0;
  do {
    const end = Math.min(at + MAX_FRAME_PAYLOAD_BYTES, message.byteLength);
    yield { payload: message.subarray(at, end), flags: kind | (end === message.byteLength ? FLAG_FIN : 0) };
    at = end;
  } while (at < message.byteLength);
}

/** @returns the piece in two, the first one of that many bytes; what ends a message is the second */
export function splitPiece({ payload, flags }: Piece, bytes: number): [Piece, Piece] {
  return [
    { payload: payload.subarray(0, bytes), flags: flags & ~FLAG_FIN },
    { payload: payload.subarray(bytes), flags },
  ];
}

/** @returns the DATA frame of a piece */
export function frameOf(streamId: number, piece: Piece): Uint8Array<ArrayBuffer> {
  return encodeFrame(FRAME_DATA, piece.flags, streamId, piece.payload);
}

export interface Message {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly isText: boolean;
}

export type AssemblyError = "message_too_large" | "message_kind_changed";

/** Puts the messages of one direction of one stream together again. Holds what it got until FIN. */
export class MessageAssembler {
  #parts: Uint8Array<ArrayBuffer>[] = [];
  #bytes = 0;
  #isText = false;

  /** Bytes held of a message that is not whole yet. */
  get heldBytes(): number {
    return this.#bytes;
  }

  /** Whether a message has begun and not ended. */
  get isPartial(): boolean {
    return this.#parts.length > 0;
  }

  /**
   * Takes the next DATA frame.
   *
   * @returns the whole message at FIN (a view into the frame when it fits one), null before, or why the stream must end
   */
  push(frame: Pick<Frame, "flags" | "payload">): Message | AssemblyError | null {
    const isText = (frame.flags & FLAG_TEXT) !== 0;
    const isLast = (frame.flags & FLAG_FIN) !== 0;
    if (this.#parts.length === 0) {
      if (isLast) return { data: frame.payload, isText };
      this.#isText = isText;
    } else if (isText !== this.#isText) return "message_kind_changed";
    if (this.#bytes + frame.payload.byteLength > MAX_MESSAGE_BYTES) return "message_too_large";
    this.#parts.push(frame.payload);
    this.#bytes += frame.payload.byteLength;
    if (!isLast) return null;
    const data = new Uint8Array(this.#bytes);
    let at = 0;
    for (const part of this.#parts) {
      data.set(part, at);
      at += part.byteLength;
    }
    this.#parts = [];
    this.#bytes = 0;
    return { data, isText };
  }
}
