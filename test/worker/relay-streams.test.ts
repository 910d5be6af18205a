/** WebSocket streams through a real room: what arrives is what was sent. */
import { evictDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { FRAME_CLOSE, FRAME_RESET } from "../../src/protocol/frame.ts";
import { Relay } from "../../src/worker/room/relay/relay.ts";
import { FakeConnector, frameFor } from "./fake-connector.ts";
import { FakeBrowser, allowDevice, connected, env, newBench, openStream, upgrade, visit } from "./room-bench.ts";
import { pattern, hash } from "./long-messages.ts";
import { expectFailures } from "./expected-failures.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

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
  connector.frame(frameFor(3, 0, down.stream.id, [1, 2, 3]));
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

test("[ST8] RESET of the connector ends the browser's socket with its code; later frames for it are answered with RESET", async () => {
  const { bench, connector, device } = await connected();
  const { browser, stream } = await openStream(bench, connector, device);
  stream.reset(4413, "too slow");
  expect(await browser.closed).toEqual({ code: 4413, reason: "too slow" });
  connector.frame(frameFor(3, 1, stream.id, [9]));
  expect(await stream.endings.next()).toMatchObject({ type: FRAME_RESET });
});

test("a room that fails while a visitor's request begins answers 500 in one plain sentence", async () => {
  expectFailures("room-request");
  const bench = await newBench();
  await FakeConnector.up(env, bench.gateway, bench.identity);
  const device = await allowDevice(bench);
  vi.spyOn(Relay.prototype, "fetchStream").mockImplementation(() => {
    throw new Error("the storage of this room is gone: secret words");
  });
  const answer = await visit(bench, device, "/");
  expect([answer.status, await answer.text()]).toEqual([500, "Something went wrong on our side.\n"]);
});
