/**
 * The binary frame of the link: eight bytes of header, then the payload. Hand-written, because it runs once per frame.
 *
 *     byte 0     type
 *     byte 1     flags
 *     byte 2, 3  zero (reserved; anything else is an error)
 *     byte 4..7  stream id, unsigned, big endian
 */
import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES } from "./limits.ts";

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

export type FrameType = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

/** Last frame of a message. */
export const FLAG_FIN = 1;
/** The message is text (on its every frame). */
export const FLAG_TEXT = 2;

export interface Frame {
  readonly type: FrameType;
  readonly flags: number;
  readonly streamId: number;
  /** A view into the received buffer, not a copy. */
  readonly payload: Uint8Array<ArrayBuffer>;
}

export type FrameError = "frame_too_short" | "frame_too_long" | "frame_type" | "frame_flags" | "frame_reserved" | "frame_stream_id";

const ALLOWED_FLAGS: readonly number[] = [0, 0, 0, FLAG_FIN | FLAG_TEXT, 0, 0, 0, 0, 0];

/**
 * Builds one frame.
 *
 * @param type one of the FRAME_ constants
 * @param flags FLAG_ bits; 0 except for DATA
 * @param streamId 1 to 2^32-1
 * @param payload 0 to MAX_FRAME_PAYLOAD_BYTES bytes; copied
 * @returns the bytes to send
 * @see PROTOCOL.md FR1
 */
export function encodeFrame(type: FrameType, flags: number, streamId: number, payload?: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(FRAME_HEADER_BYTES + (payload?.byteLength ?? 0));
  out[0] = type;
  out[1] = flags;
  out[4] = streamId >>> 24;
  out[5] = streamId >>> 16;
  out[6] = streamId >>> 8;
  out[7] = streamId;
  if (payload !== undefined) out.set(payload, FRAME_HEADER_BYTES);
  return out;
}

/**
 * Reads one frame.
 *
 * @param bytes one whole binary WebSocket message
 * @returns the frame, its payload a view into `bytes`; or why it is none. Never throws.
 * @see PROTOCOL.md FR1, FR2
 */
export function decodeFrame(bytes: Uint8Array<ArrayBuffer>): Frame | FrameError {
  if (bytes.byteLength < FRAME_HEADER_BYTES) return "frame_too_short";
  if (bytes.byteLength > MAX_FRAME_BYTES) return "frame_too_long";
  const type = bytes[0] ?? 0;
  if (type < FRAME_OPEN || type > FRAME_PROBE) return "frame_type";
  const flags = bytes[1] ?? 0;
  if ((flags & ~(ALLOWED_FLAGS[type] ?? 0)) !== 0) return "frame_flags";
  if (bytes[2] !== 0 || bytes[3] !== 0) return "frame_reserved";
  const streamId = (((bytes[4] ?? 0) << 24) | ((bytes[5] ?? 0) << 16) | ((bytes[6] ?? 0) << 8) | (bytes[7] ?? 0)) >>> 0;
  if (streamId === 0) return "frame_stream_id";
  return { type: type as FrameType, flags, streamId, payload: bytes.subarray(FRAME_HEADER_BYTES) };
}

/** Payload of CREDIT and PROBE: bytes as u32, big endian. */
export function encodeU32(value: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value);
  return out;
}

/** @returns the number, or null when the payload is not exactly four bytes */
export function decodeU32(payload: Uint8Array<ArrayBuffer>): number | null {
  if (payload.byteLength !== 4) return null;
  return new DataView(payload.buffer, payload.byteOffset, 4).getUint32(0);
}
