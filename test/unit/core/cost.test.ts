import fc from "fast-check";
import { expect, test } from "vitest";
import { PRICES, billedUnits, costLines, sumOf, wholeLines } from "../../../src/core/measure/cost.ts";
import {
  NOTHING,
  added,
  awakeStep,
  dayEndsMs,
  levelOf,
  monthName,
  newest,
  noUsage,
  packed,
  relayedOnly,
  rolled,
  shareOf,
  spentOf,
  unpacked,
} from "../../../src/core/measure/usage.ts";
import type { UsageRecord } from "../../../src/core/measure/usage.ts";
import { COUNTED } from "../../../src/protocol/usage.ts";
import type { Counts } from "../../../src/protocol/usage.ts";

const DAY_MS = 86_400_000;
const NOON = Date.parse("2026-11-21T12:00:00Z");

function counts(changes: Partial<Counts>): Counts {
  return { ...NOTHING, ...changes };
}

const anyCounts = fc.record(Object.fromEntries(COUNTED.map((name) => [name, fc.nat()])) as Record<keyof Counts, fc.Arbitrary<number>>);

test("[BU1] a message costs a twentieth of a request, an upgrade one of the object and one of the Worker, and nothing costs nothing", () => {
  expect(sumOf(costLines(NOTHING, 0))).toBe(0);
  expect(billedUnits(counts({ messages: 30, controls: 10 }))).toEqual({
    objectRequests: 2,
    gbSeconds: 0,
    rowsWritten: 0,
    workerRequests: 0,
  });
  expect(billedUnits(counts({ upgrades: 1, exchanges: 2, doorRequests: 3, calls: 4, alarms: 5 }))).toMatchObject({
    objectRequests: 15,
    workerRequests: 10,
  });
  expect(billedUnits(counts({ wakes: 9, bytes: 1e9 }))).toEqual(billedUnits(NOTHING));
});

test("[BU1] a month of known events costs what the price list says: a room that never sleeps $4.15, a GB in 16 KiB frames $0.0005", () => {
  const month = 30 * DAY_MS;
  const awake = costLines(counts({ awakeMs: month }), 0);
  expect(awake.find((line) => line.meter === "object-duration")?.units).toBe(331_776);
  expect(sumOf(awake) / 1e6).toBeCloseTo(4.15, 2);
  const frames = Math.ceil(1e9 / (16 * 1024));
  expect(sumOf(costLines(counts({ messages: frames }), 0)) / 1e6).toBeCloseTo(0.0005, 4);
  // An idle gateway with 60 reconnects, two rows each: the reference's $0.00015 without the duration that nobody measured.
  const idle = costLines(counts({ doorRequests: 60, rowsWritten: 120 }), 16_000);
  expect(sumOf(idle)).toBeCloseTo(60 * 0.45 + 120 + 3.2, 6);
  expect(PRICES).toMatchObject({ objectRequest: 0.15, gbSecond: 12.5, rowWritten: 1, workerRequest: 0.3, storedGbMonth: 200_000 });
});

test("[BU1] more of anything never costs less", () => {
  fc.assert(
    fc.property(anyCounts, anyCounts, (some, more) => {
      expect(sumOf(costLines(added(some, more), 0))).toBeGreaterThanOrEqual(sumOf(costLines(some, 0)));
    }),
  );
});

test("[BU2] a day ends at 00:00 UTC, its counts go into the month, the month into the one before; a clock that goes back resets nothing", () => {
  let record: UsageRecord = { ...noUsage(NOON), today: counts({ messages: 5 }) };
  expect(rolled(record, NOON + 11 * 3_600_000)).toBe(record);
  expect(dayEndsMs(NOON)).toBe(NOON + 12 * 3_600_000);
  expect(rolled(record, NOON - 40 * DAY_MS)).toBe(record);
  record = rolled(record, dayEndsMs(NOON));
  expect(record).toMatchObject({ today: NOTHING, earlier: { messages: 5 }, lastMonth: null });
  record = rolled({ ...record, today: counts({ messages: 2 }) }, Date.parse("2026-12-01T00:00:00Z"));
  expect(record).toMatchObject({ today: NOTHING, earlier: NOTHING, lastMonth: { messages: 7 } });
  expect(rolled(record, Date.parse("2027-02-01T00:00:00Z"))).toMatchObject({ lastMonth: null });
  expect(monthName(NOON)).toBe("2026-11");
  for (let ms = 0; ms < Date.parse("2105-01-01"); ms += 9.7 * DAY_MS) expect(monthName(ms)).toBe(new Date(ms).toISOString().slice(0, 7));
});

test("[BU2] nothing is lost or counted twice, whichever days the counts come on", () => {
  const day = fc.record({ days: fc.nat({ max: 3 }), messages: fc.nat({ max: 100 }) });
  fc.assert(
    fc.property(fc.array(day, { maxLength: 40 }), (steps) => {
      let record = noUsage(Date.parse("2026-01-01T00:00:00Z"));
      let nowMs = record.day * DAY_MS;
      const byMonth = new Map<string, number>();
      for (const { days, messages } of steps) {
        nowMs += days * DAY_MS;
        record = rolled(record, nowMs);
        record = { ...record, today: added(record.today, counts({ messages })) };
        byMonth.set(monthName(nowMs), (byMonth.get(monthName(nowMs)) ?? 0) + messages);
      }
      expect(added(record.today, record.earlier).messages).toBe(byMonth.get(monthName(nowMs)) ?? 0);
    }),
  );
});

