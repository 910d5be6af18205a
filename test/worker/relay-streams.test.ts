/** WebSocket streams through a real room: what arrives is what was sent. */
import { evictDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { FRAME_CLOSE, FRAME_RESET } from "../../src/protocol/frame.ts";
import { INITIAL_CREDIT_BYTES, MAX_MESSAGE_BYTES, PROBES_STILL, PROBE_INTERVAL_MS, STALLED_STREAM_MS } from "../../src/protocol/limits.ts";
import { Relay } from "../../src/worker/room/relay.ts";
import { FakeConnector } from "./fake-connector.ts";
import type { FakeStream } from "./fake-connector.ts";
import { FakeBrowser, allowDevice, env, newBench, upgrade, visit } from "./room-bench.ts";
import type { AllowedDevice, Bench } from "./room-bench.ts";

const MIB = 1_048_576;
/** What the stock UI sends for an image of the most that OpenClaw takes (6 MiB): Base64, in a request. */
const OPENCLAW_IMAGE_BYTES = 8 * MIB + 600;

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

async function connected() {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const device = await allowDevice(bench);
  return { bench, connector, device };
}

async function openStream(
  bench: Bench,
  connector: FakeConnector,
  device: AllowedDevice,
  path = "/",
): Promise<{ browser: FakeBrowser; stream: FakeStream }> {
  const answer = upgrade(bench, device, path);
  const stream = await connector.streams.next();
  stream.opened();
  return { browser: new FakeBrowser(await answer), stream };
}

function pattern(bytes: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i += 1) out[i] = (i * 31 + (i >> 8)) & 0xff;
  return out;
}

async function hash(bytes: ArrayBuffer | Uint8Array<ArrayBuffer>): Promise<string> {
  return [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))].join(",");
}

test.each([0, 1, 65_527, 65_528, 65_529, 200_000, 262_144, 1_000_000])(
  "[ST2] a binary message of %d bytes arrives as one message in both directions",
  async (bytes) => {
    const { bench, connector, device } = await connected();
    const { browser, stream } = await openStream(bench, connector, device);
    const message = pattern(bytes);
    browser.ws.send(message);
    const up = await stream.messages.next();
    expect(up.isText).toBe(false);
    expect(await hash(up.data)).toBe(await hash(message));
    await stream.send(message);
    const down = await browser.messages.next();
    expect(down).toBeInstanceOf(ArrayBuffer);
    expect(await hash(down as ArrayBuffer)).toBe(await hash(message));
  },
);

test("[ST2] kind, order and boundaries arrive as sent, the empty message and text beyond ASCII included", async () => {
  const { bench, connector, device } = await connected();
  const { browser, stream } = await openStream(bench, connector, device);
  // "ping": what a runtime that answers by itself would swallow.
  const sent = ["", "a", "ping", "Zürich 🙂", new Uint8Array([0, 255]), "b".repeat(70_000), new Uint8Array(0)];
  for (const message of sent) browser.ws.send(message);
  for (const message of sent) {
    const got = await stream.messages.next();
    expect(got.isText).toBe(typeof message === "string");
    expect(typeof message === "string" ? new TextDecoder().decode(got.data) : got.data).toEqual(message);
  }
  for (const message of sent) await stream.send(message);
  for (const message of sent) {
    const got = await browser.messages.next();
    expect(typeof got === "string" ? got : new Uint8Array(got)).toEqual(message);
  }
});

test("[ST2] [case 21] a message of exactly 25 MiB crosses in both directions", async () => {
  const { bench, connector, device } = await connected();
  const { browser, stream } = await openStream(bench, connector, device);
  const message = pattern(MAX_MESSAGE_BYTES);
  const expected = await hash(message);
  browser.ws.send(message);
  expect(await hash((await stream.messages.next()).data)).toBe(expected);
  const sending = stream.send(message);
  expect(await hash((await browser.messages.next()) as ArrayBuffer)).toBe(expected);
  await sending;
}, 30_000);

