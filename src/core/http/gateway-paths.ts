/** Which paths of a gateway a device may reach (PROTOCOL.md GP). The connector judges them, nobody else. */
import type { Access } from "../../protocol/words.ts";
import { MAX_PATH_CHARS } from "../../protocol/limits.ts";
import { STOCK_UI_WRITES } from "./stock-ui.ts";

/** Never relayed, at any access: machine interfaces that take the shared secret, other clients' sockets, and our own prefix. */
const DENIED = [
  /^\/\.gatehouse(\/|$)/, /^\/tools\/invoke(\/|$)/, /^\/v1(\/|$)/, /^\/hooks(\/|$)/, /^\/api\/v1(\/|$)/, /^\/sessions\/.+\/kill(\/|$)/, /^\/__openclaw__\/worker/,
  /^\/node-[^/]*(\/|$)/, /^\/desktop(\/|$)/, /^\/beam(\/|$)/, /^\/rpc(\/|$)/,
]; // prettier-ignore

/** OpenClaw routes `/__openclaw__/cap/<anything>/<path>` as `/<path>`. */
const CAPABILITY_PREFIX = /^\/__openclaw__\/cap\/[^/]+(?=\/)/;

const READ_METHODS = ["GET", "HEAD"];
/** Layers of percent-encoding. OpenClaw takes off up to 32 before it routes a plugin's path; no page writes more than two. */
const MAX_LAYERS = 4;

/** Readers disagree about these, whatever is done to them: segments that go up, the other slash, control characters. */
// oxlint-disable-next-line no-control-regex -- control characters are what it refuses
const AMBIGUOUS = /\\|\/\.{1,2}(?:\/|$)|[\0-\x1f\x7f]/;

/** One layer of percent-encoding less, ASCII only: every pattern here is ASCII, and a stray percent sign must not hide what follows it. */
function decodedOnce(path: string): string {
  return path.replaceAll(/%([0-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** Adds a path, and what OpenClaw makes of it behind its capability prefix, which may repeat. */
function addReadings(readings: Set<string>, path: string): void {
  for (let reading = path.toLowerCase(), outer = ""; reading !== outer;) {
    readings.add(reading);
    outer = reading;
    reading = outer.replace(CAPABILITY_PREFIX, "");
  }
}

/**
 * Every path that a reader of this request target could take it for: as sent, percent-decoded once and again until nothing changes, without
 * the parameters behind `;` in a segment or an encoded `?`, with empty segments left out, and behind OpenClaw's capability prefix. All in lower case.
 *
 * @param target path and query, as the visitor sent them (RFC 9112 §3.2: origin form)
 * @returns null for a target that cannot be judged
 */
export function pathReadings(target: string): readonly string[] | null {
  if (target.length > MAX_PATH_CHARS || !target.startsWith("/")) return null;
  // One library would refuse what is not printable ASCII, and another encode it.
  if (/[^\x21-\x7e]/.test(target)) return null;
  let path = target.split(/[?#]/, 1)[0] ?? "";
  if (/%(?![0-9a-f]{2})|\/\//i.test(path)) return null;
  const readings = new Set<string>();
  for (let layer = 0; layer <= MAX_LAYERS; layer += 1) {
    for (const each of [path, path.replaceAll(/;[^/]*|[?#].*/g, "")]) {
      if (AMBIGUOUS.test(each)) return null;
      addReadings(readings, each);
      // Encoded, an address in a name: the stock page asks for /__openclaw__/catalog-icon/https%3A%2F%2F….
      addReadings(readings, each.replaceAll(/\/{2,}/g, "/"));
    }
    const decoded = decodedOnce(path);
    if (decoded === path) return [...readings];
    path = decoded;
  }
  return null;
}

/**
 * @param request.path path and query as the visitor sent them
 * @returns whether the exchange may go to the gateway. Reading passes unless a reading of the path is denied; anything else passes where the
 *   stock page sends it. Narrower access than full control only reads over HTTP, because a gateway's HTTP routes take the device's wide token
 *   and do not know of the narrower access; its WebSocket does.
 */
export function mayReach(request: {
  readonly kind: "ws" | "http";
  readonly method: string;
  readonly path: string;
  readonly access: Access;
}): boolean {
  const { method, kind, access } = request;
  const readings = pathReadings(request.path);
  if (readings === null || readings.some((reading) => DENIED.some((pattern) => pattern.test(reading)))) return false;
  if (kind === "ws") return method === "GET" && !readings.some((reading) => reading.startsWith("/__openclaw__/"));
  if (READ_METHODS.includes(method)) return true;
  if (access !== "full") return false;
  return STOCK_UI_WRITES.some((write) => write.method === method && readings.every((reading) => write.path.test(reading)));
}
