/** The link and the guard: who may speak, what is dropped, and what everybody hears when one end goes. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { FRAME_RESET } from "../../src/protocol/frame.ts";
import {
  HEARTBEAT_BUSY_MS,
  LINK_HANDSHAKE_MS,
  LINK_SILENCE_MS,
  MAX_UNPROVEN_LINKS,
  MAX_UNPROVEN_PER_ADDRESS,
} from "../../src/protocol/limits.ts";
import { ROOM_PING } from "../../src/protocol/words.ts";
import { handle } from "../../src/worker/app.ts";
import type { DeviceRow } from "../../src/worker/room/room-rows.ts";
import { RoomStorage } from "../../src/worker/room/storage.ts";
import { FakeConnector, newConnectorIdentity } from "./fake-connector.ts";
import type { FakeStream } from "./fake-connector.ts";
import { ACCOUNT, FakeBrowser, allowDevice, env, newBench, upgrade, visit } from "./room-bench.ts";
import type { AllowedDevice, Bench } from "./room-bench.ts";

afterEach(() => {
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
): Promise<{ browser: FakeBrowser; stream: FakeStream }> {
  const answer = upgrade(bench, device);
  const stream = await connector.streams.next();
  stream.opened();
  return { browser: new FakeBrowser(await answer), stream };
}

/** Moves the room's clock; only the clock, so that everything else goes on. */
function passTime(ms: number): void {
  vi.useFakeTimers({ now: Date.now() + ms, toFake: ["Date"] });
}

function frameFor(type: number, flags: number, id: number, payload: readonly number[] = []): Uint8Array {
  return new Uint8Array([type, flags, 0, 0, id >>> 24, (id >>> 16) & 0xff, (id >>> 8) & 0xff, id & 0xff, ...payload]);
}

test("[LINK1] a socket that proves nothing in time is closed by the alarm; until then it is nothing", async () => {
  const bench = await newBench();
  const silent = await FakeConnector.dial(env, bench.gateway);
  expect((await visit(bench, await allowDevice(bench), "/")).status).toBe(503);
  passTime(LINK_HANDSHAKE_MS - 1_000);
  await runDurableObjectAlarm(bench.room);
  expect(silent.ws.readyState).toBe(WebSocket.OPEN);
  passTime(LINK_HANDSHAKE_MS);
  await runDurableObjectAlarm(bench.room);
  // Not 4410: a connector whose network stood still meanwhile dials again.
  expect((await silent.closed).code).toBe(4502);
});

test("[LINK1] frames and commands before the proof end the socket and do nothing", async () => {
  const bench = await newBench();
  const early = await FakeConnector.dial(env, bench.gateway);
  early.frame(frameFor(3, 1, 1));
  expect((await early.closed).code).toBe(1002);
  const eager = await FakeConnector.dial(env, bench.gateway);
  eager.say({ type: "ack", generation: 1 });
  expect((await eager.closed).code).toBe(4410);
});

test("[LINK1] strangers cannot fill a room with sockets that prove nothing: four from one address or /64, sixteen in all", async () => {
  const bench = await newBench();
  const dial = (address: string): Promise<FakeConnector> => FakeConnector.dial(env, bench.gateway, address);
  const waiting = [];
  for (const block of ["81.2.3.4", "2a00:1450:1:2", "2a00:1450:1:3", "81.2.3.5"]) {
    // Another host of the same /64 is no other visitor.
    const at = (host: number): string => (block.includes(":") ? `${block}::${host}` : block);
    for (let i = 1; i <= MAX_UNPROVEN_PER_ADDRESS; i += 1) waiting.push(await dial(at(i)));
    await expect(dial(at(9))).rejects.toThrow("503");
  }
  expect(waiting).toHaveLength(MAX_UNPROVEN_LINKS);
  await expect(dial("81.9.9.9")).rejects.toThrow("503");
  waiting[0]?.ws.close(1000);
  await waiting[0]?.closed;
  const connector = await dial("81.9.9.9");
  await connector.hello(bench.gateway, bench.identity);
  await connector.welcome();
});

