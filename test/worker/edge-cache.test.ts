/** Kept files at the edge: who gets them without the room, what is never kept, and what an upgrade or a cut does to them. */
import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { edgeAsset, edgeBuild, edgeKey, leaseKey } from "../../src/core/http/edge-cache.ts";
import { EDGE_LEASE_MS, MAX_EDGE_ASSET_BYTES, MAX_EDGE_MEMORY_BYTES } from "../../src/protocol/limits.ts";
import { utf8 } from "../../src/protocol/statement-encoding.ts";
import { handle } from "../../src/worker/app.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { FakeConnector } from "./fake-connector.ts";
import { ACCOUNT, allowDevice, env, newBench } from "./room-bench.ts";
import type { AllowedDevice, Bench } from "./room-bench.ts";

type Fields = readonly (readonly [string, string])[];

const ASSET = "/assets/index-DsEuFQRE.js";
const BODY = utf8("let a = 1;".repeat(1_000));
const IMMUTABLE = ["cache-control", "public, max-age=31536000, immutable"] as const;
const SCRIPT: Fields = [["content-type", "text/javascript; charset=utf-8"], IMMUTABLE, ["vary", "Accept-Encoding"]];

/** A gateway that answers everything with the same fields and body, and notes what it was asked. */
class FakeGateway {
  readonly bench: Bench;
  fields: Fields = SCRIPT;
  body: Uint8Array<ArrayBuffer> = BODY;
  status = 200;
  /** Stated length; the body's own unless given. */
  length: number | null | undefined;
  /** Breaks off after the body instead of ending it. */
  breaksOff = false;
  asked: string[] = [];
  /** Accept-Encoding of each. */
  codings: (string | undefined)[] = [];
  #connector: FakeConnector | null = null;

  constructor(bench: Bench) {
    this.bench = bench;
  }

  async connect(build?: string): Promise<void> {
    const connector = await FakeConnector.dial(env, this.bench.gateway);
    this.#connector = connector;
    await connector.hello(this.bench.gateway, this.bench.identity, {
      report: { state: "online", ...(build === undefined ? {} : { build }) },
    });
    await connector.welcome();
    void this.#serve(connector);
  }

  async #serve(connector: FakeConnector): Promise<void> {
    for (;;) {
      const stream = await connector.streams.next();
      this.asked.push(stream.open.path);
      this.codings.push(stream.open.headers.find(([name]) => name === "accept-encoding")?.[1]);
      const length = this.length === undefined ? this.body.byteLength : this.length;
      const { breaksOff } = this;
      stream.opened(this.status, length === null ? this.fields : [...this.fields, ["content-length", String(length)]]);
      // Not waited for: a visitor that leaves takes no more of it.
      void stream.body(this.body).then(() => (breaksOff ? stream.reset(4502, "gateway broke off") : stream.end()));
    }
  }

  /** Says that it is another build now. @returns when the room knows */
  async report(report: { state: "online" | "offline"; build?: string }): Promise<void> {
    this.#connector?.say({ type: "report", report });
    for (;;) {
      const snapshot = await this.bench.room.snapshot({ account: ACCOUNT });
      if (snapshot.ok && snapshot.value.report?.build === report.build && snapshot.value.report?.state === report.state) return;
    }
  }
}

async function connected(build: string | undefined = "build-1") {
  const bench = await newBench();
  const gateway = new FakeGateway(bench);
  await gateway.connect(build);
  return { bench, gateway, device: await allowDevice(bench) };
}

interface Loaded {
  readonly status: number;
  readonly headers: Headers;
  /** Null when it broke off. */
  readonly body: Uint8Array | null;
}

/** One request as the Worker answers it, until everything that goes on after the answer is done. */
async function load(bench: Bench, device: AllowedDevice | null, path: string, headers: Record<string, string> = {}): Promise<Loaded> {
  const work: Promise<unknown>[] = [];
  const sent = new Headers({ "accept-encoding": "gzip, deflate, br, zstd", ...headers });
  if (device !== null) sent.set("cookie", device.cookie);
  const response = await handle(new Request(bench.origin + path, { headers: sent, redirect: "manual" }), env, (each) => work.push(each));
  const body = await response.arrayBuffer().then((bytes) => new Uint8Array(bytes), () => null); // prettier-ignore
  await Promise.all(work);
  return { status: response.status, headers: response.headers, body };
}

const NAVIGATION = { "sec-fetch-mode": "navigate", accept: "text/html" };

