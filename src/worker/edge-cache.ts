/** The edge cache of gateway origins: kept files for sessions that the room admitted a moment ago (PROTOCOL.md EC). Decisions are in core. */
import { ByteLru } from "../core/http/byte-lru.ts";
import { FillBudget, edgeAsset, edgeBuild, edgeKeep, edgeKey, leaseKey, leasedBuild, newLease } from "../core/http/edge-cache.ts";
import type { EdgeAsset, EdgeKeep } from "../core/http/edge-cache.ts";
import { MAX_EDGE_FILLING_BYTES, MAX_EDGE_MEMORY_BYTES } from "../protocol/limits.ts";
import type { SessionCookie } from "./auth/session-cookie.ts";
import { EDGE_BUILD_HEADER, EDGE_ENCODING_HEADER, INTERNAL_HEADER_PREFIX, REFUSED_HEADER } from "./room/ports.ts";

/** A cache of its own: nothing in it is ever served for a request as such. */
const CACHE = "gatehouse-edge";
/** On a kept file: the gateway's header fields, when it came, and until when it is kept. */
const FIELDS_HEADER = "x-gatehouse-fields";
const AT_HEADER = "x-gatehouse-at";
const UNTIL_HEADER = "x-gatehouse-until";
const EMPTY_STATUS = new Set([101, 204, 205, 304]);

const budget = new FillBudget(MAX_EDGE_FILLING_BYTES);

interface KeptFile {
  /** The gateway's own. */
  readonly fields: readonly (readonly [string, string])[];
  /** When it came. */
  readonly atMs: number;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** What the cache holds, without asking it: of every file of a page each question costs the visitor a wait. Leases are never here. */
const memory = new ByteLru<KeptFile>(MAX_EDGE_MEMORY_BYTES);

/** Work that goes on after the answer. */
export type Defer = (work: Promise<unknown>) => void;

export class EdgeCache {
  readonly #origin: string;
  readonly #cookie: SessionCookie;
  readonly #asset: EdgeAsset | null;
  readonly #isNavigation: boolean;
  readonly #defer: Defer;
  #leased: string | null = null;

  /**
   * @param request of a visitor whose session cookie was checked
   * @param isNavigation its answer of the room is where a page load begins, and gives the session a fresh lease
   */
  constructor(options: {
    readonly request: Request;
    readonly origin: string;
    readonly cookie: SessionCookie;
    readonly isNavigation: boolean;
    readonly defer: Defer;
  }) {
    const { request } = options;
    const { pathname, search } = new URL(request.url);
    this.#origin = options.origin;
    this.#cookie = options.cookie;
    this.#isNavigation = options.isNavigation;
    this.#defer = options.defer;
    this.#asset = edgeAsset({ method: request.method, pathname, search, header: (name) => request.headers.get(name) });
  }

  /** Whether the room is asked to name the build with its answer. */
  get asksBuild(): boolean {
    return this.#asset !== null || this.#isNavigation;
  }

