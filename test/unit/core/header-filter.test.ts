/** Which header fields cross, in both directions. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { forwardedHeaders, isForOwnOrigin } from "../../../src/connector/streams/forwarded-headers.ts";
import { boundedFromVisitor, fromGateway, fromVisitor } from "../../../src/core/http/header-filter.ts";
import type { StreamOpen } from "../../../src/protocol/link-messages.ts";
import { TEST_ORIGIN } from "../../support/connector-state.ts";

const OPEN: StreamOpen = {
  kind: "http", method: "GET", path: "/", headers: [], session: "s".repeat(22), device: "d".repeat(26), access: "full", clientIp: "198.51.100.7",
  host: "gw.localhost:8787", hasBody: false,
}; // prettier-ignore

/** As Chromium and the stock page of the named release send them. */
const FROM_BROWSER: [string, string][] = [
  ["accept", "*/*"], ["accept-encoding", "gzip, br"], ["accept-language", "en"], ["authorization", "Bearer t"], ["cache-control", "no-cache"],
  ["content-type", "application/json"], ["cookie", "theirs=1"], ["dnt", "1"], ["host", "gw.localhost:8787"], ["if-none-match", "x"],
  ["if-modified-since", "x"], ["if-range", "x"], ["origin", TEST_ORIGIN], ["pragma", "no-cache"], ["priority", "u=1"], ["range", "bytes=0-"],
  ["referer", `${TEST_ORIGIN}/`], ["sec-ch-ua", "x"], ["sec-ch-ua-platform", "x"], ["sec-fetch-dest", "empty"], ["sec-fetch-mode", "cors"],
  ["sec-fetch-site", "same-origin"], ["sec-fetch-storage-access", "active"], ["sec-gpc", "1"], ["sec-purpose", "prefetch"], ["sec-websocket-protocol", "a"],
  ["service-worker", "script"], ["upgrade-insecure-requests", "1"], ["user-agent", "x"], ["x-openclaw-requester-session-key", "main"],
]; // prettier-ignore

const FORGED = [
  "X-Forwarded-For", "x-forwarded-user", "x-forwarded", "X-Original-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP", "client-ip", "True-Client-IP",
  "x_forwarded_for", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "proxy", "Via", "CF-Connecting-IP", "Tailscale-User-Login", "X-OpenClaw-Scopes",
  "X-OpenClaw-Token", "X-Pomerium-Jwt", "X-Gatehouse-Session", "X-Envoy-External-Address", "X-User", "X-Client-Cert", "Remote-User", "X-Evil", "Upgrade", "TE",
]; // prettier-ignore

test("[HD1] [case 42] what browsers and the stock page send passes unchanged", () => {
  expect(fromVisitor(FROM_BROWSER)).toEqual(FROM_BROWSER);
});

test.each(FORGED)("[HD1] [case 42] %s does not pass", (name) => {
  expect(fromVisitor([[name, "127.0.0.1"], ["Accept", "*/*"]])).toEqual([["accept", "*/*"]]); // prettier-ignore
});

const OWN = ["host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-openclaw-scopes"];
/** Said here once more, so that a name put into the filter by mistake is seen. */
const KNOWN = /^(?:accept(?:-charset|-encoding|-language)?|content-(?:disposition|encoding|language|length|type)|if-(?:(?:un)?modified-since|(?:none-)?match|range)|range|authorization|cache-control|cookie|dnt|host|last-event-id|origin|pragma|priority|referer|save-data|sec-(?:fetch|ch)-.*|sec-gpc|sec-purpose|sec-websocket-protocol|service-worker(?:-navigation-preload)?|upgrade-insecure-requests|user-agent|x-openclaw-requester-session-key)$/; // prettier-ignore

