/** What an idle gateway costs: nothing wakes its room and nothing is written. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { ROOM_PING } from "../../src/protocol/words.ts";
import { FakeConnector } from "./fake-connector.ts";
import { FakeBrowser, allowDevice, env, newBench, upgrade } from "./room-bench.ts";
import type { Bench } from "./room-bench.ts";
import { countWakes, settled } from "./cost-world.ts";

afterEach(() => vi.restoreAllMocks());

/** Every row of the room, and its alarm. Looking wakes the room, so it is done before the counting starts and after it ends. */
function stored(bench: Bench): Promise<string> {
  return runInDurableObject(bench.room, async (_room, state) => {
    const tables = state.storage.sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'").toArray(); // prettier-ignore
    const rows = tables.map(({ name }) => [name, state.storage.sql.exec(`SELECT * FROM ${name}`).toArray()]);
    return JSON.stringify([rows, await state.storage.getAlarm()]);
  });
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
