/** Close codes and reasons as they may be sent (PROTOCOL.md ST5). */
import { CLOSE_GATEWAY_GONE, LEGS, MAX_CLOSE_REASON_BYTES, UNSENDABLE_CLOSE_CODES } from "../../protocol/close-codes.ts";
import type { Leg } from "../../protocol/close-codes.ts";
import { utf8 } from "../../protocol/statement-encoding.ts";

export interface Close {
  readonly code: number;
  readonly reason: string;
}

const ABNORMAL = 1006;
const NO_STATUS = 1005;

/**
 * Cuts a reason at 123 UTF-8 bytes, never inside a character (RFC 6455 §5.5).
 *
 * @param reason any text
 */
export function cutReason(reason: string): string {
  const bytes = utf8(reason);
  if (bytes.byteLength <= MAX_CLOSE_REASON_BYTES) return reason;
  let end = MAX_CLOSE_REASON_BYTES;
  // 10xxxxxx continues a character: step back to its first byte.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return new TextDecoder().decode(bytes.subarray(0, end));
}

/**
 * What to send for a close that the other leg reported.
 *
 * @param code as reported: 1005 for none, 1006 for an abnormal end
 * @returns a code that every endpoint may send, and a reason that fits; 1006 becomes 4502, so that nobody takes a crash for a clean end
 */
export function sendableClose(code: number, reason: string): Close {
  if (code === ABNORMAL) return { code: CLOSE_GATEWAY_GONE, reason: cutReason(reason === "" ? "connection lost" : reason) };
  if (code === NO_STATUS) return { code: 1000, reason: "" };
  if (UNSENDABLE_CLOSE_CODES.includes(code) || code < 1000 || code > 4999) return { code: 1000, reason: cutReason(reason) };
  // 1016 to 2999 are reserved: endpoints may refuse them as invalid.
  if (code > 1015 && code < 3000) return { code: 1000, reason: cutReason(reason) };
  return { code, reason: cutReason(reason) };
}

/** @param what happened, in words @returns the reason of a stream that broke there (PROTOCOL.md ST9) */
export function brokenAt(leg: Leg, what: string): string {
  return `${leg}: ${what}`;
}

/** @returns the leg that a reason names, or null: then an end closed the stream, or somebody decided so */
export function legOf(reason: string): Leg | null {
  return LEGS.find((leg) => reason.startsWith(`${leg}: `)) ?? null;
}

/** Payload of CLOSE and RESET: u16 code, big endian, then the reason as UTF-8. */
export function encodeClose(code: number, reason: string): Uint8Array<ArrayBuffer> {
  const text = utf8(cutReason(reason));
  const out = new Uint8Array(2 + text.byteLength);
  new DataView(out.buffer).setUint16(0, code);
  out.set(text, 2);
  return out;
}

/** @returns the close, or null when the payload is shorter than a code or longer than a close frame allows */
export function decodeClose(payload: Uint8Array): Close | null {
  if (payload.byteLength < 2 || payload.byteLength > 2 + MAX_CLOSE_REASON_BYTES) return null;
  const code = new DataView(payload.buffer, payload.byteOffset).getUint16(0);
  return { code, reason: new TextDecoder().decode(payload.subarray(2)) };
}
