/** What each event costs: wake-ups, rows and billed requests, as the room counts them and as they are seen from outside. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { COUNTED } from "../../src/protocol/usage.ts";
import type { Counts } from "../../src/protocol/usage.ts";
import { ROOM_PING } from "../../src/protocol/words.ts";
import type { Room } from "../../src/worker/room/room.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { openStream, visit } from "./room-bench.ts";
import type { Bench, OpenStream } from "./room-bench.ts";
import { setTime } from "./room-clock.ts";
import { NOON, countWakes, download, roundTrips, rows, settled, up, usageOf } from "./cost-world.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** What an event made the room count, apart from time and bytes. Looking is a call, too, and taken out. */
async function counted(bench: Bench, event: () => Promise<unknown>): Promise<Partial<Counts>> {
  const { counts: before } = await usageOf(bench);
  await event();
  const { counts: after } = await usageOf(bench);
  const names = COUNTED.filter((name) => !["awakeMs", "otherAwakeMs", "bytes"].includes(name));
  const more = names.map((name) => [name, after[name] - before[name] - (name === "calls" ? 1 : 0)] as const);
  return Object.fromEntries(more.filter(([, value]) => value !== 0)) as Partial<Counts>;
}

test("[BU1] what each event is billed for: opening, a message each way, an HTTP exchange, a heartbeat, an alarm", async () => {
  const { bench, connector, device } = await up();
  let stream: OpenStream | null = null;
  // OPENED comes in as one message; the alarms that watch over session and link are one row each.
  const opening = await counted(bench, async () => {
    stream = await openStream(bench, connector, device);
  });
  expect(opening).toEqual({ upgrades: 1, messages: 1, rowsWritten: 2 });
  const opened = stream as unknown as OpenStream;
  expect(await counted(bench, () => roundTrips(opened, 1))).toEqual({ messages: 2 });
  expect(await counted(bench, () => roundTrips(opened, 20))).toEqual({ messages: 40 });
  // OPENED, one frame of body, END; while something is open no alarm is set anew.
  expect(await counted(bench, () => download(bench, connector, device, 1000))).toEqual({ exchanges: 1, messages: 3 });
  const beats = async (): Promise<void> => {
    for (let beat = 0; beat < 20; beat += 1) {
      connector.ws.send(ROOM_PING);
      await connector.pongs.next();
    }
  };
  expect(await counted(bench, beats)).toEqual({});
  // The next look at the link's life is one row.
  expect(await counted(bench, () => runDurableObjectAlarm(bench.room))).toEqual({ alarms: 1, rowsWritten: 1 });
});

test("[BU1] [BU2] an idle hour is free: no wake-up, no row, no billed request, and no alarm is left that would make one", async () => {
  const { bench, connector } = await up();
  const before = await rows(bench);
  const start = await usageOf(bench);
  await evictDurableObject(bench.room);
  const wakes = countWakes();
  for (let beat = 0; beat < 120; beat += 1) {
    connector.ws.send(ROOM_PING);
    await connector.pongs.next();
  }
  expect(wakes()).toBe(0);
  expect(await runDurableObjectAlarm(bench.room)).toBe(false);
  expect(await rows(bench)).toBe(before);
  // The look itself woke it, and was a call.
  const end = await usageOf(bench);
  expect({ ...end.counts, otherAwakeMs: 0 }).toEqual({ ...start.counts, calls: start.counts.calls + 1, wakes: start.counts.wakes + 1, otherAwakeMs: 0 }); // prettier-ignore
});

test("[BU2] relaying writes no row; the counts are stored by an alarm that runs anyway, every five minutes at most", async () => {
  setTime(NOON);
  const { bench, connector, device } = await up();
  const opened = await openStream(bench, connector, device);
  const before = await rows(bench);
  await roundTrips(opened, 100);
  expect(await rows(bench)).toBe(before);
  // A link that nobody uses is not watched: time may pass.
  opened.browser.ws.close(1000, "done");
  await opened.stream.endings.next();
  setTime(NOON + 4 * 60_000);
  await runInDurableObject(bench.room, (room) => (room as unknown as Room).alarm());
  expect(await rows(bench)).toBe(before);
  setTime(NOON + 5 * 60_000);
  await runInDurableObject(bench.room, (room) => (room as unknown as Room).alarm());
  const stored = await runInDurableObject(bench.room, (_room, state) => new RoomStorage(state.storage).usage());
  expect(stored?.record.today).toMatchObject({ messages: 201, upgrades: 1 });
});

test("[BU2] what was counted survives the room's sleep without a row, and a lost link; a sleep costs a thirty-second part at most", async () => {
  const { bench, connector, device } = await up();
  const opened = await openStream(bench, connector, device);
  const before = await rows(bench);
  const { counts: start } = await usageOf(bench);
  // Near a wake every message is kept at once.
  for (let wake = 1; wake <= 3; wake += 1) {
    await roundTrips(opened, 10);
    await evictDurableObject(bench.room);
    expect((await usageOf(bench)).counts.messages).toBe(start.messages + 20 * wake);
  }
  await roundTrips(opened, 200);
  await evictDurableObject(bench.room);
  const { counts: later } = await usageOf(bench);
  expect(later.messages).toBeLessThanOrEqual(start.messages + 460);
  expect(later.messages).toBeGreaterThanOrEqual(start.messages + 460 - 400 / 32);
  expect(await rows(bench)).toBe(before);
  connector.ws.close(1000, "gone");
  await opened.browser.closed;
  await evictDurableObject(bench.room);
  expect((await usageOf(bench)).counts.messages).toBe(later.messages);
});

test("[BU2] kept counts that are spoilt cost the counts since the last row, and neither the link nor a stream", async () => {
  const { bench, connector, device } = await up();
  const opened = await openStream(bench, connector, device);
  await roundTrips(opened, 5);
  for (const usage of [[Number.NaN], [1, 2, 3], "x", Array.from({ length: 25 }, () => -5)]) {
    await runInDurableObject(bench.room, (_room, state) => {
      for (const ws of state.getWebSockets("link")) ws.serializeAttachment({ ...(ws.deserializeAttachment() as object), usage });
    });
    await evictDurableObject(bench.room);
    await roundTrips(opened, 1);
    const { counts } = await usageOf(bench);
    for (const name of COUNTED) expect(counts[name], name).toBeGreaterThanOrEqual(0);
    expect(counts.messages).toBeGreaterThan(0);
  }
});

test("[BU2] nothing that a device does makes the counts smaller: reconnects, cuts, resets and sleeps in any order", async () => {
  const { bench, connector, device } = await up();
  let least = (await usageOf(bench)).today;
  const steps: (() => Promise<unknown>)[] = [
    async () => roundTrips(await openStream(bench, connector, device), 3),
    async () => (await openStream(bench, connector, device)).browser.ws.close(4000, "x"),
    async () => (await openStream(bench, connector, device)).stream.reset(1011, "x"),
    () => download(bench, connector, device, 100_000),
    () => evictDurableObject(bench.room),
    () => visit(bench, null, "/.gatehouse/api/challenge", { method: "POST", body: "{" }),
    () => settled(bench),
  ];
  for (const i of [0, 4, 1, 2, 6, 3, 4, 5, 0, 4, 6, 2, 3, 1, 4]) {
    await steps[i]?.();
    const { today } = await usageOf(bench);
    expect(today.bytes).toBeGreaterThanOrEqual(least.bytes);
    expect(today.microUsd).toBeGreaterThanOrEqual(least.microUsd);
    least = today;
  }
  expect(least.bytes).toBeGreaterThan(200_000);
});