test("[LINK4] wrong key, wrong signature, wrong gateway: one code and one text; no common version says so", async () => {
  const bench = await newBench();
  const rightful = await FakeConnector.up(env, bench.gateway, bench.identity);
  const stranger = await newConnectorIdentity();
  const other = await newBench();
  const answers = [];
  for (const [identity, changes] of [
    [stranger, {}],
    [stranger, { key: bench.identity.key }],
    [bench.identity, { signature: "A".repeat(86) }],
    [bench.identity, { gateway: other.gateway }],
  ] as const) {
    const connector = await FakeConnector.dial(env, bench.gateway);
    await connector.hello(bench.gateway, identity, changes);
    answers.push(await connector.closed);
  }
  for (const answer of answers) expect(answer).toEqual(answers[0]);
  expect(answers[0]?.code).toBe(4410);
  const future = await FakeConnector.dial(env, bench.gateway);
  await future.hello(bench.gateway, bench.identity, { protocol: 99 });
  expect((await future.closed).code).toBe(4412);
  // None of them disturbed the one that proved itself.
  const { browser, stream } = await openStream(bench, rightful, await allowDevice(bench));
  browser.ws.send("undisturbed");
  expect((await stream.messages.next()).isText).toBe(true);
});

test("[LINK2] [case 7] a newer proven link ends the older one and its streams; the older one's close changes nothing", async () => {
  const { bench, connector, device } = await connected();
  const { browser } = await openStream(bench, connector, device);
  const newer = await FakeConnector.dial(env, bench.gateway);
  browser.ws.send("the older link is still the one");
  await newer.hello(bench.gateway, bench.identity, { generation: connector.generation });
  expect((await newer.welcome()).generation).toBe(connector.generation + 1);
  expect((await connector.closed).code).toBe(4409);
  expect((await browser.closed).code).toBe(4502);
  await evictDurableObject(bench.room);
  const again = await openStream(bench, newer, device);
  again.browser.ws.send("over the newer one");
  expect(new TextDecoder().decode((await again.stream.messages.next()).data)).toBe("over the newer one");
});

test("[LINK3] [case 2] until a generation is acknowledged the one before is accepted, too; then never again, and the owner hears of it", async () => {
  const bench = await newBench();
  const first = await FakeConnector.up(env, bench.gateway, bench.identity);
  // Killed between receiving and acknowledging: neither it nor the room knows whether the second one is on its disk.
  const killed = await FakeConnector.dial(env, bench.gateway);
  await killed.hello(bench.gateway, bench.identity, { generation: first.generation });
  expect(await killed.control.next()).toMatchObject({ type: "welcome", generation: 2 });
  const third = await FakeConnector.up(env, bench.gateway, bench.identity, first.generation);
  expect(third.generation).toBe(3);
  // The acknowledgement has its own message; this answer comes after it.
  await bench.room.snapshot({ account: ACCOUNT });
  for (const generation of [2, 1]) {
    const stale = await FakeConnector.dial(env, bench.gateway);
    await stale.hello(bench.gateway, bench.identity, { generation });
    expect((await stale.closed).code).toBe(4411);
  }
  expect((await FakeConnector.up(env, bench.gateway, bench.identity, 3)).generation).toBe(4);
  const lines = await bench.room.auditLines({ account: ACCOUNT, from: 0, isExport: false });
  const copied = (lines.ok ? lines.value : []).filter((line) => line.includes('"connector-copied"'));
  expect(copied).toHaveLength(2);
});

test("[LINK5] [case 5] a busy link without a sign of life ends by alarm, with its streams; one that beats stays", async () => {
  const { bench, connector, device } = await connected();
  // The runtime stamps heartbeats with the real time: the stream opens ten seconds before it.
  passTime(HEARTBEAT_BUSY_MS - LINK_SILENCE_MS);
  const { browser } = await openStream(bench, connector, device);
  connector.ws.send(ROOM_PING);
  await connector.pongs.next();
  // The alarm finds a room that has slept: what it needs is on the link's socket.
  await evictDurableObject(bench.room);
  passTime(LINK_SILENCE_MS + 1_000);
  await runDurableObjectAlarm(bench.room);
  expect(connector.ws.readyState).toBe(WebSocket.OPEN);
  await evictDurableObject(bench.room);
  passTime(LINK_SILENCE_MS);
  await runDurableObjectAlarm(bench.room);
  expect((await connector.closed).code).toBe(4502);
  expect((await browser.closed).code).toBe(4502);
  expect((await visit(bench, device, "/")).status).toBe(503);
});

test("[LINK5] an idle link may be silent", async () => {
  const { bench, connector } = await connected();
  passTime(10 * LINK_SILENCE_MS);
  await runDurableObjectAlarm(bench.room);
  expect(connector.ws.readyState).toBe(WebSocket.OPEN);
});