test("[ST2] [case 21] one byte more than 25 MiB ends the stream with 1009 and leaves its neighbour alone", async () => {
  const { bench, connector, device } = await connected();
  const neighbour = await openStream(bench, connector, device);
  const up = await openStream(bench, connector, device);
  up.browser.ws.send(new Uint8Array(MAX_MESSAGE_BYTES + 1));
  expect((await up.browser.closed).code).toBe(1009);
  expect(await up.stream.endings.next()).toMatchObject({ type: FRAME_RESET, code: 1009 });
  const down = await openStream(bench, connector, device);
  void down.stream.send(new Uint8Array(MAX_MESSAGE_BYTES + 1));
  expect((await down.browser.closed).code).toBe(1009);
  expect(await down.stream.endings.next()).toMatchObject({ type: FRAME_RESET, code: 1009 });
  neighbour.browser.ws.send("still here");
  expect((await neighbour.stream.messages.next()).isText).toBe(true);
}, 30_000);

test("[CR6] [case 21] two messages of 25 MiB at once both arrive: the second waits for the first", async () => {
  const { bench, connector, device } = await connected();
  const a = await openStream(bench, connector, device);
  const b = await openStream(bench, connector, device);
  const message = pattern(MAX_MESSAGE_BYTES);
  const sending = Promise.all([a.stream.send(message), b.stream.send(message)]);
  // A connector asks every second; here as fast as the room answers.
  for (let asked = 0; asked < 2_000 && a.browser.messages.count + b.browser.messages.count < 2; asked += 1) {
    for (const { stream } of [a, b]) if (stream.isBlocked) stream.probe();
    await bench.room.snapshot({ account: "nobody" });
  }
  for (const { browser } of [a, b]) {
    expect(browser.messages.count).toBe(1);
    expect(await hash((await browser.messages.next()) as ArrayBuffer)).toBe(await hash(message));
  }
  await sending;
  // The one that had to wait was told so, and not left to give up.
  expect([...a.stream.credits, ...b.stream.credits]).toContain(0);
}, 30_000);

test("[CR6] more than 32 MiB in all: what holds most is reset with 4413, the others go on", async () => {
  const { bench, connector, device } = await connected();
  const neighbour = await openStream(bench, connector, device);
  const large = upgrade(bench, device);
  const first = await connector.streams.next();
  first.opened();
  // Browsers that never read; the first one holds a whole large message.
  const unread = [await large];
  void first.send(pattern(20 * 1024 * 1024));
  const stuck: FakeStream[] = [];
  for (let i = 0; i < 12 && first.endings.count === 0; i += 1) {
    const answer = upgrade(bench, device);
    const stream = await connector.streams.next();
    stream.opened();
    unread.push(await answer);
    stuck.push(stream);
    void stream.send(pattern(1_200_000));
    for (let asked = 0; asked < 30; asked += 1) {
      for (const each of [first, ...stuck]) if (each.isBlocked) each.probe();
      neighbour.browser.ws.send("beside");
      await neighbour.stream.messages.next();
    }
  }
  expect(await first.endings.next()).toMatchObject({ type: FRAME_RESET, code: 4413 });
  for (const stream of stuck) expect(stream.endings.count).toBe(0);
  expect(stuck.length).toBeGreaterThan(8);
});

test.each([
  ["and the gateway takes nothing for two seconds", PROBES_STILL * PROBE_INTERVAL_MS, "connector-gateway: gateway too slow"],
  ["faster than anybody takes it", 0, "device-room: too much at once"],
] as const)("[CR6] [ST9] [case 20] more than 32 MiB that browsers sent %s: what holds most is reset, for that leg; the others arrive whole", async (_what, stillMs, reason) => {
  const { bench, connector, device } = await connected();
  const open = async () => {
    const opened = await openStream(bench, connector, device);
    opened.stream.isGranting = false;
    return opened;
  };
  vi.useFakeTimers({ toFake: ["Date"] });
  const most = await open();
  // Eight may wait for one stream; the last of them is what makes it hold more than the others.
  for (let sent = 0; sent < 8; sent += 1) most.browser.ws.send(pattern(1_048_576));
  await most.stream.probes.next();
  const others = [await open(), await open(), await open(), await open()];
  vi.setSystemTime(Date.now() + stillMs);
  for (const { browser } of others) for (let sent = 0; sent < 7; sent += 1) browser.ws.send(pattern(1_048_576));
  expect(await most.stream.endings.next()).toEqual({ type: FRAME_RESET, code: 4413, reason });
  expect(await most.browser.closed).toEqual({ code: 4413, reason });
  for (const { stream } of others) {
    expect(stream.endings.count).toBe(0);
    stream.isGranting = true;
    stream.grant(stream.receivedBytes);
    for (let got = 0; got < 7; got += 1) expect((await stream.messages.next()).data.byteLength).toBe(1_048_576);
  }
}, 30_000); // prettier-ignore

