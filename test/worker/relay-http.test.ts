/** HTTP exchanges through a real room: bodies of any length, headers, and every way to break off. */
import { evictDurableObject } from "cloudflare:test";
import { expect, test, vi } from "vitest";
import { FRAME_END, FRAME_RESET } from "../../src/protocol/frame.ts";
import { INITIAL_CREDIT_BYTES, MAX_EXCHANGES_PER_DEVICE, MAX_STREAMS_PER_DEVICE, SILENT_EXCHANGE_MS } from "../../src/protocol/limits.ts";
import { allowDevice, connected, openStream, upgrade, visit } from "./room-bench.ts";
import { passTime } from "./room-clock.ts";

const MIB = 1024 * 1024;

function headersOf(pairs: readonly (readonly [string, string])[]): Record<string, string> {
  return Object.fromEntries(pairs);
}

/** A body of `chunks` times one megabyte, made while it is read. */
function longBody(chunks: number): ReadableStream<Uint8Array> {
  let made = 0;
  return new ReadableStream({
    pull(controller) {
      if (made === chunks) return controller.close();
      controller.enqueue(new Uint8Array(MIB).fill(made & 0xff));
      made += 1;
    },
  });
}

test("[ST4] [HD6] request and answer cross; a visitor's marks of ours and its cookies of ours do not", async () => {
  const { bench, connector, device } = await connected();
  const answer = visit(bench, device, "/assets/index.js?v=1", {
    headers: {
      accept: "text/javascript",
      "x-forwarded-for": "127.0.0.1",
      "x-gatehouse-client-ip": "127.0.0.1",
      "x-gatehouse-session": "forged-forged-forged-forged",
      "x-openclaw-scopes": "operator.admin",
      "cf-connecting-ip": "198.51.100.7",
      "x-real-ip": "127.0.0.1",
    },
  });
  const stream = await connector.streams.next();
  const { open } = stream;
  expect(open).toMatchObject({ kind: "http", method: "GET", path: "/assets/index.js?v=1", clientIp: "198.51.100.7", hasBody: false });
  expect(open.device).toBe(device.device);
  const sent = headersOf(open.headers);
  expect(sent["accept"]).toBe("text/javascript");
  expect(Object.keys(sent).filter((name) => /^(x-gatehouse-|cookie)/.test(name))).toEqual([]);
  // What else a visitor claims is the connector's to judge (HD1).
  expect(JSON.stringify(open)).not.toContain("forged-forged");
  expect(await stream.endings.next()).toMatchObject({ type: FRAME_END });
  stream.opened(200, [
    ["content-type", "text/javascript"],
    ["set-cookie", "a=1; Domain=localhost; Path=/"],
    ["set-cookie", "b=2"],
    ["set-cookie", "__Host-gth_s=forged"],
    ["connection", "keep-alive"],
    ["x-gatehouse-refused", "1"],
    ["x-odd\u0000name", "left out"],
  ]);
  await stream.body(new TextEncoder().encode("let a;"));
  stream.end();
  const response = await answer;
  expect(response.status).toBe(200);
  expect(response.headers.getSetCookie()).toEqual(["a=1; Path=/", "b=2"]);
  expect(response.headers.get("x-gatehouse-refused")).toBe(null);
  expect(response.headers.get("connection")).toBe(null);
  expect(await response.text()).toBe("let a;");
});

test.each(["/x?", "/x", "/x?a=%27&b=?"])("[IS14] the address %s reaches the connector as sent", async (path) => {
  const { bench, connector, device } = await connected();
  const answer = visit(bench, device, path);
  const stream = await connector.streams.next();
  expect(stream.open.path).toBe(path);
  stream.opened(204);
  stream.end();
  await answer;
});