  /** @returns the kept file, or null: ask the room */
  async hit(nowMs: number): Promise<Response | null> {
    if (this.#asset === null) return null;
    const cache = await caches.open(CACHE);
    const lease = await cache.match(leaseKey(this.#origin, this.#cookie.session));
    this.#leased = leasedBuild(await lease?.json().catch(() => null), nowMs);
    if (this.#leased === null) return null;
    const key = edgeKey(this.#origin, this.#leased, this.#asset);
    const remembered = memory.get(key, nowMs);
    if (remembered !== null) return answerOf(remembered, nowMs);
    const kept = await cache.match(key);
    return kept === undefined ? null : fromCache(key, kept, nowMs);
  }

  /** Takes the room's answer: renews or ends the lease, keeps what may be kept. @returns what the visitor gets */
  async take(answer: Response, nowMs: number): Promise<Response> {
    const cache = await caches.open(CACHE);
    if (answer.headers.has(REFUSED_HEADER)) {
      // Session over or device cut: the edge forgets it now, not when the lease ends.
      if (this.asksBuild) await cache.delete(leaseKey(this.#origin, this.#cookie.session));
      return answer;
    }
    if (!this.asksBuild) return answer;
    const build = answer.headers.get(EDGE_BUILD_HEADER);
    const headers = new Headers([...answer.headers].filter(([name]) => !name.startsWith(INTERNAL_HEADER_PREFIX)));
    const encoding = answer.headers.get(EDGE_ENCODING_HEADER);
    if (encoding !== null) headers.set("content-encoding", encoding);
    if (build !== null && (this.#isNavigation || build !== this.#leased)) {
      // Before the answer: the page asks for its files as soon as it has its first bytes.
      const lease = newLease(build, nowMs, this.#cookie.expiresAtMs);
      const seconds = Math.max(1, Math.ceil((lease.untilMs - nowMs) / 1000));
      await cache.put(
        leaseKey(this.#origin, this.#cookie.session),
        Response.json(lease, { headers: { "cache-control": `max-age=${seconds}` } }),
      );
    }
    const keep = build === null || this.#asset === null ? null : edgeKeep(answer.status, [...headers], this.#asset.coding);
    const body = answer.body;
    if (body === null || EMPTY_STATUS.has(answer.status)) return new Response(null, { status: answer.status, headers });
    const release = keep === null ? null : budget.take(keep.bytes, nowMs);
    if (keep === null || release === null || build === null || this.#asset === null)
      return new Response(body, { status: answer.status, headers, encodeBody: "manual" });
    const { readable, writable } = new FixedLengthStream(keep.bytes);
    const key = edgeKey(this.#origin, build, this.#asset);
    this.#defer(fill({ cache, key, body, writable, headers, keep, nowMs }).finally(release));
    return new Response(readable, { status: answer.status, headers, encodeBody: "manual" });
  }
}

/** Passes the body on as the visitor takes it, and keeps it once it came whole. Never rejects. */
async function fill(parts: {
  readonly cache: Cache;
  readonly key: string;
  readonly body: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly headers: Headers;
  readonly keep: EdgeKeep;
  readonly nowMs: number;
}): Promise<void> {
  const { bytes, seconds } = parts.keep;
  const whole = new Uint8Array(bytes);
  const reader = parts.body.getReader();
  const writer = parts.writable.getWriter();
  let at = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      whole.set(value, at);
      at += value.byteLength;
      await writer.write(value);
    }
    // Refused, as the write before it, when the body is not exactly as long as stated.
    await writer.close();
  } catch (error) {
    // Broken off, or the visitor went: the one sees an error, and nothing is kept.
    await writer.abort(error).catch(() => undefined);
    await reader.cancel().catch(() => undefined);
    return;
  }
  const fields = [...parts.headers];
  const untilMs = parts.nowMs + seconds * 1000;
  memory.put(parts.key, { fields, atMs: parts.nowMs, body: whole }, bytes, untilMs);
  const stored = new Response(whole, {
    headers: {
      "cache-control": `max-age=${seconds}`,
      "content-type": "application/octet-stream",
      [FIELDS_HEADER]: JSON.stringify(fields),
      [AT_HEADER]: String(parts.nowMs),
      [UNTIL_HEADER]: String(untilMs),
    },
  });
  await parts.cache.put(parts.key, stored).catch(() => undefined);
}

/** The visitor's answer out of the cache; a file of common size is remembered on the way. */
async function fromCache(key: string, kept: Response, nowMs: number): Promise<Response | null> {
  const fields = JSON.parse(kept.headers.get(FIELDS_HEADER) ?? "[]") as [string, string][];
  const length = Number(fields.find(([name]) => name === "content-length")?.[1]);
  if (kept.body === null || !Number.isSafeInteger(length)) return null;
  const atMs = Number(kept.headers.get(AT_HEADER));
  if (!memory.holds(length)) {
    const { readable, writable } = new FixedLengthStream(length);
    void kept.body.pipeTo(writable).catch(() => undefined);
    return answerOf({ fields, atMs, body: readable }, nowMs);
  }
  const body = await kept.arrayBuffer().then((bytes) => new Uint8Array(bytes), () => null); // prettier-ignore
  if (body?.byteLength !== length) return null;
  const file = { fields, atMs, body };
  memory.put(key, file, length, Number(kept.headers.get(UNTIL_HEADER)));
  return answerOf(file, nowMs);
}

/** A kept file as the gateway sent it, with what RFC 9111 §5.1 and RFC 9211 say of a cache on the way. */
function answerOf(kept: Omit<KeptFile, "body"> & { readonly body: BodyInit }, nowMs: number): Response {
  const headers = new Headers(kept.fields.map(([name, value]): [string, string] => [name, value]));
  headers.set("age", String(Math.max(0, Math.floor((nowMs - kept.atMs) / 1000))));
  headers.append("cache-status", "gatehouse; hit");
  return new Response(kept.body, { headers, encodeBody: "manual" });
}

/** The room's side: names the build, and hides the encoding from a Worker that would unpack the body. @returns the same answer, changed */
export function forEdge(answer: Response, connectorKey: string | null, build: string | undefined): Response {
  if (answer.headers.has(REFUSED_HEADER)) return answer;
  const encoding = answer.headers.get("content-encoding");
  answer.headers.delete("content-encoding");
  if (encoding !== null) answer.headers.set(EDGE_ENCODING_HEADER, encoding);
  if (connectorKey !== null && build !== undefined) answer.headers.set(EDGE_BUILD_HEADER, edgeBuild(connectorKey, build));
  return answer;
}
