/** Which paths of a gateway a device may reach (PROTOCOL.md HD4; openclaw.md R11 and 6). */
import type { Access } from "../protocol/words.ts";
import { MAX_PATH_CHARS } from "../protocol/limits.ts";

/** Never relayed, at any access: machine interfaces that take the shared secret, other clients' sockets, and our own prefix. */
const DENIED = [
  /^\/\.gatehouse(\/|$)/, /^\/tools\/invoke(\/|$)/, /^\/v1(\/|$)/, /^\/hooks(\/|$)/, /^\/api\/v1(\/|$)/, /^\/sessions\/[^/]+\/kill(\/|$)/, /^\/__openclaw__\/worker(\/|$)/,
  /^\/node-[^/]*(\/|$)/, /^\/desktop(\/|$)/, /^\/beam(\/|$)/, /^\/rpc(\/|$)/,
]; // prettier-ignore

const READ_METHODS = ["GET", "HEAD"];

/**
 * The path as it is judged: percent-decoded once, without dot segments and double slashes, in lower case.
 *
 * @returns null for anything that two readers could understand differently
 */
export function canonicalPath(path: string): string | null {
  if (path.length > MAX_PATH_CHARS || !path.startsWith("/")) return null;
  // RFC 9112 §3.2: a request target is printable ASCII; one library would refuse the rest and another encode it.
  if (/[^\x21-\x7e]/.test(path)) return null;
  const raw = path.split(/[?#]/, 1)[0] ?? "";
  // An encoded slash, backslash, dot, percent or NUL exists only to be read in two ways.
  if (/%(2f|5c|2e|25|00|0a|0d)|\\/i.test(raw)) return null;
  let decoded: string;
  try {
    decoded = decodeURIComponent(raw);
  } catch {
    return null;
  }
  if (decoded.includes("//")) return null;
  if (decoded.split("/").some((segment) => segment === "." || segment === ".." || segment.includes(";"))) return null;
  return decoded.toLowerCase();
}

/**
 * @param path path and query as the visitor sent them
 * @returns whether the exchange may go to the gateway. Narrower access than full control only reads over HTTP, because a gateway's HTTP
 *   routes take the device's wide token and do not know of the narrower access; its WebSocket does.
 */
export function mayReach(request: {
  readonly kind: "ws" | "http";
  readonly method: string;
  readonly path: string;
  readonly access: Access;
}): boolean {
  const path = canonicalPath(request.path);
  if (path === null || DENIED.some((pattern) => pattern.test(path))) return false;
  if (request.kind === "ws") return request.method === "GET" && !path.startsWith("/__openclaw__/");
  if (request.method === "CONNECT" || request.method === "TRACE") return false;
  return request.access === "full" || READ_METHODS.includes(request.method);
}
