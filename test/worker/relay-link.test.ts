/** The link: who may speak, what is dropped, and what everybody hears when one end goes. */
import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import {
  HEARTBEAT_BUSY_MS,
  LINK_HELLO_MS,
  LINK_SILENCE_MS,
  MAX_UNPROVEN_LINKS,
  MAX_UNPROVEN_PER_ADDRESS,
} from "../../src/protocol/limits.ts";
import { ROOM_PING } from "../../src/protocol/words.ts";
import { handle } from "../../src/worker/app.ts";
import type { Env } from "../../src/worker/env.ts";
import { FakeConnector, frameFor, newConnectorIdentity } from "./fake-connector.ts";
import { ACCOUNT, allowDevice, connected, env, newBench, openStream, visit } from "./room-bench.ts";
import { passTime } from "./room-clock.ts";

afterEach(() => {
  vi.useRealTimers();
});

test("[LINK1] a socket that proves nothing in time is closed by the alarm; until then it is nothing", async () => {
  const bench = await newBench();
  const silent = await FakeConnector.dial(env, bench.gateway);
  expect((await visit(bench, await allowDevice(bench), "/")).status).toBe(503);
  passTime(LINK_HELLO_MS - 500);
  await runDurableObjectAlarm(bench.room);
  expect(silent.ws.readyState).toBe(WebSocket.OPEN);
  passTime(LINK_HELLO_MS);
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

test.each([4, 64])("[AB4] strangers of %i addresses keep the connector from no place", async (addresses) => {
  const bench = await newBench();
  const strangers: FakeConnector[] = [];
  for (let at = 0; at < Math.max(addresses, 2 * MAX_UNPROVEN_LINKS); at += 1)
    strangers.push(await FakeConnector.dial(env, bench.gateway, `81.2.${at % addresses}.4`));
  const connector = await FakeConnector.dial(env, bench.gateway, "81.9.9.9");
  // They go on while it proves itself.
  for (let at = 0; at < MAX_UNPROVEN_LINKS - 1; at += 1) await FakeConnector.dial(env, bench.gateway, `81.2.${at % addresses}.4`);
  await connector.hello(bench.gateway, bench.identity);
  await connector.welcome();
  expect((await strangers[0]?.closed)?.code).toBe(4502);
});

test("[AB4] an address beyond its places ends its own oldest socket, hosts of one /64 together", async () => {
  const bench = await newBench();
  const other = await FakeConnector.dial(env, bench.gateway, "81.2.3.5");
  const own: FakeConnector[] = [];
  for (let host = 1; host <= MAX_UNPROVEN_PER_ADDRESS + 1; host += 1)
    own.push(await FakeConnector.dial(env, bench.gateway, `2a00:1450:1:2::${host}`));
  expect((await own[0]?.closed)?.code).toBe(4502);
  expect([own[1]?.ws.readyState, other.ws.readyState]).toEqual([WebSocket.OPEN, WebSocket.OPEN]);
});

test("[AB4] a dial over the address's budget wakes no room", async () => {
  const bench = await newBench();
  const keys: string[] = [];
  const getByName = vi.fn();
  const refusing = { limit: ({ key }: { key: string }) => Promise.resolve({ success: (keys.push(key), false) }) };
  const over = { ...env, STRANGER_LIMIT: refusing, ROOM: { getByName } } as unknown as Env;
  const headers = { upgrade: "websocket", "cf-connecting-ip": "2a00:1450:1:2::9" };
  const answer = await handle(new Request(`${env.APP_ORIGIN}/link/${bench.gateway}`, { headers }), over);
  expect([answer.status, answer.headers.get("retry-after"), keys]).toEqual([429, "60", ["link 2a00:1450:1:2::/64"]]);
  expect(getByName).not.toHaveBeenCalled();
});

test("[MA5] a machine that dials a removed gateway hears that its access is gone", async () => {
  const bench = await newBench();
  const running = await FakeConnector.up(env, bench.gateway, bench.identity);
  await bench.room.remove({ account: ACCOUNT });
  expect((await running.closed).code).toBe(4410);
  const answers = [];
  for (const isFresh of [false, true]) {
    if (isFresh) await evictDurableObject(bench.room);
    const starting = await FakeConnector.dial(env, bench.gateway);
    await starting.hello(bench.gateway, bench.identity);
    answers.push(await starting.closed);
  }
  expect(answers).toEqual([answers[1], answers[0]]);
  expect(answers[0]).toMatchObject({ code: 4410, reason: "not this gateway's connector" });
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
  ["unknown flag on CREDIT", frameFor(4, 2, 1)],
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
