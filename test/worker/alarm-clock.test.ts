/** The room's one alarm, on the platform's own storage. */
import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { AlarmClock } from "../../src/worker/room/storage/alarm-clock.ts";
import { newBench } from "./room-bench.ts";

/** Far enough away that none of them rings while the test runs. */
const SOON_MS = Date.now() + 3_600_000;
const LATER_MS = SOON_MS + 1_000;

/** @returns the alarm that is set after `work` */
async function alarmAfter(storedMs: number | null, work: (clock: AlarmClock) => Promise<void>): Promise<number | null> {
  const bench = await newBench();
  return runInDurableObject(bench.room, async (_room, { storage }) => {
    if (storedMs === null) await storage.deleteAlarm();
    else await storage.setAlarm(storedMs);
    await work(new AlarmClock(storage));
    return storage.getAlarm();
  });
}

test("a wish from before the stored alarm is known never pushes it back", async () => {
  const work = async (clock: AlarmClock): Promise<void> => {
    clock.wakeBy(LATER_MS);
    await clock.learn();
  };
  expect(await alarmAfter(SOON_MS, work)).toBe(SOON_MS);
  expect(await alarmAfter(null, work)).toBe(LATER_MS);
});

test("an earlier wish moves the alarm forward, before and after the stored one is known", async () => {
  const early = async (clock: AlarmClock): Promise<void> => {
    clock.wakeBy(LATER_MS);
    clock.wakeBy(SOON_MS);
    await clock.learn();
  };
  expect(await alarmAfter(LATER_MS, early)).toBe(SOON_MS);
  const known = async (clock: AlarmClock): Promise<void> => {
    await clock.learn();
    clock.wakeBy(SOON_MS);
    clock.wakeBy(LATER_MS);
  };
  expect(await alarmAfter(LATER_MS, known)).toBe(SOON_MS);
});

test("after it rang any wish sets it again; after it is turned off none does", async () => {
  const rung = async (clock: AlarmClock): Promise<void> => {
    await clock.learn();
    clock.rang();
    clock.wakeBy(LATER_MS);
  };
  expect(await alarmAfter(SOON_MS, rung)).toBe(LATER_MS);
  const off = async (clock: AlarmClock): Promise<void> => {
    await clock.learn();
    clock.turnOff();
    clock.wakeBy(SOON_MS);
  };
  expect(await alarmAfter(LATER_MS, off)).toBe(LATER_MS);
});