test("[HD1] [HD2] whatever a visitor sends, no other name leaves the connector", () => {
  const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,30}$/);
  const near = fc
    .tuple(fc.constantFrom("x-", "sec-", "cf-", "X-Forwarded-", "x_", "content-", "accept-", ""), token)
    .map((parts) => parts.join(""));
  const name = fc.oneof(token, near, fc.constantFrom(...FORGED, ...FROM_BROWSER.map(([each]) => each.toUpperCase())));
  fc.assert(
    fc.property(fc.array(fc.tuple(name, fc.constantFrom("1", "127.0.0.1", TEST_ORIGIN)), { maxLength: 40 }), (headers) => {
      const sent = forwardedHeaders({ ...OPEN, headers }, "look", TEST_ORIGIN) ?? {};
      expect(Object.keys(sent).filter((each) => !OWN.includes(each) && !KNOWN.test(each))).toEqual([]);
      const { "x-forwarded-for": address, "x-forwarded-proto": proto, "x-forwarded-host": host, "x-openclaw-scopes": scopes } = sent;
      expect([address, proto, host, scopes, sent["host"]]).toEqual(["198.51.100.7", "https", "gw.localhost:8787", "operator.read", "gw.localhost:8787"]); // prettier-ignore
    }),
  );
});

test("[HD5] a stream for another host, or from another origin, is not the gateway's", () => {
  const isOwn = (changes: Partial<StreamOpen>): boolean => isForOwnOrigin({ ...OPEN, ...changes }, TEST_ORIGIN);
  expect([isOwn({}), isOwn({ headers: [["Origin", TEST_ORIGIN]] })]).toEqual([true, true]);
  for (const host of ["localhost:18789", "gw.localhost", "other.localhost:8787", "gw.localhost:8787.evil.example", ""])
    expect([host, isOwn({ host })]).toEqual([host, false]);
  for (const origin of ["http://127.0.0.1:18789", "null", "https://gw.localhost:8787", `${TEST_ORIGIN}/`, ""])
    expect([origin, isOwn({ headers: [["ORIGIN", origin]] })]).toEqual([origin, false]);
  expect(isOwn({ headers: [["origin", TEST_ORIGIN], ["origin", "http://localhost"]] })).toBe(false); // prettier-ignore
});

test("[HD6] the room drops what is ours or of this hop; names are not its business", () => {
  const visitor: [string, string][] = [
    ["Upgrade", "websocket"],
    ["Connection", "keep-alive, X-Evil, Origin"],
    ["X-Evil", "1"],
    ["X-Gatehouse-Session", "x"],
    ["Cookie", "__Host-gth_s=a; theirs=1; __Host-gth_d=b"],
    ["Host", "g.localhost"],
    ["Origin", "http://g.localhost"],
    ["X-Other", "1"],
  ];
  expect(boundedFromVisitor(visitor)).toEqual([["cookie", "theirs=1"], ["host", "g.localhost"], ["origin", "http://g.localhost"], ["x-other", "1"]]); // prettier-ignore
});

test("[HD6] too many or too large headers, and line breaks, are refused whole", () => {
  for (const judged of [boundedFromVisitor, fromVisitor]) {
    expect(judged([["accept", "x".repeat(33_000)]])).toBe(null);
    expect(judged(Array.from({ length: 101 }, () => ["accept", "1"] as const))).toBe(null);
    expect(judged([["accept", "b\r\nX-Forwarded-For: 127.0.0.1"]])).toBe(null);
  }
});

test.each([
  ["a=1, __Host-gth_s=stolen", "a=1"],
  ["__Host-gth_s=stolen, a=1", "a=1"],
  ["a=1; b=2, __host-gth_d=x,c=3; d=4", "a=1; b=2; c=3; d=4"],
  ["__Secure-gth_x=1", null],
  ["list=1,2,3; b=2", "list=1,2,3; b=2"],
])("[HD6] cookies of several fields, %j, are split before ours are left out", (value, kept) => {
  const cookies = kept === null ? [] : [["cookie", kept]];
  expect([boundedFromVisitor([["Cookie", value]]), fromVisitor([["Cookie", value]])]).toEqual([cookies, cookies]);
});

test("[HD3] the gateway's cookies lose Domain and never take our names", () => {
  expect(fromGateway([["Set-Cookie", "a=1; Domain=localhost; Path=/"], ["set-cookie", "__Host-gth_s=forged; Path=/"], ["Transfer-Encoding", "chunked"], ["ETag", "x"]])).toEqual([
    ["set-cookie", "a=1; Path=/"],
    ["etag", "x"],
  ]); // prettier-ignore
});