test.each([
  ["the link is silent, too", false, "room-connector: no answer"],
  ["the link is heard", true, "connector-gateway: gateway too slow"],
] as const)("[CR11] [ST9] what a browser sent stands still for ten seconds and %s: its stream ends for that leg", async (_what, isHeard, reason) => {
  const { bench, connector, device } = await connected();
  const neighbour = await openStream(bench, connector, device);
  const { browser, stream } = await openStream(bench, connector, device);
  stream.isGranting = false;
  browser.ws.send(pattern(300_000));
  await stream.probes.next();
  vi.useFakeTimers({ now: Date.now() + STALLED_STREAM_MS + 1_000, toFake: ["Date"] });
  if (isHeard) {
    await neighbour.stream.send("alive");
    await neighbour.browser.messages.next();
  }
  browser.ws.send("one more");
  expect(await browser.closed).toEqual({ code: 4413, reason });
  expect(await stream.endings.next()).toEqual({ type: FRAME_RESET, code: 4413, reason });
}); // prettier-ignore

test.each([
  ["eight messages of 1 MiB each", Array.from({ length: 8 }, () => 1_048_576)],
  ["25 MiB in one message, and what comes before and behind it,", [300_000, MAX_MESSAGE_BYTES, 10]],
  ["two of OpenClaw's largest images, one behind the other,", [OPENCLAW_IMAGE_BYTES, OPENCLAW_IMAGE_BYTES]],
] as const)("[CR6] %s wait in the room for a gateway that takes nothing, and arrive when it reads again", async (_what, sizes) => {
  const { bench, connector, device } = await connected();
  const { browser, stream } = await openStream(bench, connector, device);
  stream.isGranting = false;
  for (const bytes of sizes) browser.ws.send(pattern(bytes));
  browser.ws.close(1000, "done");
  // Answered when everything is in the room.
  expect((await browser.closed).code).toBe(1000);
  stream.isGranting = true;
  stream.grant(stream.receivedBytes);
  for (const bytes of sizes) expect((await stream.messages.next()).data.byteLength).toBe(bytes);
  expect(await stream.endings.next()).toMatchObject({ type: FRAME_CLOSE, code: 1000 });
});

test.each([
  ["a ninth MiB behind eight messages", Array.from({ length: 9 }, () => 1_048_576)],
  ["two of 6 MiB behind one of 12", [12 * MIB, 6 * MIB, 6 * MIB]],
  ["8 MiB behind 25, more than a room holds", [MAX_MESSAGE_BYTES, 8 * MIB]],
] as const)(
  "[CR6] [ST9] %s, and no credit: the stream ends with 4413 and says that it was too much, what comes later is dropped",
  async (_what, sizes) => {
    const { bench, connector, device } = await connected();
    const neighbour = await openStream(bench, connector, device);
    const { browser, stream } = await openStream(bench, connector, device);
    stream.isGranting = false;
    vi.useFakeTimers({ toFake: ["Date"] });
    for (const bytes of [...sizes, 10, 20]) browser.ws.send(pattern(bytes));
    const ending = { code: 4413, reason: "device-room: too much at once" };
    expect(await stream.endings.next()).toEqual({ type: FRAME_RESET, ...ending });
    expect(await browser.closed).toEqual(ending);
    const { receivedBytes } = stream;
    expect(receivedBytes).toBeLessThanOrEqual(INITIAL_CREDIT_BYTES);
    // Credit that comes now releases nothing.
    stream.grant(receivedBytes);
    neighbour.browser.ws.send("still here");
    await neighbour.stream.messages.next();
    expect(stream.receivedBytes).toBe(receivedBytes);
  },
);

test("[ST5] the gateway's close code and reason reach the browser, the browser's reach the gateway", async () => {
  const { bench, connector, device } = await connected();
  const down = await openStream(bench, connector, device);
  down.stream.close(1008, "pairing required");
  expect(await down.browser.closed).toEqual({ code: 1008, reason: "pairing required" });
  const crashed = await openStream(bench, connector, device);
  crashed.stream.close(1006, "");
  expect((await crashed.browser.closed).code).toBe(4502);
  const up = await openStream(bench, connector, device);
  up.browser.ws.close(4001, "bye");
  expect(await up.stream.endings.next()).toEqual({ type: FRAME_CLOSE, code: 4001, reason: "bye" });
  // Answered by the room, not by the platform's time-out.
  expect((await up.browser.closed).code).toBe(4001);
  const plain = await openStream(bench, connector, device);
  plain.browser.ws.close();
  expect(await plain.stream.endings.next()).toMatchObject({ type: FRAME_CLOSE, code: 1005 });
});

