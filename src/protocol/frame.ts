/**
 * The binary frame of the link: eight bytes of header, then the payload. Hand-written, because it runs once per frame.
 *
 *     byte 0     type
 *     byte 1     flags
 *     byte 2, 3  the frame's place in its stream, u16, big endian, where both ends said so (PROTOCOL.md FR6); else zero (anything else is an error)
 *     byte 4..7  stream id, unsigned, big endian
 *
 * Several of them in one message (PROTOCOL.md FR5): a header of type BATCH with stream id 0, then each frame behind its length (u32, big endian).
 */
import { BATCH_LENGTH_BYTES, FRAME_HEADER_BYTES, MAX_BATCH_BYTES, MAX_FRAME_BYTES } from "./limits.ts";

export const FRAME_OPEN = 1;
export const FRAME_OPENED = 2;
export const FRAME_DATA = 3;
export const FRAME_CREDIT = 4;
/** One direction of an HTTP exchange has no more body. */
export const FRAME_END = 5;
/** A WebSocket closed: u16 code, then the reason as UTF-8. */
export const FRAME_CLOSE = 6;
/** The stream is gone, with the same payload as CLOSE; also refuses an OPEN. */
export const FRAME_RESET = 7;
/** A sender without credit asks: u32 credit left. */
export const FRAME_PROBE = 8;

/** Not a frame itself: several frames in one message. Only between ends that both said that they know it. */
export const FRAME_BATCH = 9;

export type FrameType = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

/** Last frame of a message. */
export const FLAG_FIN = 1;
/** The message is text (on its every frame). */
export const FLAG_TEXT = 2;
/** The sender does not know what it sent before: places begin anew with this frame. */
export const FLAG_ANEW = 4;

/** A frame that says no place: of a link without places, or of a type that has none. */
export const NO_PLACE = -1;

/** On CREDIT: the line is slow, so the sender cuts its next piece to what it has, instead of waiting for credit for the whole of it (CR12). */
export const FLAG_SPLIT = 1;

export interface Frame {
  readonly type: FrameType;
  readonly flags: number;
  readonly streamId: number;
  /** 0 to 65,535, or NO_PLACE. */
  readonly place: number;
  /** A view into the received buffer, not a copy. */
  readonly payload: Uint8Array<ArrayBuffer>;
}

export type FrameError =
  | "frame_too_short"
  | "frame_too_long"
  | "frame_type"
  | "frame_flags"
  | "frame_reserved"
  | "frame_stream_id"
  | "batch_too_long"
  | "batch_header"
  | "batch_empty"
  | "batch_truncated";

const ALLOWED_FLAGS: readonly number[] = [0, 0, 0, FLAG_FIN | FLAG_TEXT, FLAG_SPLIT, 0, 0, 0, 0];
/** By type: whether it says its place where both ends do. */
const HAS_PLACE: readonly boolean[] = [false, false, false, true, true, true, true, false, true];

/** @returns whether frames of this type say their place on a link with places (PROTOCOL.md FR6) */
export function hasPlace(type: FrameType): boolean {
  return HAS_PLACE[type] === true;
}

/**
 * Builds one frame.
 *
 * @param type one of the FRAME_ constants
 * @param flags FLAG_ bits; 0 except for DATA and CREDIT
 * @param streamId 1 to 2^32-1
 * @param payload 0 to MAX_FRAME_PAYLOAD_BYTES bytes; copied
 * @returns the bytes to send
 * @see PROTOCOL.md FR1
 */
export function encodeFrame(type: FrameType, flags: number, streamId: number, payload?: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(FRAME_HEADER_BYTES + (payload?.byteLength ?? 0));
  writeFrame(out, 0, type, flags, streamId, payload);
  return out;
}

/**
 * Writes one frame into a buffer, for `encodeFrame`'s arguments.
 *
 * @param out need not be empty
 * @param at where the header begins
 * @param place 0 to 65,535; 0 where places are not said
 * @returns where the frame ends
 */
export function writeFrame(
  out: Uint8Array,
  at: number,
  type: FrameType,
  flags: number,
  streamId: number,
  payload?: Uint8Array,
  place = 0,
): number {
  out[at] = type;
  out[at + 1] = flags;
  out[at + 2] = place >>> 8;
  out[at + 3] = place;
  writeU32(out, at + 4, streamId);
  const end = at + FRAME_HEADER_BYTES;
  if (payload === undefined) return end;
  out.set(payload, end);
  return end + payload.byteLength;
}

/** Writes the header of a message that carries several frames. @returns where the first length belongs */
export function writeBatchHeader(out: Uint8Array): number {
  out[0] = FRAME_BATCH;
  out.fill(0, 1, FRAME_HEADER_BYTES);
  return FRAME_HEADER_BYTES;
}

