/** Which header fields cross (PROTOCOL.md HD1, HD3). Used by the Worker, the room and, last, the connector. */
import { MAX_HEADER_BYTES, MAX_HEADER_COUNT } from "../protocol/limits.ts";

export type HeaderList = readonly (readonly [name: string, value: string])[];

/** RFC 9110 §7.6.1 and the fields that the WebSocket handshake makes anew on each leg. */
const HOP_BY_HOP = new Set([
  "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect",
  "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-accept",
]); // prettier-ignore

/** Fields by which OpenClaw, or a proxy it trusts, would take a visitor for somebody else (openclaw.md 1.1, R1). */
const FORGED = new Set([
  "forwarded",
  "x-real-ip",
  "true-client-ip",
  "x-client-ip",
  "x-cluster-client-ip",
  "fastly-client-ip",
  "remote-user",
  "x-remote-user",
  "x-webauth-user",
  "via",
]);
const FORGED_PREFIXES = [
  "x-forwarded-",
  "cf-",
  "tailscale-",
  "x-openclaw-",
  "x-pomerium-",
  "x-auth-request-",
  "x-authenticated-",
  "x-gatehouse-",
  "x-goog-authenticated-",
  "x-ms-client-principal",
  "x-amzn-oidc-",
];

const OUR_COOKIE = /^__(?:Host|Secure)-gth_/i;

function isForged(name: string): boolean {
  return FORGED.has(name) || FORGED_PREFIXES.some((prefix) => name.startsWith(prefix));
}

/** Who asks: a gateway judges a visitor without them more kindly, so no Connection field takes them away. */
const END_TO_END = ["host", "origin"];

/** Names that a Connection field declares hop-by-hop. */
function connectionTokens(headers: HeaderList): ReadonlySet<string> {
  const tokens = headers.filter(([name]) => name.toLowerCase() === "connection").flatMap(([, value]) => value.split(","));
  return new Set(tokens.map((token) => token.trim().toLowerCase()).filter((token) => !END_TO_END.includes(token)));
}

function withoutOurCookies(value: string): string {
  const kept = value.split(";").map((part) => part.trim());
  return kept.filter((part) => part !== "" && !OUR_COOKIE.test(part)).join("; ");
}

/**
 * A visitor's header fields as they may go on to the gateway.
 *
 * @param headers in any case; names come out in lower case
 * @returns the fields that pass (`host` and `origin` unchanged), or null when they are too many or too large
 */
export function fromVisitor(headers: HeaderList): [string, string][] | null {
  const hop = connectionTokens(headers);
  const out: [string, string][] = [];
  let bytes = 0;
  for (const [rawName, rawValue] of headers) {
    const name = rawName.toLowerCase();
    if (HOP_BY_HOP.has(name) || hop.has(name) || isForged(name)) continue;
    const value = name === "cookie" ? withoutOurCookies(rawValue) : rawValue;
    if (name === "cookie" && value === "") continue;
    // A field with a line break or NUL could become two fields on the next leg.
    if (/[\r\n\0]/.test(name) || /[\r\n\0]/.test(value)) return null;
    bytes += name.length + value.length + 4;
    out.push([name, value]);
  }
  return out.length > MAX_HEADER_COUNT || bytes > MAX_HEADER_BYTES ? null : out;
}

function gatewayCookie(value: string): string | null {
  if (OUR_COOKIE.test(value.trim())) return null;
  const [pair = "", ...attributes] = value.split(";");
  return [pair, ...attributes.filter((attribute) => !/^\s*domain\s*=/i.test(attribute))].join(";");
}

/**
 * The gateway's header fields as they may go on to the visitor.
 *
 * @returns the fields that pass; `Set-Cookie` without `Domain`, and never one of our cookies
 */
export function fromGateway(headers: HeaderList): [string, string][] {
  const hop = connectionTokens(headers);
  const out: [string, string][] = [];
  for (const [rawName, value] of headers) {
    const name = rawName.toLowerCase();
    if (HOP_BY_HOP.has(name) || hop.has(name) || name.startsWith("x-gatehouse-")) continue;
    if (name !== "set-cookie") {
      out.push([name, value]);
      continue;
    }
    const cookie = gatewayCookie(value);
    if (cookie !== null) out.push([name, cookie]);
  }
  return out;
}
