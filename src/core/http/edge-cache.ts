/**
 * What of a gateway's answers may be kept at the edge, under which name, and for whom (PROTOCOL.md EC). Decisions only: the Worker holds the
 * cache. Kept are the public build files of the Control UI, exactly as far as the gateway's own headers permit (RFC 9111, RFC 8246).
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { EDGE_KEEP_SECONDS, EDGE_LEASE_MS, MAX_EDGE_ASSET_BYTES } from "../../protocol/limits.ts";
import { joined, tagged, toBase64url } from "../../protocol/statement-encoding.ts";
import type { HeaderList } from "./header-filter.ts";

/** Which encodings a visitor takes, as far as they matter: one name per answer that a gateway may choose. */
export type EdgeCoding = "br-gzip" | "br" | "gzip" | "identity";

export interface EdgeAsset {
  /** Path, with `?v=` where that is what names the build. */
  readonly name: string;
  readonly coding: EdgeCoding;
}

const MAX_NAME_CHARS = 512;
/** Plain characters only, and no part that starts with a dot: nothing here can be read in two ways, and `/.gatehouse/` is not among it. */
const PLAIN_PATH = /^(?:\/[A-Za-z0-9_@][A-Za-z0-9_@.~-]*)+$/;
const STATIC_FILE = /\.(?:js|mjs|css|woff2?|png|jpg|jpeg|gif|webp|avif|svg|ico|wasm)$/;
/** Bundlers put eight digits of the content's hash behind the name (openclaw.md 6: `/assets/index-DsEuFQRE.js`). */
const HASHED_FILE = /\/assets\/[A-Za-z0-9_@.~-]+-[A-Za-z0-9_-]{8}\.[a-z0-9]+$/;
/** A public file whose address names the build; the gateway calls it immutable only for its own one. */
const VERSION_QUERY = /^\?v=[A-Za-z0-9._-]{8,200}$/;
/** What the Control UI's own service worker keeps out of its cache as well: live reads, plugins with their cookies, pictures of people. */
const LIVE = /\/(?:__openclaw__|api|rpc|plugins|avatar|share|j|v1|hooks)\//;
const OWN_WAY = ["range", "authorization", "if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range", "pragma"];

/** @returns the class of an Accept-Encoding field (RFC 9110 §12.5.3), or null for one that says more than a list of what is welcome */
function codingOf(accepted: string | null): EdgeCoding | null {
  const takes = new Set<string>();
  for (const part of (accepted ?? "").toLowerCase().split(",")) {
    const [coding = "", ...weights] = part.split(";").map((each) => each.trim());
    // Refusals and wishes: the gateway may answer them differently.
    if (weights.length > 0 || coding === "*") return null;
    takes.add(coding);
  }
  if (takes.has("br")) return takes.has("gzip") ? "br-gzip" : "br";
  return takes.has("gzip") ? "gzip" : "identity";
}

/**
 * @param request a visitor's; `header` by lower-case name
 * @returns what it asks for, if that is something the edge may hold, or null: then it goes to the gateway like everything else
 */
export function edgeAsset(request: {
  readonly method: string;
  readonly pathname: string;
  readonly search: string;
  readonly header: (name: string) => string | null;
}): EdgeAsset | null {
  const { method, pathname, search, header } = request;
  const name = pathname + search;
  if (method !== "GET" || name.length > MAX_NAME_CHARS) return null;
  if (!PLAIN_PATH.test(pathname) || !STATIC_FILE.test(pathname) || LIVE.test(pathname)) return null;
  if (search === "" ? !HASHED_FILE.test(pathname) : !VERSION_QUERY.test(search)) return null;
  if (OWN_WAY.some((each) => header(each) !== null)) return null;
  if (/no-cache|no-store|max-age=0/i.test(header("cache-control") ?? "")) return null;
  const coding = codingOf(header("accept-encoding"));
  return coding === null ? null : { name, coding };
}

/** How an answer may be kept. */
export interface EdgeKeep {
  readonly bytes: number;
  readonly seconds: number;
}

const ENCODINGS: Readonly<Record<EdgeCoding, readonly string[]>> = {
  "br-gzip": ["", "br", "gzip"],
  br: ["", "br"],
  gzip: ["", "gzip"],
  identity: [""],
};
const ASSET_TYPE = /^(?:text\/(?:javascript|css)|application\/(?:javascript|wasm|font-woff2?)|font\/[a-z0-9]+|image\/[a-z0-9.+-]+)(?:;|$)/;
/** Would make a second visitor's answer another one, or say something about the first. */
const NOT_PUBLIC = ["set-cookie", "content-range", "www-authenticate", "authentication-info", "clear-site-data", "location", "transfer-encoding", "pragma"]; // prettier-ignore

/**
 * @param headers the gateway's, after `fromGateway`, with its own content-encoding; names in lower case
 * @param coding of the request
 * @returns null unless the gateway itself permits to keep it for everybody and for good, and it is small, whole and a file of a page
 */