test("[EC1] [EC3] the second load of a kept file reaches neither connector nor room, byte for byte as the gateway sent it", async () => {
  const { bench, gateway, device } = await connected();
  gateway.fields = [...SCRIPT, ["content-encoding", "br"], ["content-security-policy", "default-src 'self'"], ["x-frame-options", "DENY"]];
  const first = await load(bench, device, ASSET);
  expect(first.headers.get("cache-status")).toBe(null);
  // Were the room asked, it would refuse: its session is gone. The Worker's own checks are all that is left.
  await runInDurableObject(bench.room, (_room, state) => new RoomStorage(state.storage).deleteSessionsOf(device.device));
  const second = await load(bench, device, ASSET);
  expect(gateway.asked).toEqual([ASSET]);
  expect(second.headers.get("cache-status")).toBe("gatehouse; hit");
  expect(second.headers.get("age")).toMatch(/^\d+$/);
  for (const loaded of [first, second]) {
    expect(loaded.status).toBe(200);
    expect(loaded.body).toEqual(BODY);
    for (const [name, value] of gateway.fields) expect(loaded.headers.get(name)).toBe(value);
    expect(loaded.headers.get("content-length")).toBe(String(BODY.byteLength));
    expect([...loaded.headers.keys()].filter((name) => /^(x-gatehouse-|cf-|set-cookie)/.test(name))).toEqual([]);
  }
});

test("[EC3] the page's own load gives its session the lease: every file after it comes from the edge on the second load", async () => {
  const { bench, gateway, device } = await connected();
  await load(bench, device, ASSET);
  const other = await allowDevice(bench);
  gateway.fields = [
    ["content-type", "text/html"],
    ["cache-control", "no-cache"],
    ["content-encoding", "br"],
  ];
  const page = await load(bench, other, "/chat", NAVIGATION);
  expect([page.status, page.headers.get("content-encoding"), page.headers.get("content-length")]).toEqual([
    200,
    "br",
    String(BODY.byteLength),
  ]);
  expect(page.body).toEqual(BODY);
  expect([...page.headers.keys()].filter((name) => name.startsWith("x-gatehouse-"))).toEqual([]);
  expect((await load(bench, other, ASSET)).headers.get("cache-status")).toBe("gatehouse; hit");
  expect(gateway.asked).toEqual([ASSET, "/chat"]);
});

test("[EC3] without a session, with one that is over, or with another gateway's cookie: 401 as before, whatever is kept", async () => {
  const { bench, gateway, device } = await connected();
  await load(bench, device, ASSET);
  const over = await allowDevice(bench, { expiresAtMs: Date.now() - 1 });
  const elsewhere = await allowDevice(await newBench());
  const forged = { ...device, cookie: `${device.cookie.slice(0, -4)}AAAA` };
  for (const visitor of [null, over, elsewhere, forged]) {
    const refused = await load(bench, visitor, ASSET);
    expect(refused.status).toBe(401);
    expect(refused.headers.get("cache-status")).toBe(null);
  }
  expect(gateway.asked).toEqual([ASSET]);
});

test("[EC3] a session that the room has not answered yet asks the room, and one that the room refused has lost its lease", async () => {
  const { bench, gateway, device } = await connected();
  await load(bench, device, ASSET);
  const other = await allowDevice(bench);
  await load(bench, other, ASSET);
  expect(gateway.asked).toEqual([ASSET, ASSET]);
  expect((await load(bench, other, ASSET)).headers.get("cache-status")).toBe("gatehouse; hit");
  await runInDurableObject(bench.room, (_room, state) => new RoomStorage(state.storage).deleteSessionsOf(other.device));
  expect((await load(bench, other, "/assets/other-DsEuFQRE.js")).status).toBe(401);
  expect((await load(bench, other, ASSET)).status).toBe(401);
  expect(gateway.asked).toHaveLength(2);
});

test("[EC3] a lease that has run out asks the room again, and the room refuses a device that was cut meanwhile", async () => {
  const { bench, gateway, device } = await connected();
  await load(bench, device, ASSET);
  const cache = await caches.open("gatehouse-edge");
  const sessionId = device.cookie.slice(device.cookie.indexOf("=") + 1).split(".")[0] ?? "";
  const key = leaseKey(bench.origin, sessionId);
  const lease: { build: string; untilMs: number } = await (await cache.match(key))?.json() ?? { build: "", untilMs: 0 }; // prettier-ignore
  expect(lease.untilMs - Date.now()).toBeLessThanOrEqual(EDGE_LEASE_MS);
  await cache.put(key, Response.json({ ...lease, untilMs: Date.now() - 1 }, { headers: { "cache-control": "max-age=60" } }));
  await runInDurableObject(bench.room, (_room, state) => new RoomStorage(state.storage).deleteSessionsOf(device.device));
  expect((await load(bench, device, ASSET)).status).toBe(401);
  expect(gateway.asked).toEqual([ASSET]);
});

