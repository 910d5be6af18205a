/** What may be kept at the edge, under which name, for whom: one valid request and answer, one thing changed per case. */
import { expect, test } from "vitest";
import { FillBudget, edgeAsset, edgeBuild, edgeKeep, edgeKey, leaseKey, leasedBuild, newLease } from "../../../src/core/http/edge-cache.ts";
import { EDGE_KEEP_SECONDS, EDGE_LEASE_MS, MAX_EDGE_ASSET_BYTES } from "../../../src/protocol/limits.ts";

const ORIGIN = "https://slug.example";

interface Asked {
  readonly method?: string;
  readonly pathname?: string;
  readonly search?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function asset(change: Asked = {}) {
  const headers: Record<string, string> = { "accept-encoding": "gzip, deflate, br, zstd", ...change.headers };
  return edgeAsset({
    method: change.method ?? "GET",
    pathname: change.pathname ?? "/assets/index-DsEuFQRE.js",
    search: change.search ?? "",
    header: (name) => headers[name] ?? null,
  });
}

test("[EC1] files that the real Control UI loads: hashed names below assets, public files that name the build", () => {
  for (const pathname of [
    "/assets/index-DsEuFQRE.js",
    "/assets/gateway-runtime-hTh6B_FS.js",
    "/assets/__vite-browser-external-2447137e-Bt5J11Ku.js",
    "/assets/absolutely-dark-BCt4vgFE.webp",
    "/base/path/assets/control-ui-core-2cJmD3kZ.css",
  ])
    expect(asset({ pathname })).toEqual({ name: pathname, coding: "br-gzip" });
  const search = "?v=2026.9.6-release-eb377ac59e6c-2026-09-23T16-33-12.144Z-314f5d48";
  expect(asset({ pathname: "/favicon.svg", search })?.name).toBe(`/favicon.svg${search}`);
});

test.each<[string, Asked]>([
  ["another method", { method: "HEAD" }],
  ["a write", { method: "POST" }],
  ["no hash", { pathname: "/assets/index.js" }],
  ["a short hash", { pathname: "/assets/index-abc.js" }],
  ["hashed elsewhere", { pathname: "/index-DsEuFQRE.js" }],
  ["a page", { pathname: "/assets/index-DsEuFQRE.html" }],
  ["no ending", { pathname: "/assets/index-DsEuFQRE" }],
  ["a query", { search: "?x=1" }],
  ["two queries", { search: "?v=12345678&x=1" }],
  ["a version too short to be a build", { search: "?v=1" }],
  ["ours", { pathname: "/.gatehouse/assets/index-DsEuFQRE.js" }],
  ["a dot folder", { pathname: "/a/.b/assets/index-DsEuFQRE.js" }],
  ["encoded", { pathname: "/%61ssets/index-DsEuFQRE.js" }],
  ["two slashes", { pathname: "//assets/index-DsEuFQRE.js" }],
  ["a parameter", { pathname: "/assets;x/index-DsEuFQRE.js" }],
  ["live reads", { pathname: "/api/assets/index-DsEuFQRE.js" }],
  ["somebody's media", { pathname: "/__openclaw__/assistant-media/assets/x-DsEuFQRE.png" }],
  ["somebody's picture", { pathname: "/avatar/assets/x-DsEuFQRE.png" }],
  ["a plugin's", { pathname: "/plugins/p/assets/x-DsEuFQRE.js" }],
  ["something shared", { pathname: "/share/assets/x-DsEuFQRE.js" }],
  ["too long", { pathname: `/assets/${"a".repeat(600)}-DsEuFQRE.js` }],
  ["a part of it", { headers: { range: "bytes=0-1" } }],
  ["with a password", { headers: { authorization: "Bearer x" } }],
  ["conditional", { headers: { "if-none-match": '"x"' } }],
  ["a forced reload", { headers: { "cache-control": "no-cache" } }],
  ["a forced reload of old", { headers: { pragma: "no-cache" } }],
  ["refuses an encoding", { headers: { "accept-encoding": "gzip, br;q=0" } }],
  ["takes any encoding", { headers: { "accept-encoding": "*" } }],
])("[EC1] [EC5] not from the edge: %s", (_what, change) => {
  expect(asset()).not.toBe(null);
  expect(asset(change)).toBe(null);
});

test("[EC2] the key holds gateway, build, encoding and name; no two that differ in one of them are the same", () => {
  const base = asset();
  const gzip = asset({ headers: { "accept-encoding": "gzip" } });
  const none = asset({ headers: { "accept-encoding": "identity" } });
  const other = asset({ pathname: "/assets/index-DsEuFQRF.js" });
  const builds = [edgeBuild("key", "build"), edgeBuild("key", "build2"), edgeBuild("key2", "build"), edgeBuild("keyb", "uild")];
  const keys = [ORIGIN, "https://other.example"].flatMap((origin) =>
    builds.flatMap((build) => [base, gzip, none, other].map((each) => (each === null ? "" : edgeKey(origin, build, each)))),
  );
  expect(new Set([...keys, leaseKey(ORIGIN, "s1"), leaseKey(ORIGIN, "s2")]).size).toBe(34);
  for (const key of keys) expect(new URL(key).pathname.startsWith("/.gatehouse/edge/")).toBe(true);
  expect(builds[0]).toMatch(/^[A-Za-z0-9_-]{22}$/);
});

const FIELDS: readonly (readonly [string, string])[] = [
  ["content-type", "text/javascript; charset=utf-8"],
  ["cache-control", "public, max-age=31536000, immutable"],
  ["vary", "Accept-Encoding"],
  ["content-encoding", "br"],
  ["content-length", "1350"],
];

function changed(name: string, ...values: readonly string[]): readonly (readonly [string, string])[] {
  return [...FIELDS.filter(([each]) => each !== name), ...values.map((value) => [name, value] as const)];
}

test("[EC1] [EC4] the real gateway's answer may be kept, for a day at most and never longer than it says", () => {
  expect(edgeKeep(200, FIELDS, "br-gzip")).toEqual({ bytes: 1350, seconds: EDGE_KEEP_SECONDS });
  expect(edgeKeep(200, changed("cache-control", "public, immutable, max-age=60"), "br-gzip")?.seconds).toBe(60);
  expect(edgeKeep(200, changed("cache-control", "public, immutable, max-age=600, s-maxage=7"), "br-gzip")?.seconds).toBe(7);
  for (const name of ["vary", "content-encoding"]) expect(edgeKeep(200, changed(name), "identity") === null).toBe(name === "vary");
  for (const type of ["text/css", "application/javascript", "font/woff2", "image/svg+xml", "image/webp", "application/wasm"])
    expect(edgeKeep(200, changed("content-type", type), "br")).not.toBe(null);
});

test.each<[string, readonly (readonly [string, string])[]]>([
  ["no cache-control", changed("cache-control")],
  ["not public", changed("cache-control", "max-age=31536000, immutable")],
  ["not immutable", changed("cache-control", "public, max-age=31536000")],
  ["private as well", changed("cache-control", "public, private, max-age=31536000, immutable")],
  ["private for one field", changed("cache-control", 'public, private="x", max-age=31536000, immutable')],
  ["no-store in a second field", changed("cache-control", "public, max-age=31536000, immutable", "no-store")],
  ["no-cache as well", changed("cache-control", "public, max-age=31536000, immutable, no-cache")],
  ["no lifetime", changed("cache-control", "public, immutable")],
  ["lifetime 0", changed("cache-control", "public, immutable, max-age=0")],
  ["lifetime 0 for shared caches", changed("cache-control", "public, immutable, max-age=9, s-maxage=0")],
  ["a lifetime that is none", changed("cache-control", "public, immutable, max-age=1e9x")],
  ["a cookie", [...FIELDS, ["set-cookie", "a=1"]]],
  ["varies by cookie", changed("vary", "Accept-Encoding, Cookie")],
  ["varies by origin in a second field", changed("vary", "Accept-Encoding", "Origin")],
  ["varies by anything", changed("vary", "*")],
  ["a page", changed("content-type", "text/html; charset=utf-8")],
  ["data", changed("content-type", "application/json")],
  ["no type", changed("content-type")],
  ["two types", changed("content-type", "text/css", "text/html")],
  ["a type that only begins so", changed("content-type", "text/cssx")],
  ["an encoding that was not asked for", changed("content-encoding", "zstd")],
  ["two encodings", changed("content-encoding", "br", "gzip")],
  ["no length", changed("content-length")],
  ["nothing", changed("content-length", "0")],
  ["two lengths", changed("content-length", "1", "2")],
  ["one byte too long", changed("content-length", String(MAX_EDGE_ASSET_BYTES + 1))],
  ["a part", [...FIELDS, ["content-range", "bytes 0-1/2"]]],
  ["asks who it is", [...FIELDS, ["www-authenticate", "Basic"]]],
  ["clears what the page stored", [...FIELDS, ["clear-site-data", '"*"']]],
  ["a field beyond ASCII", [...FIELDS, ["x-title", "Zürich"]]],
])("[EC1] not kept: %s", (_what, fields) => {
  expect(edgeKeep(200, fields, "br-gzip")).toBe(null);
});

test("[EC1] not kept: any other status, or an encoding that this visitor does not take", () => {
  for (const status of [201, 203, 206, 301, 304, 404, 500]) expect(edgeKeep(status, FIELDS, "br-gzip")).toBe(null);
  expect(edgeKeep(200, FIELDS, "gzip")).toBe(null);
  expect(edgeKeep(200, changed("content-length", String(MAX_EDGE_ASSET_BYTES)), "br")?.bytes).toBe(MAX_EDGE_ASSET_BYTES);
});

test("[EC3] a lease ends with its time and with its session, and nothing else counts as one", () => {
  const build = edgeBuild("key", "build");
  const now = 1_000_000;
  expect(newLease(build, now, now + 3_600_000)).toEqual({ build, untilMs: now + EDGE_LEASE_MS });
  expect(newLease(build, now, now + 5)).toEqual({ build, untilMs: now + 5 });
  const lease = newLease(build, now, now + 3_600_000);
  expect(leasedBuild(lease, now)).toBe(build);
  expect(leasedBuild(lease, now + EDGE_LEASE_MS - 1)).toBe(build);
  expect(leasedBuild(lease, now + EDGE_LEASE_MS)).toBe(null);
  expect(leasedBuild(lease, now - 1)).toBe(null);
  for (const wrong of [null, undefined, 7, {}, { ...lease, build: "../x" }, { ...lease, untilMs: "9" }])
    expect(leasedBuild(wrong, now)).toBe(null);
});

test("[EC4] what is on its way into the cache is bounded; what was never given back counts for a minute", () => {
  const budget = new FillBudget(10);
  const release = budget.take(6, 0);
  expect(budget.take(5, 0)).toBe(null);
  const other = budget.take(4, 0);
  expect(other).not.toBe(null);
  release?.();
  expect(budget.take(6, 0)).not.toBe(null);
  expect(budget.take(1, 60_000)).toBe(null);
  expect(budget.take(10, 60_001)).not.toBe(null);
});
