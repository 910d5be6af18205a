/** What an idle gateway costs: nothing wakes its room and nothing is written. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { HEARTBEAT_BUSY_MS, LINK_SILENCE_MS } from "../../src/protocol/limits.ts";
import { ROOM_PING } from "../../src/protocol/words.ts";
import { Relay } from "../../src/worker/room/relay.ts";
import { Room } from "../../src/worker/room/room.ts";
import { FakeConnector } from "./fake-connector.ts";
import { FakeBrowser, allowDevice, env, newBench, upgrade } from "./room-bench.ts";
import type { Bench } from "./room-bench.ts";

const HOUR_MS = 3_600_000;
/** OpenClaw's own, to each of its clients. */
const TICK_MS = 30_000;

afterEach(() => vi.restoreAllMocks());

/** Every row of the room, and its alarm. Looking wakes the room, so it is done before the counting starts and after it ends. */
function stored(bench: Bench): Promise<string> {
  return runInDurableObject(bench.room, async (_room, state) => {
    const tables = state.storage.sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'").toArray(); // prettier-ignore
    const rows = tables.map(({ name }) => [name, state.storage.sql.exec(`SELECT * FROM ${name}`).toArray()]);
    return JSON.stringify([rows, await state.storage.getAlarm()]);
  });
}

/** Lets everything happen that was due when the link came up. */
async function settled(bench: Bench): Promise<void> {
  for (let i = 0; i < 20 && (await runDurableObjectAlarm(bench.room)); i += 1);
}

/** Counts from here on: handlers called, and how often a room was built, which is what waking one means. */
function countWakes(): () => number {
  const handlers = (["fetch", "webSocketMessage", "webSocketClose", "webSocketError", "alarm"] as const).map((name) =>
    vi.spyOn(Room.prototype, name),
  );
  const built = vi.spyOn(Relay.prototype, "setWaiting");
  return () => [...handlers, built].reduce((sum, { mock }) => sum + mock.calls.length, 0);
}

test("[LINK5] an idle gateway with an allowed device: 50 heartbeats are answered without waking its room, no row and no alarm changes", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  await allowDevice(bench);
  await settled(bench);
  const before = await stored(bench);
  expect(JSON.parse(before)).toEqual([expect.anything(), null]);
  await evictDurableObject(bench.room);
  const wakes = countWakes();
  for (let beat = 0; beat < 50; beat += 1) {
    connector.ws.send(ROOM_PING);
    await connector.pongs.next();
  }
  expect(wakes()).toBe(0);
  expect(await stored(bench)).toBe(before);
  expect(wakes()).toBeGreaterThan(0);
});

test("[LINK5] [BU1] an open tab that is silent for an hour: no wake-up, no row, no alarm; one that hears its gateway's ticks costs only those", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const device = await allowDevice(bench);
  const answer = upgrade(bench, device);
  const stream = await connector.streams.next();
  stream.opened();
  const browser = new FakeBrowser(await answer);
  await settled(bench);
  const before = await stored(bench);
  const [, alarmAtMs] = JSON.parse(before) as [unknown, number];
  // The session's end, and nothing before it.
  expect(alarmAtMs).toBeGreaterThan(Date.now() + HOUR_MS);
  await evictDurableObject(bench.room);
  const wakes = countWakes();
  for (let beat = 0; beat < HOUR_MS / HEARTBEAT_BUSY_MS; beat += 1) {
    connector.ws.send(ROOM_PING);
    await connector.pongs.next();
  }
  expect(wakes()).toBe(0);
  expect(await stored(bench)).toBe(before);
  const looked = wakes();
  for (let tick = 0; tick < HOUR_MS / TICK_MS; tick += 1) {
    await stream.send(`{"tick":${tick}}`);
    await browser.messages.next();
  }
  expect(wakes()).toBe(looked + HOUR_MS / TICK_MS);
  expect(await stored(bench)).toBe(before);
});

test("[LINK5] a message that the gateway answers costs one alarm, which sets none after it", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const answer = upgrade(bench, await allowDevice(bench));
  const stream = await connector.streams.next();
  stream.opened();
  const browser = new FakeBrowser(await answer);
  await settled(bench);
  browser.ws.send("question");
  await stream.messages.next();
  const [, soon] = JSON.parse(await stored(bench)) as [unknown, number];
  expect(soon).toBeLessThanOrEqual(Date.now() + LINK_SILENCE_MS);
  await stream.send("answer");
  await browser.messages.next();
  await runDurableObjectAlarm(bench.room);
  const [, later] = JSON.parse(await stored(bench)) as [unknown, number];
  expect(later).toBeGreaterThan(Date.now() + HOUR_MS);
});

test("relaying 200 messages writes no row and sets no alarm", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const device = await allowDevice(bench);
  const answer = upgrade(bench, device);
  const stream = await connector.streams.next();
  stream.opened();
  const browser = new FakeBrowser(await answer);
  const before = await stored(bench);
  for (let i = 0; i < 100; i += 1) {
    browser.ws.send(`up ${i}`);
    await stream.messages.next();
    await stream.send(`down ${i}`);
    await browser.messages.next();
  }
  expect(await stored(bench)).toBe(before);
});
