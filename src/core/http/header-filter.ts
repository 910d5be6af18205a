/** Which header fields cross (PROTOCOL.md HD). The room bounds a visitor's fields; the connector alone judges them. */
import { MAX_HEADER_BYTES, MAX_HEADER_COUNT } from "../../protocol/limits.ts";
import { STOCK_UI_HEADERS } from "./stock-ui.ts";

export type HeaderList = readonly (readonly [name: string, value: string])[];

/** RFC 9110 §7.6.1 and the fields that the WebSocket handshake makes anew on each leg. */
const HOP_BY_HOP = new Set([
  "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect",
  "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-accept",
]); // prettier-ignore

/**
 * What browsers send by themselves, or let a page set for a request that only describes itself. No field by which a proxy tells who a visitor
 * is belongs here: the gateway would believe it.
 */
const FROM_BROWSERS: ReadonlySet<string> = new Set([
  "accept", "accept-charset", "accept-encoding", "accept-language",
  "content-disposition", "content-encoding", "content-language", "content-length", "content-type",
  "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range",
  "authorization", "cache-control", "cookie", "dnt", "host", "last-event-id", "origin", "pragma", "priority", "referer", "save-data",
  "sec-gpc", "sec-purpose", "sec-websocket-protocol", "service-worker", "service-worker-navigation-preload", "upgrade-insecure-requests", "user-agent",
  ...STOCK_UI_HEADERS,
]); // prettier-ignore
/** Where a request comes from and what the browser is (Fetch Metadata, User-Agent Client Hints): only a browser can set them. */
const FROM_BROWSERS_PREFIXES = ["sec-fetch-", "sec-ch-"];

const OUR_COOKIE = /^__(?:Host|Secure)-gth_/i;
const OUR_HEADER_PREFIX = "x-gatehouse-";

/** Who asks: a gateway judges a visitor without them more kindly, so no Connection field takes them away. */
const END_TO_END = ["host", "origin"];

/** Names that a Connection field declares hop-by-hop. */
function connectionTokens(headers: HeaderList): ReadonlySet<string> {
  const tokens = headers.filter(([name]) => name.toLowerCase() === "connection").flatMap(([, value]) => value.split(","));
  return new Set(tokens.map((token) => token.trim().toLowerCase()).filter((token) => !END_TO_END.includes(token)));
}

/** Two Cookie fields reach a Worker as one, joined with a comma (Fetch), so a name of ours may stand behind a comma as well. */
function withoutOurCookies(value: string): string {
  const parts = value.split(";").flatMap((part) => {
    const fields = part.split(",");
    const theirs = fields.filter((field) => !OUR_COOKIE.test(field.trim()));
    return theirs.length === fields.length ? [part] : theirs;
  });
  return parts.map((part) => part.trim()).filter((part) => part !== "").join("; "); // prettier-ignore
}

/**
 * A visitor's header fields within their bounds: what the room sends on. Hop-by-hop fields end here, our own cookies and marks too.
 *
 * @param headers in any case; names come out in lower case
 * @returns null when they are too many or too large, or one could become two on the next leg
 */
export function boundedFromVisitor(headers: HeaderList): [string, string][] | null {
  const hop = connectionTokens(headers);
  const out: [string, string][] = [];
  let bytes = 0;
  for (const [rawName, rawValue] of headers) {
    const name = rawName.toLowerCase();
    if (HOP_BY_HOP.has(name) || hop.has(name) || name.startsWith(OUR_HEADER_PREFIX)) continue;
    const value = name === "cookie" ? withoutOurCookies(rawValue) : rawValue;
    if (name === "cookie" && value === "") continue;
    // A field with a line break or NUL could become two fields on the next leg.
    if (/[\r\n\0]/.test(name) || /[\r\n\0]/.test(value)) return null;
    bytes += name.length + value.length + 4;
    out.push([name, value]);
  }
  return out.length > MAX_HEADER_COUNT || bytes > MAX_HEADER_BYTES ? null : out;
}

/**
 * A visitor's header fields as the gateway may see them: those that browsers and the stock page send, and no other.
 *
 * @param headers as the room sent them
 * @returns null where `boundedFromVisitor` does
 */
export function fromVisitor(headers: HeaderList): [string, string][] | null {
  const bounded = boundedFromVisitor(headers);
  if (bounded === null) return null;
  return bounded.filter(([name]) => FROM_BROWSERS.has(name) || FROM_BROWSERS_PREFIXES.some((prefix) => name.startsWith(prefix)));
}

function gatewayCookie(value: string): string | null {
  if (OUR_COOKIE.test(value.trim())) return null;
  const [pair = "", ...attributes] = value.split(";");
  return [pair, ...attributes.filter((attribute) => !/^\s*domain\s*=/i.test(attribute))].join(";");
}

/** Browsers clear cookies and storage for the whole registrable domain, and all gateways share it. The HTTP cache is kept per origin. */
function clearedData(value: string): string | null {
  return value.split(",").some((type) => type.trim() === '"cache"') ? '"cache"' : null;
}

/**
 * The gateway's header fields as they may go on to the visitor.
 *
 * @returns the fields that pass; `Set-Cookie` without `Domain`, and never one of our cookies; of `Clear-Site-Data` only `"cache"`
 */
export function fromGateway(headers: HeaderList): [string, string][] {
  const hop = connectionTokens(headers);
  const out: [string, string][] = [];
  for (const [rawName, value] of headers) {
    const name = rawName.toLowerCase();
    if (HOP_BY_HOP.has(name) || hop.has(name) || name.startsWith(OUR_HEADER_PREFIX)) continue;
    const passed = name === "set-cookie" ? gatewayCookie(value) : name === "clear-site-data" ? clearedData(value) : value;
    if (passed !== null) out.push([name, passed]);
  }
  return out;
}