test("[ST6] a link that goes while the room sleeps ends every stream, and the owner sees it", async () => {
  const { bench, connector, device } = await connected();
  const { browser } = await openStream(bench, connector, device);
  await evictDurableObject(bench.room);
  connector.ws.close(1001, "machine goes to sleep");
  expect((await browser.closed).code).toBe(4502);
  const snapshot = await bench.room.snapshot({ account: ACCOUNT });
  expect(snapshot).toMatchObject({ ok: true, value: { state: "no-link" } });
});

test.each([
  ["shorter than a header", new Uint8Array([3, 0, 0])],
  ["empty", new Uint8Array(0)],
  ["unknown type", frameFor(9, 0, 1)],
  ["type 0", frameFor(0, 0, 1)],
  ["unknown flag", frameFor(3, 4, 1)],
  ["flag on CREDIT", frameFor(4, 1, 1)],
  ["reserved bytes", new Uint8Array([3, 0, 1, 0, 0, 0, 0, 1])],
  ["stream 0", frameFor(3, 0, 0)],
  ["one byte more than 64 KiB", new Uint8Array(65_537).fill(3, 0, 1).fill(1, 7, 8)],
])("[FR2] a frame with %s closes the link with 1002 and ends its streams", async (_name, bytes) => {
  const { bench, connector, device } = await connected();
  const { browser } = await openStream(bench, connector, device);
  connector.frame(bytes);
  expect((await connector.closed).code).toBe(1002);
  expect((await browser.closed).code).toBe(4502);
});

test("[FR3] [case 11] unknown types and members are ignored; a malformed known type closes the link", async () => {
  const { bench, connector, device } = await connected();
  const { browser, stream } = await openStream(bench, connector, device);
  connector.ws.send('{"type":"from-the-future","x":1}');
  connector.ws.send('{"type":"ack","generation":1,"more":true}');
  await stream.send("still relayed");
  expect(await browser.messages.next()).toBe("still relayed");
  connector.ws.send('{"type":"ack"}');
  expect((await connector.closed).code).toBe(1002);
  expect((await browser.closed).code).toBe(4502);
});

test.each(["no JSON", "{", `{"type":"report","report":${"[".repeat(2_000)}`, "x".repeat(70_000)])(
  "[FR3] text that is no control message closes the link",
  async (text) => {
    const { connector } = await connected();
    connector.ws.send(text);
    expect((await connector.closed).code).toBe(1002);
  },
);

test("[FR4] DATA and CREDIT for an unknown stream are answered with RESET, everything else for it is dropped", async () => {
  const { bench, connector, device } = await connected();
  for (const type of [2, 5, 6, 7, 8]) connector.frame(frameFor(type, 0, 77_777));
  connector.frame(frameFor(3, 1, 77_777, [1]));
  expect(await connector.strayResets.next()).toBe(77_777);
  connector.frame(frameFor(4, 0, 77_778, [0, 0, 1, 0]));
  expect(await connector.strayResets.next()).toBe(77_778);
  const { browser, stream } = await openStream(bench, connector, device);
  await stream.send("fine");
  expect(await browser.messages.next()).toBe("fine");
  expect(connector.strayResets.count).toBe(0);
});

test.each([
  ["OPENED twice", 2, [123, 125]],
  ["END on a WebSocket", 5, []],
  ["CREDIT of three bytes", 4, [0, 0, 1]],
  ["PROBE of five bytes", 8, [0, 0, 0, 0, 1]],
])("[FR4] %s ends that stream only", async (_name, type, payload) => {
  const { bench, connector, device } = await connected();
  const bad = await openStream(bench, connector, device);
  const good = await openStream(bench, connector, device);
  connector.frame(frameFor(type, 0, bad.stream.id, payload));
  expect((await bad.browser.closed).code).toBe(1002);
  good.browser.ws.send("unharmed");
  expect((await good.stream.messages.next()).isText).toBe(true);
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

test("[LINK1] no page, no other method and no guessed id opens a link: one answer for all", async () => {
  const bench = await newBench();
  const bodies = new Set<string>();
  for (const [gateway, headers] of [
    [bench.gateway, { upgrade: "websocket", origin: env.APP_ORIGIN }],
    [bench.gateway, {}],
    ["a".repeat(23), { upgrade: "websocket" }],
    [bench.gateway.slice(0, -1), { upgrade: "websocket" }],
  ] as const) {
    const response = await handle(new Request(`${env.APP_ORIGIN}/link/${gateway}`, { headers }), env);
    expect(response.status).toBe(404);
    bodies.add(await response.text());
  }
  expect(bodies.size).toBe(1);
});