/** Writes 32 bits, big endian. @returns where they end */
export function writeU32(out: Uint8Array, at: number, value: number): number {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
  return at + 4;
}

function readU32(bytes: Uint8Array, at: number): number {
  return (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0;
}

/**
 * Reads one frame.
 *
 * @param bytes one whole binary WebSocket message
 * @param withPlaces both ends of the link said that frames say their place (FR6)
 * @returns the frame, its payload a view into `bytes`; or why it is none. Never throws.
 * @see PROTOCOL.md FR1, FR2
 */
export function decodeFrame(bytes: Uint8Array<ArrayBuffer>, withPlaces = false): Frame | FrameError {
  return frameError(bytes, 0, bytes.byteLength, withPlaces) ?? frameAt(bytes, 0, bytes.byteLength, withPlaces);
}

/** @returns why there is no frame from `at` to `end`, or null when there is one */
function frameError(bytes: Uint8Array, at: number, end: number, withPlaces: boolean): FrameError | null {
  const length = end - at;
  if (length < FRAME_HEADER_BYTES) return "frame_too_short";
  if (length > MAX_FRAME_BYTES) return "frame_too_long";
  const type = bytes[at] ?? 0;
  if (type < FRAME_OPEN || type > FRAME_PROBE) return "frame_type";
  const isPlaced = withPlaces && HAS_PLACE[type] === true;
  if (((bytes[at + 1] ?? 0) & ~((ALLOWED_FLAGS[type] ?? 0) | (isPlaced ? FLAG_ANEW : 0))) !== 0) return "frame_flags";
  if (!isPlaced && (bytes[at + 2] !== 0 || bytes[at + 3] !== 0)) return "frame_reserved";
  return readU32(bytes, at + 4) === 0 ? "frame_stream_id" : null;
}

function frameAt(bytes: Uint8Array<ArrayBuffer>, at: number, end: number, withPlaces: boolean): Frame {
  const type = bytes[at] as FrameType;
  return {
    type,
    flags: bytes[at + 1] ?? 0,
    streamId: readU32(bytes, at + 4),
    place: withPlaces && HAS_PLACE[type] === true ? ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0) : NO_PLACE,
    payload: bytes.subarray(at + FRAME_HEADER_BYTES, end),
  };
}

/** @returns whether a message says that it carries several frames */
export function isBatch(bytes: Uint8Array): boolean {
  return bytes[0] === FRAME_BATCH;
}

/**
 * Judges a message of several frames as a whole: every length and every header, before anything of it is acted on. Allocates nothing, never throws.
 *
 * @param bytes one whole binary WebSocket message
 * @param withPlaces as for `decodeFrame`
 * @returns why it is none, or null; only then may `framesOf` read it
 * @see PROTOCOL.md FR5
 */
export function batchError(bytes: Uint8Array, withPlaces = false): FrameError | null {
  if (bytes.byteLength > MAX_BATCH_BYTES) return "batch_too_long";
  for (let at = 0; at < FRAME_HEADER_BYTES; at += 1) if (bytes[at] !== (at === 0 ? FRAME_BATCH : 0)) return "batch_header";
  if (bytes.byteLength === FRAME_HEADER_BYTES) return "batch_empty";
  for (let at = FRAME_HEADER_BYTES; at < bytes.byteLength;) {
    const begin = at + BATCH_LENGTH_BYTES;
    const end = begin + readU32(bytes, at);
    if (end > bytes.byteLength) return "batch_truncated";
    // A batch inside a batch is no frame type.
    const error = frameError(bytes, begin, end, withPlaces);
    if (error !== null) return error;
    at = end;
  }
  return null;
}

/**
 * The frames of a message that `batchError` has nothing against, in order, each a view into it.
 *
 * @param withPlaces as for `decodeFrame`
 * @see PROTOCOL.md FR5
 */
export function* framesOf(bytes: Uint8Array<ArrayBuffer>, withPlaces = false): Generator<Frame> {
  for (let at = FRAME_HEADER_BYTES; at < bytes.byteLength;) {
    const begin = at + BATCH_LENGTH_BYTES;
    const end = begin + readU32(bytes, at);
    yield frameAt(bytes, begin, end, withPlaces);
    at = end;
  }
}

/** Payload of CREDIT and PROBE: bytes as u32, big endian. */
export function encodeU32(value: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(4);
  writeU32(out, 0, value);
  return out;
}

/** @returns the number, or null when the payload is not exactly four bytes */
export function decodeU32(payload: Uint8Array<ArrayBuffer>): number | null {
  return payload.byteLength === 4 ? readU32(payload, 0) : null;
}