test("[ST5] what the browser sent before its close goes first, even when it has to wait for credit", async () => {
  const { bench, connector, device } = await connected();
  const { browser, stream } = await openStream(bench, connector, device);
  stream.isGranting = false;
  browser.ws.send(pattern(600_000));
  browser.ws.close(1000, "done");
  expect(await stream.probes.next()).toBeLessThan(65_528);
  stream.isGranting = true;
  // What a gateway does that reads again: everything it took is granted.
  stream.grant(stream.receivedBytes);
  expect((await stream.messages.next()).data.byteLength).toBe(600_000);
  expect(await stream.endings.next()).toMatchObject({ type: FRAME_CLOSE, code: 1000 });
});

test("[ST3] the upgrade is answered with the connector's OPENED, with the gateway's subprotocol; its first frame is at hand", async () => {
  const { bench, connector, device } = await connected();
  const answer = upgrade(bench, device, "/?a=1", { "sec-websocket-protocol": "x.v1, x.v2" });
  const stream = await connector.streams.next();
  expect(stream.open).toMatchObject({ kind: "ws", method: "GET", path: "/?a=1", device: device.device, access: "full", hasBody: false });
  stream.opened(101, [["sec-websocket-protocol", "x.v2"]]);
  await stream.send("challenge");
  const response = await answer;
  expect(response.status).toBe(101);
  expect(response.headers.get("sec-websocket-protocol")).toBe("x.v2");
  expect(await new FakeBrowser(response).messages.next()).toBe("challenge");
});

test("[ST3] a gateway that refuses the upgrade is quoted with status and body", async () => {
  const { bench, connector, device } = await connected();
  const answer = upgrade(bench, device);
  const stream = await connector.streams.next();
  stream.opened(403, [["content-type", "application/json"]]);
  await stream.body(new TextEncoder().encode('{"error":"no"}'));
  stream.end();
  const response = await answer;
  expect(response.status).toBe(403);
  expect(await response.json()).toEqual({ error: "no" });
});

test("[ST6] streams go on after the room slept: both ways, closes, and fresh ids for new streams", async () => {
  const { bench, connector, device } = await connected();
  const { browser, stream } = await openStream(bench, connector, device);
  for (let round = 0; round < 3; round += 1) {
    await evictDurableObject(bench.room);
    browser.ws.send(pattern(150_000));
    expect((await stream.messages.next()).data.byteLength).toBe(150_000);
    await evictDurableObject(bench.room);
    await stream.send(pattern(150_000));
    expect(((await browser.messages.next()) as ArrayBuffer).byteLength).toBe(150_000);
    // FakeConnector refuses a stream id that it saw before.
    await openStream(bench, connector, device);
  }
  await evictDurableObject(bench.room);
  stream.close(1000, "over");
  expect(await browser.closed).toEqual({ code: 1000, reason: "over" });
});

test("[ST5] a browser that closes while the room sleeps: the gateway hears it", async () => {
  const { bench, connector, device } = await connected();
  const { browser, stream } = await openStream(bench, connector, device);
  await evictDurableObject(bench.room);
  browser.ws.close(4321, "the page is done");
  expect(await stream.endings.next()).toMatchObject({ type: FRAME_CLOSE, code: 4321, reason: "the page is done" });
});

test("[ST6] a message that was half in the room's memory when it slept ends its stream, never a broken message", async () => {
  const { bench, connector, device } = await connected();
  const down = await openStream(bench, connector, device);
  const up = await openStream(bench, connector, device);
  const whole = await openStream(bench, connector, device);
  connector.frame(new Uint8Array([3, 0, 0, 0, ...idBytes(down.stream.id), 1, 2, 3]));
  up.stream.isGranting = false;
  up.browser.ws.send(pattern(600_000));
  await up.stream.probes.next();
  await evictDurableObject(bench.room);
  await whole.stream.send("awake");
  expect(await whole.browser.messages.next()).toBe("awake");
  expect((await down.browser.closed).code).toBe(4502);
  expect((await up.browser.closed).code).toBe(4502);
  expect(await down.stream.endings.next()).toMatchObject({ type: FRAME_RESET });
  expect(down.browser.messages.count).toBe(0);
});

