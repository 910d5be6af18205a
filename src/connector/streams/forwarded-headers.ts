/** The last word on header fields before the gateway: the visitor's, filtered once more, then this connector's own. */
import { isPublicAddress } from "../../core/http/client-ip.ts";
import { fromVisitor } from "../../core/http/header-filter.ts";
import type { StreamOpen } from "../../protocol/link-messages.ts";
import { ACCESS_SCOPES } from "../../protocol/words.ts";
import type { Access } from "../../protocol/words.ts";

/**
 * Whether a stream is for this gateway's own address (PROTOCOL.md HD5): its host is that of `origin`, and so is the visitor's Origin, if there
 * is one. Another word of the room would let the gateway's own checks of Host and Origin pass for a foreign page.
 *
 * @param open as the room sent it
 * @param origin this gateway's, from the connector's own files
 */
export function isForOwnOrigin(open: StreamOpen, origin: string): boolean {
  const isOwn = ([name, value]: readonly [string, string]): boolean => name.toLowerCase() !== "origin" || value === origin;
  return open.host === new URL(origin).host && open.headers.every(isOwn);
}

/**
 * Header fields of one forwarded request (PROTOCOL.md HD1, HD2). Without a sound public address nothing goes out: OpenClaw would take a
 * stranger for a local user.
 *
 * @param open as the room sent it
 * @param access the grant's own
 * @param origin this gateway's, from the connector's own files
 * @returns null when there is no such address, or the fields are too many, too large or could split. The body's length is stated only where
 *   there is a body, once, and HttpStream holds the body to it.
 */
export function forwardedHeaders(open: StreamOpen, access: Access, origin: string): Record<string, string | string[]> | null {
  const filtered = fromVisitor(open.headers);
  if (filtered === null || !isPublicAddress(open.clientIp)) return null;
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of filtered) {
    const before = headers[name];
    headers[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  const length = headers["content-length"];
  delete headers["content-length"];
  if (open.kind === "http" && open.hasBody) {
    // Some methods would get neither length nor chunks, and then the body is the next request on the connection: a bare one.
    if (length === undefined) headers["transfer-encoding"] = "chunked";
    else if (typeof length === "string" && /^\d{1,15}$/.test(length)) headers["content-length"] = length;
    else return null;
  }
  const { host } = new URL(origin);
  headers["host"] = host;
  headers["x-forwarded-for"] = open.clientIp;
  headers["x-forwarded-proto"] = "https";
  headers["x-forwarded-host"] = host;
  headers["x-openclaw-scopes"] = ACCESS_SCOPES[access].join(",");
  return headers;
}
