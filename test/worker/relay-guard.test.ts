/** The guard: nothing of a device crosses once it is cut, or once its session is over. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { FRAME_RESET } from "../../src/protocol/frame.ts";
import { ROOM_PING } from "../../src/protocol/words.ts";
import type { DeviceRow } from "../../src/worker/room/storage/rows.ts";
import { Admission } from "../../src/worker/room/context.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { FakeConnector, frameFor } from "./fake-connector.ts";
import { ACCOUNT, allowDevice, connected, env, newBench, openStream, upgrade, visit } from "./room-bench.ts";
import type { AllowedDevice, Bench } from "./room-bench.ts";
import { passTime } from "./room-clock.ts";
import { expectFailures } from "./expected-failures.ts";

afterEach(() => {
  vi.useRealTimers();
});

async function putDevice(bench: Bench, device: AllowedDevice, deviceState: DeviceRow["state"] = "allowed"): Promise<void> {
  const row: DeviceRow = {
    id: device.device,
    key: { kty: "OKP", crv: "Ed25519", x: "A".repeat(43) },
    name: "Phone",
    platform: "",
    browser: "",
    access: "full",
    kind: "ask",
    grant: "g".repeat(26),
    state: deviceState,
    createdAtMs: 1,
    lastSeenMs: null,
    notAfterMs: Date.now() + 3_600_000,
    token: null,
    activation: null,
  };
  await runInDurableObject(bench.room, (_room, state) => new RoomStorage(state.storage).put("devices", row.id, row));
}

async function answerCut(connector: FakeConnector): Promise<void> {
  for (;;) {
    const message = await connector.control.next();
    if (message.type !== "cut") continue;
    const cut = { streamsClosed: 0, removed: 0, done: true, atMs: 1 };
    return connector.say({ type: "result", id: message.id, ok: true, cut });
  }
}

test("[ST7] [CUT1] [case 26] a cut ends sockets, bodies and waiting upgrades of that device at both ends, and nothing crosses any more", async () => {
  const { bench, connector, device } = await connected();
  await putDevice(bench, device);
  const other = await openStream(bench, connector, await allowDevice(bench));
  const cut = await openStream(bench, connector, device);
  const download = visit(bench, device, "/");
  const body = await connector.streams.next();
  body.opened(200);
  void body.body(new Uint8Array(10));
  const reading = expect((await download).arrayBuffer()).rejects.toThrow();
  const waiting = upgrade(bench, device);
  const pending = await connector.streams.next();
  const receipt = bench.room.cut({ account: ACCOUNT, device: device.device });
  expect(await cut.browser.closed).toMatchObject({ code: 4403 });
  await reading;
  expect((await waiting).status).toBe(403);
  for (const { endings } of [cut.stream, pending]) expect(await endings.next()).toMatchObject({ type: FRAME_RESET, code: 4403 });
  // The gateway goes on as if nothing had happened.
  connector.frame(frameFor(3, 3, cut.stream.id, [104, 105]));
  expect(await cut.stream.endings.next()).toMatchObject({ type: FRAME_RESET });
  expect(cut.browser.messages.count).toBe(0);
  await answerCut(connector);
  expect(await receipt).toMatchObject({ ok: true });
  expect((await visit(bench, device, "/")).status).toBe(401);
  other.browser.ws.send("unharmed");
  expect((await other.stream.messages.next()).isText).toBe(true);
});

test("[ST7] [case 9] [case 27] a cut device that ignores the close sends into nothing, also after the room slept", async () => {
  const { bench, connector, device } = await connected();
  await putDevice(bench, device);
  const answer = upgrade(bench, device);
  const stream = await connector.streams.next();
  stream.opened();
  const { webSocket } = await answer;
  // Does not answer a close.
  webSocket?.accept({ allowHalfOpen: true });
  webSocket?.send("before");
  expect((await stream.messages.next()).isText).toBe(true);
  const receipt = bench.room.cut({ account: ACCOUNT, device: device.device });
  expect(await stream.endings.next()).toMatchObject({ type: FRAME_RESET, code: 4403 });
  webSocket?.send("after the cut");
  await answerCut(connector);
  await receipt;
  await evictDurableObject(bench.room);
  webSocket?.send("after its sleep");
  const beside = await openStream(bench, connector, await allowDevice(bench));
  beside.browser.ws.send("later than both");
  await beside.stream.messages.next();
  expect(stream.messages.count).toBe(0);
});

test("[ST7] [case 9] a room that wakes knows its cuts from its storage before the first frame", async () => {
  const { bench, connector, device } = await connected();
  const up = await openStream(bench, connector, device);
  const down = await openStream(bench, connector, device);
  // As if the object had gone between the commit of the cut and the closes.
  await putDevice(bench, device, "cut");
  await evictDurableObject(bench.room);
  up.browser.ws.send("from the cut device");
  expect((await up.browser.closed).code).toBe(4403);
  await down.stream.send("to the cut device");
  expect((await down.browser.closed).code).toBe(4403);
  expect(up.stream.messages.count + down.browser.messages.count).toBe(0);
});

test("[ST7] a session that is over ends its streams with 4401: at the next frame of either side, else by alarm", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const expiresAtMs = Date.now() + 60_000;
  const device = await allowDevice(bench, { expiresAtMs });
  const stays = await openStream(bench, connector, await allowDevice(bench));
  const up = await openStream(bench, connector, device);
  const down = await openStream(bench, connector, device);
  const silent = await openStream(bench, connector, device);
  const answer = visit(bench, device, "/");
  const exchange = await connector.streams.next();
  passTime(60_000);
  up.browser.ws.send("too late");
  expect((await up.browser.closed).code).toBe(4401);
  expect(await up.stream.endings.next()).toMatchObject({ type: FRAME_RESET, code: 4401 });
  await down.stream.send("too late");
  expect((await down.browser.closed).code).toBe(4401);
  exchange.opened(200);
  expect((await answer).status).toBe(401);
  expect(silent.browser.ws.readyState).toBe(WebSocket.OPEN);
  connector.ws.send(ROOM_PING);
  await runDurableObjectAlarm(bench.room);
  expect((await silent.browser.closed).code).toBe(4401);
  expect(up.stream.messages.count + down.browser.messages.count).toBe(0);
  expect(stays.browser.ws.readyState).toBe(WebSocket.OPEN);
  expect((await visit(bench, device, "/", { headers: { "sec-fetch-mode": "cors" } })).status).toBe(401);
});

test("[ST7] an upload ends with its session, although nothing but the visitor moves: what comes later never reaches the connector", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const device = await allowDevice(bench, { expiresAtMs: Date.now() + 60_000 });
  const upload = async () => {
    const { readable, writable } = new IdentityTransformStream();
    const answer = visit(bench, device, "/upload", { method: "POST", headers: { origin: bench.origin }, body: readable });
    return { answer, writer: writable.getWriter(), stream: await connector.streams.next() };
  };
  const [going, ending, waiting] = [await upload(), await upload(), await upload()];
  waiting.stream.isGranting = false;
  const probed = waiting.stream.probes.next();
  void waiting.writer.write(new Uint8Array(300_000)).catch(() => undefined);
  await probed;
  await going.writer.write(new Uint8Array(10));
  await vi.waitFor(() => expect(going.stream.receivedBytes).toBe(10));
  passTime(60_000);
  void going.writer.write(new Uint8Array(20)).catch(() => undefined);
  void ending.writer.close().catch(() => undefined);
  waiting.stream.grant(100_000);
  const before = waiting.stream.receivedBytes;
  for (const { stream, answer } of [going, ending, waiting]) {
    expect(await stream.endings.next()).toMatchObject({ type: FRAME_RESET, code: 4401 });
    expect((await answer).status).toBe(401);
  }
  expect([going.stream.receivedBytes, ending.stream.receivedBytes, waiting.stream.receivedBytes - before]).toEqual([10, 0, 0]);
});

test("a socket whose note is not ours is closed, and only that one", async () => {
  const { bench, connector, device } = await connected();
  const { browser, stream } = await openStream(bench, connector, device);
  const odd = await openStream(bench, connector, device);
  await runInDurableObject(bench.room, (_room, state) => {
    const [, second] = state.getWebSockets("stream");
    second?.serializeAttachment({ kind: "stream", stream: "?" });
  });
  await evictDurableObject(bench.room);
  odd.browser.ws.send("who am I");
  expect((await odd.browser.closed).code).toBe(1011);
  browser.ws.send("I know");
  expect((await stream.messages.next()).isText).toBe(true);
});

test("[ST9] a room that fails in the middle of a device's message ends that stream by its leg at both ends, and no other", async () => {
  expectFailures("room-message");
  const { bench, connector, device } = await connected();
  const failing = await openStream(bench, connector, device);
  const other = await openStream(bench, connector, device);
  const broken = vi.spyOn(Admission.prototype, "isCut").mockImplementationOnce(() => {
    throw new Error("disk I/O error");
  });
  failing.browser.ws.send("one");
  const said = { code: 1011, reason: "device-room: internal error" };
  expect(await failing.browser.closed).toMatchObject(said);
  broken.mockRestore();
  expect(await failing.stream.endings.next()).toMatchObject(said);
  other.browser.ws.send("two");
  expect((await other.stream.messages.next()).isText).toBe(true);
});