test("[BU2] of two copies the newer count of each is taken, also over a midnight, and packing loses nothing", () => {
  const stored: UsageRecord = { ...noUsage(NOON), today: counts({ messages: 5, alarms: 2 }), earlier: counts({ messages: 1 }) };
  const kept: UsageRecord = { ...stored, today: counts({ messages: 9, alarms: 1 }) };
  expect(newest(stored, kept)).toMatchObject({ today: { messages: 9, alarms: 2 }, earlier: { messages: 1 } });
  const nextDay = { ...rolled(kept, NOON + DAY_MS), today: counts({ messages: 3 }) };
  expect(newest(stored, nextDay)).toEqual(newest(nextDay, stored));
  expect(newest(stored, nextDay)).toMatchObject({ today: { messages: 3 }, earlier: { messages: 10 } });
  fc.assert(
    fc.property(anyCounts, anyCounts, fc.option(anyCounts), (today, earlier, lastMonth) => {
      const record = { day: 20_000, today, earlier, lastMonth };
      expect(unpacked(packed(record))).toEqual(record);
    }),
  );
  expect(unpacked([1, 2, 3])).toBe(null);
});

test("[BU2] counters are bounded: no sum grows beyond what is exact, and none below nothing", () => {
  const huge = counts({ messages: 2 ** 53, bytes: Number.MAX_VALUE });
  const twice = added(huge, huge);
  expect(twice).toMatchObject({ messages: 2 ** 50, bytes: 2 ** 50 });
  expect(Number.isSafeInteger(twice.messages + twice.bytes)).toBe(true);
  expect(added(counts({ doorRequests: -3 }), NOTHING).doorRequests).toBe(0);
});

test("[BU3] only what allowed devices cause counts against the budget: whatever strangers, the owner and time do, the share stays", () => {
  fc.assert(
    fc.property(anyCounts, anyCounts, (some, more) => {
      const beside = { ...more, messages: 0, exchanges: 0, upgrades: 0, bytes: 0, awakeMs: 0 };
      expect(spentOf(added(some, beside))).toEqual(spentOf(some));
    }),
  );
  expect(relayedOnly(counts({ messages: 3, doorRequests: 4 }))).toEqual(counts({ messages: 3 }));
});

test("[BU3] the share is of the limit that is closer; 80 % warns, all of it is over, and of nothing everything is used", () => {
  const budget = { microUsd: 1000, bytes: 1000 };
  expect(shareOf({ microUsd: 100, bytes: 900 }, budget)).toBe(0.9);
  expect(shareOf({ microUsd: 950, bytes: 900 }, budget)).toBe(0.95);
  expect(shareOf({ microUsd: 0, bytes: 0 }, { microUsd: 0, bytes: 1000 })).toBe(1);
  expect([0, 0.799, 0.8, 0.999, 1, 7].map(levelOf)).toEqual(["ok", "ok", "warned", "warned", "over", "over"]);
});

test("[BU1] awake time: a second after each event at most once, a gap of sleep not at all, an answer over HTTP wholly", () => {
  expect(awakeStep(0, 5_000, 1, false)).toEqual({ addMs: 1_000, awakeUntilMs: 6_000 });
  expect(awakeStep(6_000, 5_400, 1, false)).toEqual({ addMs: 400, awakeUntilMs: 6_400 });
  expect(awakeStep(6_000, 60_000, 1, false)).toEqual({ addMs: 1_000, awakeUntilMs: 61_000 });
  // Three messages somewhere in the gap that nobody timed.
  expect(awakeStep(6_000, 60_000, 3, false)).toEqual({ addMs: 3_000, awakeUntilMs: 61_000 });
  expect(awakeStep(6_000, 60_000, 0, true)).toEqual({ addMs: 55_000, awakeUntilMs: 61_000 });
  fc.assert(
    fc.property(fc.array(fc.record({ gapMs: fc.nat({ max: 30_000 }), events: fc.nat({ max: 300 }), isHeld: fc.boolean() })), (steps) => {
      let [nowMs, untilMs, awakeMs] = [1_000_000, 0, 0];
      for (const { gapMs, events, isHeld } of steps) {
        nowMs += gapMs;
        const step = awakeStep(untilMs, nowMs, events, isHeld);
        expect(step.addMs).toBeGreaterThanOrEqual(0);
        [untilMs, awakeMs] = [step.awakeUntilMs, awakeMs + step.addMs];
      }
      // Never more than the time that went by, and the second after the last event.
      expect(awakeMs).toBeLessThanOrEqual(nowMs - 1_000_000 + 30_000 + 1_000);
    }),
  );
});

test("[BU1] an API shows whole millionths of a dollar, rounded up", () => {
  const lines = wholeLines([
    { meter: "stored", units: 1, microUsd: 11.819_999_999_999_999 },
    { meter: "rows-written", units: 0, microUsd: 0 },
  ]);
  expect(lines.map(({ microUsd }) => microUsd)).toEqual([12, 0]);
});