test("[ST4] an upload of 200 MiB crosses with credit, in order, never held whole", async () => {
  const { bench, connector, device } = await connected();
  const answer = visit(bench, device, "/upload", { method: "POST", headers: { origin: bench.origin }, body: longBody(200) });
  const stream = await connector.streams.next();
  expect(stream.open.hasBody).toBe(true);
  expect(await stream.endings.next()).toMatchObject({ type: FRAME_END });
  expect(stream.receivedBytes).toBe(200 * MIB);
  stream.opened(204);
  stream.end();
  expect((await answer).status).toBe(204);
}, 60_000);

test("[ST4] a download of 200 MiB crosses with credit and its length", async () => {
  const { bench, connector, device } = await connected();
  const answer = visit(bench, device, "/download");
  const stream = await connector.streams.next();
  stream.opened(200, [["content-length", String(200 * MIB)]]);
  const sending = (async () => {
    for (let i = 0; i < 200; i += 1) await stream.body(new Uint8Array(MIB).fill(i & 0xff));
    stream.end();
  })();
  const { body } = await answer;
  let bytes = 0;
  let isInOrder = true;
  for await (const chunk of body ?? []) {
    const part = chunk as Uint8Array;
    isInOrder &&= part[0] === (Math.floor(bytes / MIB) & 0xff);
    bytes += part.byteLength;
  }
  expect(bytes).toBe(200 * MIB);
  expect(isInOrder).toBe(true);
  await sending;
}, 60_000);

test("[CR1] a visitor that does not read holds up its own download only", async () => {
  const { bench, connector, device } = await connected();
  const stuck = visit(bench, device, "/stuck");
  const stream = await connector.streams.next();
  stream.opened(200);
  void stream.body(new Uint8Array(4 * MIB));
  const response = await stuck;
  expect(await stream.endings.next()).toMatchObject({ type: FRAME_END });
  for (let i = 0; i < 20; i += 1) {
    stream.probe();
    const other = visit(bench, device, "/other");
    const beside = await connector.streams.next();
    beside.opened(200);
    await beside.body(new Uint8Array([1]));
    beside.end();
    expect((await (await other).arrayBuffer()).byteLength).toBe(1);
  }
  expect(stream.isBlocked).toBe(true);
  await response.body?.cancel();
  expect(await stream.endings.next()).toMatchObject({ type: FRAME_RESET });
});

test("[CR1] a gateway that does not read holds up the upload, and the room asks instead of sending on", async () => {
  const { bench, connector, device } = await connected();
  const answer = visit(bench, device, "/upload", { method: "PUT", headers: { origin: bench.origin }, body: longBody(8) });
  const stream = await connector.streams.next();
  stream.isGranting = false;
  await stream.probes.next();
  expect(stream.receivedBytes).toBeLessThanOrEqual(INITIAL_CREDIT_BYTES);
  // The gateway answers without reading on, as it does with 413.
  stream.opened(413);
  stream.end();
  expect((await answer).status).toBe(413);
});

test("[ST6] an answer that breaks off is an error for the visitor, not a shorter answer", async () => {
  const { bench, connector, device } = await connected();
  for (const headers of [[], [["content-length", "100"]]] as const) {
    const answer = visit(bench, device, "/");
    const stream = await connector.streams.next();
    stream.opened(200, headers);
    void stream.body(new Uint8Array(10));
    const response = await answer;
    stream.reset(4502, "gateway broke off");
    // A lost connection, which the runtime keeps quiet about; any other failure it reports as an uncaught error.
    await expect(response.arrayBuffer()).rejects.toMatchObject({ retryable: true });
  }
});

test("[ST6] when the link goes, exchanges end: 502 before the answer, an error inside a body", async () => {
  const { bench, connector, device } = await connected();
  const early = visit(bench, device, "/early");
  await connector.streams.next();
  const late = visit(bench, device, "/late");
  const stream = await connector.streams.next();
  stream.opened(200);
  const body = expect((await late).arrayBuffer()).rejects.toThrow();
  connector.ws.close(1001, "going away");
  expect((await early).status).toBe(502);
  await body;
  expect((await visit(bench, device, "/after")).status).toBe(503);
});