test("[EC2] an upgrade of the gateway makes every file a new one; a gateway that names no build keeps none", async () => {
  const { bench, gateway, device } = await connected();
  await load(bench, device, ASSET);
  await gateway.report({ state: "online", build: "build-2" });
  gateway.body = utf8("let a = 2;");
  // The page's next load tells the edge.
  await load(bench, device, "/", NAVIGATION);
  expect((await load(bench, device, ASSET)).body).toEqual(gateway.body);
  expect(gateway.asked).toEqual([ASSET, "/", ASSET]);
  expect((await load(bench, device, ASSET)).headers.get("cache-status")).toBe("gatehouse; hit");
  await gateway.report({ state: "online" });
  const other = await allowDevice(bench);
  await load(bench, other, ASSET);
  await load(bench, other, ASSET);
  expect(gateway.asked).toHaveLength(5);
});

test("[EC2] another machine of the same gateway, another gateway and another encoding never meet one another's files", async () => {
  const a = await connected();
  const b = await connected();
  await load(a.bench, a.device, ASSET);
  b.gateway.body = utf8("other");
  expect((await load(b.bench, b.device, ASSET)).body).toEqual(b.gateway.body);
  expect(b.gateway.asked).toEqual([ASSET]);
  a.gateway.body = utf8("plain");
  expect((await load(a.bench, a.device, ASSET, { "accept-encoding": "identity" })).body).toEqual(a.gateway.body);
  expect(a.gateway.asked).toEqual([ASSET, ASSET]);
  const key = "K".repeat(43);
  expect(edgeBuild(a.bench.identity.key.x, "build-1")).not.toBe(edgeBuild(key, "build-1"));
});

test.each([
  ["a page", "/assets/index-DsEuFQRE.js", [["content-type", "text/html"], IMMUTABLE]],
  ["with a cookie", ASSET, [...SCRIPT, ["set-cookie", "a=1"]]],
  ["with a cookie in our name", ASSET, [...SCRIPT, ["set-cookie", "a=1; Domain=x"], ["vary", "Cookie"]]],
  [
    "without immutable",
    ASSET,
    [
      ["content-type", "text/css"],
      ["cache-control", "public, max-age=31536000"],
    ],
  ],
  [
    "private",
    ASSET,
    [
      ["content-type", "text/css"],
      ["cache-control", "private, max-age=31536000, immutable"],
    ],
  ],
  ["an address without a hash", "/app.js", SCRIPT],
  ["a live path", "/api/assets/index-DsEuFQRE.js", SCRIPT],
  ["a plugin's file", "/plugins/x/assets/index-DsEuFQRE.js", SCRIPT],
  ["the start page", "/", SCRIPT],
] as const)("[EC1] a gateway that calls it immutable gains nothing: %s", async (_what, path, fields) => {
  const { bench, gateway, device } = await connected();
  gateway.fields = fields;
  await load(bench, device, path);
  await load(bench, device, path);
  expect(gateway.asked).toEqual([path, path]);
});

test("[EC1] nothing under /.gatehouse/ is ever kept or looked up, and no key is an address that answers", async () => {
  const { bench, gateway, device } = await connected();
  await load(bench, device, ASSET);
  const asset = edgeAsset({
    method: "GET",
    pathname: ASSET,
    search: "",
    header: (name) => (name === "accept-encoding" ? "gzip, br" : null),
  });
  if (asset === null) throw new Error("not an asset");
  const key = edgeKey(bench.origin, edgeBuild(bench.identity.key.x, "build-1"), asset);
  expect(await (await caches.open("gatehouse-edge")).match(key)).toBeDefined();
  for (const path of [key.slice(bench.origin.length), "/.gatehouse/assets/index-DsEuFQRE.js", "/.gatehouse/x-DsEuFQRE.js"]) {
    const answer = await load(bench, device, path);
    expect([path, answer.status, answer.headers.get("cache-status")]).toEqual([path, 404, null]);
  }
  expect(gateway.asked).toEqual([ASSET]);
});