test("[ST6] [case 10] when the room is thrown away with its sockets, both ends of every stream end", async () => {
  const { bench, connector, device } = await connected();
  const { browser } = await openStream(bench, connector, device);
  await evictDurableObject(bench.room, { webSockets: "close" });
  await browser.closed;
  await connector.closed;
  const again = await FakeConnector.up(env, bench.gateway, bench.identity, connector.generation);
  expect((await openStream(bench, again, device)).stream.id).toBeGreaterThan(0);
});

test("[CR2] a connector that sends more than it was granted loses that stream only", async () => {
  const { bench, connector, device } = await connected();
  const greedy = await openStream(bench, connector, device);
  const neighbour = await openStream(bench, connector, device);
  // Bypasses the fake's own credit; nothing is ever final, so that the room consumes without delivering.
  const frame = new Uint8Array(8 + 65_528);
  frame.set([3, 0, 0, 0, ...idBytes(greedy.stream.id)]);
  greedy.stream.ignoresCredit = true;
  // Two large messages: the neighbour's keeps the room from granting more to the greedy one.
  void neighbour.stream.send(pattern(3 * 1024 * 1024));
  expect(((await neighbour.browser.messages.next()) as ArrayBuffer).byteLength).toBe(3 * 1024 * 1024);
  const hog = await openStream(bench, connector, device);
  const hogFrame = frame.slice();
  hogFrame.set([3, 0, 0, 0, ...idBytes(hog.stream.id)]);
  for (let i = 0; i < 20; i += 1) connector.frame(hogFrame);
  for (let i = 0; i < 40; i += 1) connector.frame(frame);
  expect((await greedy.browser.closed).code).toBe(4413);
  neighbour.browser.ws.send("still here");
  expect((await neighbour.stream.messages.next()).isText).toBe(true);
});

test("[CR3] [case 19] a browser that reads nothing gets no more credit; its neighbour does not notice", async () => {
  const { bench, connector, device } = await connected();
  const answer = upgrade(bench, device);
  const stuck = await connector.streams.next();
  stuck.opened();
  // Never accepted: nothing drains.
  const { webSocket } = await answer;
  expect(webSocket).not.toBe(null);
  const neighbour = await openStream(bench, connector, device);
  let sent = 0;
  const message = pattern(60_000);
  void (async () => {
    for (; sent < 500; sent += 1) await stuck.send(message);
  })();
  for (let i = 0; i < 50; i += 1) {
    stuck.probe();
    neighbour.browser.ws.send("ping");
    await neighbour.stream.messages.next();
    await neighbour.stream.send("pong");
    expect(await neighbour.browser.messages.next()).toBe("pong");
  }
  expect(stuck.isBlocked).toBe(true);
  // Nothing at all for a browser that stands still: its sender gives up after ten seconds.
  const before = stuck.credits.length;
  stuck.probe();
  neighbour.browser.ws.send("after the probe");
  await neighbour.stream.messages.next();
  expect(stuck.credits.length).toBe(before);
  // 1 MiB unsent, plus at most two windows under way.
  expect(sent * message.byteLength).toBeLessThan(2 * 1024 * 1024);
});

test("[ST8] RESET of the connector ends the browser's socket with its code; later frames for it are answered with RESET", async () => {
  const { bench, connector, device } = await connected();
  const { browser, stream } = await openStream(bench, connector, device);
  stream.reset(4413, "too slow");
  expect(await browser.closed).toEqual({ code: 4413, reason: "too slow" });
  connector.frame(new Uint8Array([3, 1, 0, 0, ...idBytes(stream.id), 9]));
  expect(await stream.endings.next()).toMatchObject({ type: FRAME_RESET });
});

function idBytes(id: number): number[] {
  return [id >>> 24, (id >>> 16) & 0xff, (id >>> 8) & 0xff, id & 0xff];
}

test("a room that fails while a visitor's request begins answers 500 in one plain sentence", async () => {
  const bench = await newBench();
  await FakeConnector.up(env, bench.gateway, bench.identity);
  const device = await allowDevice(bench);
  vi.spyOn(Relay.prototype, "fetchStream").mockImplementation(() => {
    throw new Error("the storage of this room is gone: secret words");
  });
  const answer = await visit(bench, device, "/");
  expect([answer.status, await answer.text()]).toEqual([500, "Something went wrong on our side.\n"]);
});