test.each([
  [4401, 401],
  [4403, 403],
  [4404, 404],
  [4502, 502],
  [1002, 502],
])("[ST1] RESET %d before the answer is status %d", async (code, status) => {
  const { bench, connector, device } = await connected();
  const answer = visit(bench, device, "/");
  (await connector.streams.next()).reset(code, "no");
  const response = await answer;
  expect(response.status).toBe(status);
  expect(response.headers.get("cache-control")).toBe("no-store");
});

test.each(["HEAD", "GET"])("[ST4] an answer without a body: %s", async (method) => {
  const { bench, connector, device } = await connected();
  const answer = visit(bench, device, "/", { method });
  const stream = await connector.streams.next();
  stream.opened(method === "HEAD" ? 200 : 304, [["etag", '"x"']]);
  stream.end();
  const response = await answer;
  expect(response.headers.get("etag")).toBe('"x"');
  expect(await response.text()).toBe("");
});

test("[ST1] an answer that is none ends its exchange, not the link", async () => {
  const { bench, connector, device } = await connected();
  const bodyFirst = visit(bench, device, "/");
  const first = await connector.streams.next();
  void first.body(new Uint8Array(1));
  expect((await bodyFirst).status).toBe(502);
  const switching = visit(bench, device, "/");
  const second = await connector.streams.next();
  second.opened(101);
  expect((await switching).status).toBe(502);
  const interim = visit(bench, device, "/");
  const third = await connector.streams.next();
  third.opened(103);
  expect((await interim).status).toBe(502);
  const endFirst = visit(bench, device, "/");
  (await connector.streams.next()).end();
  expect((await endFirst).status).toBe(502);
});

test("refused before the gateway hears of it: too large headers, too long a path", async () => {
  const { bench, device } = await connected();
  expect((await visit(bench, device, `/${"a".repeat(9_000)}`)).status).toBe(414);
  expect((await visit(bench, device, "/", { headers: { "x-large": "x".repeat(33_000) } })).status).toBe(431);
  // Within the limits, but longer as JSON than one frame may be.
  expect((await visit(bench, device, "/", { headers: { "x-quotes": '"'.repeat(32_000), "x-more": "\\".repeat(700) } })).status).toBe(431);
});

test("[IS1] a device at its ceiling gets 429, others none", async () => {
  const { bench, connector, device } = await connected();
  const waiting = Array.from({ length: MAX_EXCHANGES_PER_DEVICE }, () => visit(bench, device, "/"));
  const streams = [];
  for (let i = 0; i < MAX_EXCHANGES_PER_DEVICE; i += 1) streams.push(await connector.streams.next());
  expect((await visit(bench, device, "/")).status).toBe(429);
  const sockets = [];
  for (let i = MAX_EXCHANGES_PER_DEVICE; i < MAX_STREAMS_PER_DEVICE; i += 1) sockets.push(await openStream(bench, connector, device));
  expect((await upgrade(bench, device)).status).toBe(429);
  const other = visit(bench, await allowDevice(bench), "/");
  streams.push(await connector.streams.next());
  for (const stream of streams) {
    stream.opened(204);
    stream.end();
  }
  for (const each of [...waiting, other]) expect((await each).status).toBe(204);
  expect(connector.streams.count).toBe(0);
  for (const { browser } of sockets) browser.ws.close();
});

test("[IS6] a visitor that leaves ends its exchange at once, answered or not", async () => {
  const { bench, connector, device } = await connected();
  for (const isAnswered of [false, true]) {
    const leaving = new AbortController();
    const answer = visit(bench, device, "/events", { signal: leaving.signal });
    const stream = await connector.streams.next();
    expect(await stream.endings.next()).toMatchObject({ type: FRAME_END });
    if (isAnswered) {
      stream.opened(200, [["content-type", "text/event-stream"]]);
      await answer;
    }
    leaving.abort();
    expect(await stream.endings.next()).toEqual({ type: FRAME_RESET, code: 1001, reason: "visitor went away" });
    await answer.catch(() => undefined);
  }
});

