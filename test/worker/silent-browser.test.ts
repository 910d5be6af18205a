/** A browser that fell silent without a word: a lid that closed, a network that went. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { FRAME_RESET } from "../../src/protocol/frame.ts";
import { BROWSER_LOOK_MS, LINK_SILENCE_MS } from "../../src/protocol/limits.ts";
import { FakeConnector } from "./fake-connector.ts";
import { FakeBrowser, allowDevice, env, newBench, upgrade } from "./room-bench.ts";
import type { Bench } from "./room-bench.ts";

afterEach(() => {
  vi.useRealTimers();
});

/** A stream whose browser reads nothing, and one beside it; the clock stands still until the test moves it. */
async function silent() {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const device = await allowDevice(bench);
  const open = async (): Promise<{ stream: Awaited<ReturnType<typeof connector.streams.next>>; response: Response }> => {
    const answer = upgrade(bench, device);
    const stream = await connector.streams.next();
    stream.opened();
    return { stream, response: await answer };
  };
  // Never accepted: nothing is taken, and nobody says so.
  const { stream, response } = await open();
  const beside = await open();
  vi.useFakeTimers({ now: Date.now(), toFake: ["Date"] });
  return { bench, connector, stream, response, neighbour: { stream: beside.stream, browser: new FakeBrowser(beside.response) } };
}

/** Time goes by, and the alarm comes when the room asked for it. */
async function pass(bench: Bench, ms: number): Promise<void> {
  vi.useFakeTimers({ now: Date.now() + ms, toFake: ["Date"] });
  await runDurableObjectAlarm(bench.room);
}

const alarmAtMs = (bench: Bench): Promise<number | null> => runInDurableObject(bench.room, (_room, state) => state.storage.getAlarm());

test("[CR8] [case 6] a browser that takes nothing while its gateway sends is given up within 15 s; its neighbour stays", async () => {
  const { bench, connector, stream, neighbour } = await silent();
  await stream.send("one");
  await stream.send("two");
  await neighbour.stream.send("beside");
  expect(await neighbour.browser.messages.next()).toBe("beside");
  for (const atMs of [5_000, 10_000]) {
    expect(await alarmAtMs(bench)).toBeLessThanOrEqual(Date.now() + BROWSER_LOOK_MS);
    expect(stream.endings.count, `before ${atMs}`).toBe(0);
    await pass(bench, BROWSER_LOOK_MS);
  }
  expect(await stream.endings.next()).toEqual({ type: FRAME_RESET, code: 4413, reason: "device-room: nothing taken" });
  await neighbour.stream.send("still here");
  expect(await neighbour.browser.messages.next()).toBe("still here");
  expect(connector.streams.count).toBe(0);
});

test("[CR8] one that reads again in time goes on with every message, in order", async () => {
  const { bench, stream, response, neighbour } = await silent();
  const sent = ["one", "two", "three"];
  for (const message of sent) await stream.send(message);
  await neighbour.stream.send("beside");
  await neighbour.browser.messages.next();
  await pass(bench, BROWSER_LOOK_MS);
  const browser = new FakeBrowser(response);
  for (const message of sent) expect(await browser.messages.next()).toBe(message);
  for (let look = 0; look < 4; look += 1) {
    // The link itself must not count as silent.
    await neighbour.stream.send("alive");
    await neighbour.browser.messages.next();
    await pass(bench, BROWSER_LOOK_MS);
  }
  await stream.send("four");
  expect(await browser.messages.next()).toBe("four");
  expect(stream.endings.count).toBe(0);
});

test("[CR8] messages that are taken cost no look: the alarm stays the link's own", async () => {
  const { bench, neighbour } = await silent();
  // What the room had to do at once is done.
  await runDurableObjectAlarm(bench.room);
  const linkAlarm = await alarmAtMs(bench);
  for (let i = 0; i < 20; i += 1) {
    await neighbour.stream.send(`message ${i}`);
    expect(await neighbour.browser.messages.next()).toBe(`message ${i}`);
  }
  expect(await alarmAtMs(bench)).toBe(linkAlarm);
  expect(linkAlarm).toBeGreaterThan(Date.now() + BROWSER_LOOK_MS);
  expect(linkAlarm).toBeLessThanOrEqual(Date.now() + LINK_SILENCE_MS);
});
