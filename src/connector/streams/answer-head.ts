/** OPENED for an answer of the gateway: status and header fields, in one frame (PROTOCOL.md IS9). */
import type http from "node:http";
import { fromGateway } from "../../core/http/header-filter.ts";
import { MAX_ANSWER_HEADER_COUNT, MAX_FRAME_PAYLOAD_BYTES } from "../../protocol/limits.ts";
import { utf8 } from "../../protocol/statement-encoding.ts";
import { answerFields } from "./header-bytes.ts";

/** Node's own limit lies lower, and counts fields silently; these let every answer through that OPENED can carry. */
export const HEAD_LIMITS = { maxHeaderSize: 2 * MAX_FRAME_PAYLOAD_BYTES } as const;

/** @returns whether Node gave an answer up because its header is beyond HEAD_LIMITS */
export function isHeadTooLarge(error: NodeJS.ErrnoException): boolean {
  return error.code === "HPE_HEADER_OVERFLOW";
}

/**
 * @param without names of fields to leave out, in lower case
 * @returns the payload of OPENED, or null when the header is larger than MAX_ANSWER_HEADER_COUNT or one frame allows
 */
export function answerHead(response: http.IncomingMessage, without: readonly string[] = []): Uint8Array<ArrayBuffer> | null {
  const headers = fromGateway(answerFields(response.rawHeaders)).filter(([name]) => !without.includes(name));
  if (headers.length > MAX_ANSWER_HEADER_COUNT) return null;
  const payload = utf8(JSON.stringify({ status: response.statusCode ?? 502, headers }));
  return payload.byteLength > MAX_FRAME_PAYLOAD_BYTES ? null : payload;
}