export function edgeKeep(status: number, headers: HeaderList, coding: EdgeCoding): EdgeKeep | null {
  const all = (name: string): string[] => headers.filter(([each]) => each === name).map(([, value]) => value.trim());
  if (status !== 200 || NOT_PUBLIC.some((name) => all(name).length > 0)) return null;
  if (headers.some(([, value]) => /[^\x20-\x7e]/.test(value))) return null;
  const [length = "", ...moreLengths] = all("content-length");
  if (moreLengths.length > 0 || !/^[1-9]\d{0,9}$/.test(length) || Number(length) > MAX_EDGE_ASSET_BYTES) return null;
  const [type = "", ...moreTypes] = all("content-type");
  if (moreTypes.length > 0 || !ASSET_TYPE.test(type.toLowerCase())) return null;
  if (!ENCODINGS[coding].includes(all("content-encoding").join(",").toLowerCase())) return null;
  if (all("vary").join(",").split(",").some((each) => !["", "accept-encoding"].includes(each.trim().toLowerCase()))) return null; // prettier-ignore
  const seconds = keepSeconds(all("cache-control").join(","));
  return seconds === 0 ? null : { bytes: Number(length), seconds };
}

/** @returns 0 unless Cache-Control says public, immutable and a lifetime, and nothing against it */
function keepSeconds(cacheControl: string): number {
  const directives = cacheControl.toLowerCase().split(",").map((each) => each.trim()); // prettier-ignore
  const names = directives.map((each) => each.split("=", 1)[0]);
  if (!names.includes("public") || !names.includes("immutable")) return 0;
  if (["no-store", "no-cache", "private", "must-understand"].some((each) => names.includes(each))) return 0;
  const lives = directives.filter((each) => /^(?:s-maxage|max-age)=/.test(each)).map((each) => Number(each.split("=")[1]));
  if (lives.length === 0 || lives.some((life) => !Number.isSafeInteger(life) || life <= 0)) return 0;
  return Math.min(EDGE_KEEP_SECONDS, ...lives);
}

/**
 * Names one build of one gateway's machine. The connector's key is in it: what an earlier machine of the same gateway sent is not served for
 * the present one.
 *
 * @param connectorKey `x` of the connector's public key
 * @param build the gateway's own build id, as the connector reports it
 * @returns 22 base64url digits
 */
export function edgeBuild(connectorKey: string, build: string): string {
  return toBase64url(sha256(tagged("edge", joined([connectorKey, build])))).slice(0, 22);
}

/** @param origin of the gateway @param build of `edgeBuild` @returns the asset's key, an address that no visitor can reach */
export function edgeKey(origin: string, build: string, asset: EdgeAsset): string {
  return `${origin}/.gatehouse/edge/${build}/${asset.coding}${asset.name}`;
}

/** @returns the key of a session's lease */
export function leaseKey(origin: string, session: string): string {
  return `${origin}/.gatehouse/lease/${session}`;
}

/** The room's word for a session: it was admitted, and the gateway was online with this build. It ends soon, because the room is not asked again. */
export interface EdgeLease {
  readonly build: string;
  readonly untilMs: number;
}

/** @param sessionEndsAtMs epoch ms @returns the lease that an answer of the room at `nowMs` gives */
export function newLease(build: string, nowMs: number, sessionEndsAtMs: number): EdgeLease {
  return { build, untilMs: Math.min(nowMs + EDGE_LEASE_MS, sessionEndsAtMs) };
}

/** @param value what was kept @returns the build that may be served, or null: ask the room */
export function leasedBuild(value: unknown, nowMs: number): string | null {
  const { build, untilMs } = (value ?? {}) as { build?: unknown; untilMs?: unknown };
  if (typeof build !== "string" || !/^[A-Za-z0-9_-]{22}$/.test(build) || typeof untilMs !== "number") return null;
  // A lease of the future would be one of another clock.
  return untilMs > nowMs && untilMs <= nowMs + EDGE_LEASE_MS ? build : null;
}

/** Bytes that one isolate holds for answers on their way into the cache. A holder that vanished without a word counts for a minute. */
export class FillBudget {
  readonly #maxBytes: number;
  readonly #holds = new Map<object, { readonly bytes: number; readonly atMs: number }>();

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @returns a function that gives the bytes back, or null when there is no room: then the answer passes without being kept */
  take(bytes: number, nowMs: number): (() => void) | null {
    let held = 0;
    for (const [key, hold] of this.#holds) {
      if (nowMs - hold.atMs > 60_000) this.#holds.delete(key);
      else held += hold.bytes;
    }
    if (held + bytes > this.#maxBytes) return null;
    const key = {};
    this.#holds.set(key, { bytes, atMs: nowMs });
    return () => void this.#holds.delete(key);
  }
}