test("[IS7] a device at its ceiling loses what was silent longest, not its next request", async () => {
  const { bench, connector, device } = await connected();
  const open = async () => {
    const answer = visit(bench, device, "/events");
    const stream = await connector.streams.next();
    stream.opened(200);
    return { stream, response: await answer };
  };
  const all = [];
  for (let i = 0; i < MAX_EXCHANGES_PER_DEVICE; i += 1) all.push(await open());
  const [first, second] = all;
  try {
    passTime(SILENT_EXCHANGE_MS);
    void first?.stream.body(new Uint8Array(1));
    const beside = await allowDevice(bench);
    const silent = visit(bench, beside, "/events");
    const others = await connector.streams.next();
    passTime(SILENT_EXCHANGE_MS - 1);
    const next = await open();
    expect(await second?.stream.endings.next()).toMatchObject({ type: FRAME_END });
    expect(await second?.stream.endings.next()).toMatchObject({ type: FRAME_RESET, code: 1001 });
    await expect(second?.response.arrayBuffer()).rejects.toThrow();
    others.opened(204);
    others.end();
    expect((await silent).status).toBe(204);
    all.push(next);
  } finally {
    vi.useRealTimers();
  }
  for (const { response } of all) await response.body?.cancel().catch(() => undefined);
});

test.each([
  [4413, "device-room: the body did not come", 408, "body did not come"],
  [4502, "connector-gateway: the answer's header is too large", 502, "too large a header"],
])("[IS3] [IS9] RESET %d %s has a status and words of its own", async (code, reason, status, words) => {
  const { bench, connector, device } = await connected();
  const answer = visit(bench, device, "/upload", { method: "POST", headers: { origin: bench.origin }, body: "x" });
  (await connector.streams.next()).reset(code, reason);
  const response = await answer;
  expect([response.status, await response.text()]).toEqual([status, expect.stringContaining(words)]);
});

test("[IS9] an answer with 200 fields, one of 40 KiB, crosses", async () => {
  const { bench, connector, device } = await connected();
  const answer = visit(bench, device, "/");
  const stream = await connector.streams.next();
  const fields = Array.from({ length: 199 }, (_, i): [string, string] => [`x-${i}`, "1"]);
  stream.opened(200, [...fields, ["x-long", "y".repeat(40_960)]]);
  stream.end();
  const { headers } = await answer;
  expect([headers.get("x-198"), headers.get("x-long")?.length]).toEqual(["1", 40_960]);
});

test("[IS6] a visitor that leaves before its upgrade is answered ends it at once", async () => {
  const { bench, connector, device } = await connected();
  const leaving = new AbortController();
  const headers = { upgrade: "websocket", origin: bench.origin };
  const answer = visit(bench, device, "/", { headers, signal: leaving.signal }).catch(() => undefined);
  const stream = await connector.streams.next();
  leaving.abort();
  expect(await stream.endings.next()).toEqual({ type: FRAME_RESET, code: 1001, reason: "visitor went away" });
  await answer;
});

test("[FR4] [LINK5] ids go on after the room slept, and the connector is told when somebody is there", async () => {
  const { bench, connector, device } = await connected();
  const ids: number[] = [];
  for (let i = 0; i < 3; i += 1) {
    const answer = visit(bench, device, "/");
    const stream = await connector.streams.next();
    ids.push(stream.id);
    stream.opened(204);
    stream.end();
    await answer;
    expect(await connector.control.next()).toEqual({ type: "attention", busy: true });
    expect(await connector.control.next()).toEqual({ type: "attention", busy: false });
    await evictDurableObject(bench.room);
  }
  expect(ids.toSorted((a, b) => a - b)).toEqual(ids);
  expect(new Set(ids).size).toBe(3);
});