test("[EC4] [EC3] what the cache holds is remembered beside it, up to its size; the lease is asked of the cache each time", async () => {
  const { bench, gateway, device } = await connected();
  const cache = await caches.open("gatehouse-edge");
  const keyOf = (path: string): string => {
    const header = (name: string): string | null => (name === "accept-encoding" ? "gzip, br" : null);
    const asset = edgeAsset({ method: "GET", pathname: path, search: "", header });
    if (asset === null) throw new Error("not an asset");
    return edgeKey(bench.origin, edgeBuild(bench.identity.key.x, "build-1"), asset);
  };
  const large = "/assets/large-DsEuFQRE.js";
  await load(bench, device, ASSET);
  gateway.body = new Uint8Array(MAX_EDGE_MEMORY_BYTES / 8 + 1);
  await load(bench, device, large);
  for (const path of [ASSET, large]) {
    expect((await load(bench, device, path)).headers.get("cache-status")).toBe("gatehouse; hit");
    expect(await cache.delete(keyOf(path))).toBe(true);
  }
  const remembered = await load(bench, device, ASSET);
  expect([remembered.headers.get("cache-status"), remembered.headers.get("content-length")]).toEqual([
    "gatehouse; hit",
    String(BODY.byteLength),
  ]);
  expect(remembered.body).toEqual(BODY);
  expect((await load(bench, device, large)).headers.get("cache-status")).toBe(null);
  const session = device.cookie.slice(device.cookie.indexOf("=") + 1).split(".")[0] ?? "";
  expect(await cache.delete(leaseKey(bench.origin, session))).toBe(true);
  expect((await load(bench, device, ASSET)).headers.get("cache-status")).toBe(null);
});

test.each(["range", "authorization", "if-none-match", "if-modified-since"])("[EC5] a request with %s goes to the gateway", async (name) => {
  const { bench, gateway, device } = await connected();
  await load(bench, device, ASSET);
  const answer = await load(bench, device, ASSET, { [name]: "x" });
  expect(answer.headers.get("cache-status")).toBe(null);
  expect(gateway.asked).toEqual([ASSET, ASSET]);
});

test("[EC4] a body at the limit is kept, one byte more is not", async () => {
  const { bench, gateway, device } = await connected();
  gateway.body = new Uint8Array(MAX_EDGE_ASSET_BYTES);
  await load(bench, device, ASSET);
  expect((await load(bench, device, ASSET)).body?.byteLength).toBe(MAX_EDGE_ASSET_BYTES);
  expect(gateway.asked).toEqual([ASSET]);
  gateway.body = new Uint8Array(MAX_EDGE_ASSET_BYTES + 1);
  const larger = "/assets/larger-DsEuFQRE.js";
  for (let i = 0; i < 2; i += 1) expect((await load(bench, device, larger)).body?.byteLength).toBe(MAX_EDGE_ASSET_BYTES + 1);
  expect(gateway.asked).toEqual([ASSET, larger, larger]);
});

test("[EC4] an answer that broke off, or whose visitor left, is not kept; nor one that states no length", async () => {
  const { bench, gateway, device } = await connected();
  gateway.breaksOff = true;
  gateway.length = BODY.byteLength + 1;
  expect((await load(bench, device, ASSET)).body).toBe(null);
  expect((await load(bench, device, ASSET)).body).toBe(null);
  // Ends as if it were whole, one byte short of what it stated.
  gateway.breaksOff = false;
  expect((await load(bench, device, ASSET)).body).toBe(null);
  gateway.length = null;
  expect((await load(bench, device, ASSET)).body).toEqual(BODY);
  expect((await load(bench, device, ASSET)).headers.get("cache-status")).toBe(null);
  expect(gateway.asked).toHaveLength(5);
  // The visitor goes in the middle of a body that would have fitted.
  gateway.length = undefined;
  gateway.body = new Uint8Array(3 * 1024 * 1024);
  const work: Promise<unknown>[] = [];
  const request = new Request(bench.origin + ASSET, { headers: { cookie: device.cookie, "accept-encoding": "gzip, br" } });
  const reader = (await handle(request, env, (each) => work.push(each))).body?.getReader();
  await reader?.read();
  await reader?.cancel();
  await Promise.all(work);
  gateway.body = BODY;
  expect((await load(bench, device, ASSET)).headers.get("cache-status")).toBe(null);
  expect(gateway.asked).toHaveLength(7);
});

test("where everything is on one machine, the gateway is asked for the one coding that the runtime there hands on to this browser", async () => {
  const { bench, gateway, device } = await connected();
  const away = { ...env, APP_ORIGIN: "https://app.example.com", GATEWAY_DOMAIN: "example.net" };
  const asked = async (origin: string, place: typeof env, clientAcceptEncoding?: string): Promise<string | undefined> => {
    const headers = { cookie: device.cookie, "accept-encoding": "br, gzip" };
    // What the runtime before the Worker says of the browser's own field, on this machine and on Cloudflare.
    const request = new Request(`${origin}/`, { headers, cf: { clientAcceptEncoding } });
    await (await handle(request, place)).arrayBuffer();
    return gateway.codings.at(-1);
  };
  expect(await asked(bench.origin, env, "gzip, deflate, br, zstd")).toBe("gzip");
  expect(await asked(bench.origin, env, "br")).toBe("br");
  expect(await asked(bench.origin, env)).toBe("br, gzip");
  expect(await asked(`https://${bench.gateway}.example.net`, away, "gzip, deflate, br, zstd")).toBe("br, gzip");
});
