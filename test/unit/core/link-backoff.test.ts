/** When connectors dial again, one alone and two thousand at once, under virtual time. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { nextDial, retryAfterMs } from "../../../src/core/link/link-backoff.ts";
import { RECONNECT_MAX_MS, RECONNECT_MIN_MS, RECONNECT_QUICK_AFTER_MS, RECONNECT_RESET_AFTER_MS } from "../../../src/protocol/limits.ts";

const BUCKET_MS = 250;
const CONNECTORS = 2_000;
/** A dial that fails takes this long. */
const FAILING_MS = 100;

/** mulberry32: the same dials for the same seed. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** All lose a healthy link at 0; a dial succeeds once the room is back. @returns when each one's link is back, in order, and how many dials that took */
function herd(awayMs: number, seed: number): { readonly backAtMs: readonly number[]; readonly dialsAtMs: readonly number[] } {
  const random = seeded(seed);
  const backAtMs: number[] = [];
  const dialsAtMs: number[] = [];
  for (let i = 0; i < CONNECTORS; i += 1) {
    let [nowMs, sinceMs, upForMs]: [number, number | null, number] = [0, null, RECONNECT_RESET_AFTER_MS];
    for (;;) {
      const next = nextDial({ sinceMs, upForMs, nowMs }, random());
      ({ sinceMs } = next);
      upForMs = 0;
      nowMs += next.waitMs;
      dialsAtMs.push(nowMs);
      if (nowMs >= awayMs) break;
      nowMs += FAILING_MS;
    }
    backAtMs.push(nowMs);
  }
  return { backAtMs: backAtMs.toSorted((a, b) => a - b), dialsAtMs };
}

function buckets(times: readonly number[], fromMs: number): number[] {
  const counts: number[] = [];
  for (const atMs of times) {
    const bucket = Math.floor((atMs - fromMs) / BUCKET_MS);
    counts[bucket] = (counts[bucket] ?? 0) + 1;
  }
  return Array.from(counts, (count) => count ?? 0);
}

test.each([0, 500, 1_000, 3_000, 10_000, 30_000, 120_000])(
  "[LINK6] [case 10] 2,000 connectors whose rooms were away for %d ms come back with a peak of at most three times the mean",
  (awayMs) => {
    for (const seed of [1, 2, 3]) {
      const { backAtMs } = herd(awayMs, seed);
      const counts = buckets(backAtMs, backAtMs[0] ?? 0);
      expect(Math.max(...counts) / (CONNECTORS / counts.length)).toBeLessThanOrEqual(3);
      // A second at the least, so that a restart of a moment is no burst either.
      expect(counts.length).toBeGreaterThanOrEqual(RECONNECT_MIN_MS / BUCKET_MS);
    }
  },
);

test.each([0, 1_000, 10_000])("[LINK6] after %d ms without a room, half are back within 2 s and 99 of 100 within 10 s", (awayMs) => {
  const { backAtMs } = herd(awayMs, 4);
  expect((backAtMs[CONNECTORS / 2] ?? Infinity) - awayMs).toBeLessThan(2_000);
  expect((backAtMs[CONNECTORS * 0.99] ?? Infinity) - awayMs).toBeLessThan(10_000);
});

test("[LINK6] while the room is away for ten minutes, dials thin out: never more than two in three of all in a quarter second, and a tenth of that in the end", () => {
  const { dialsAtMs } = herd(600_000, 5);
  const counts = buckets(dialsAtMs, 0);
  expect(Math.max(...counts)).toBeLessThan((CONNECTORS * 2) / 3);
  expect(Math.max(...counts.slice(-1_000, -200))).toBeLessThan(CONNECTORS / 15);
});

test("[LINK6] the window is half the time away, from 1 s to 30 s; a minute of health, and a clock set back, start it again", () => {
  const at = (awayMs: number, upForMs = 0): number => nextDial({ sinceMs: 1_000, upForMs, nowMs: 1_000 + awayMs }, 0.999_999).waitMs;
  expect([0, 2_000, 3_000, 20_000, 60_000, 86_400_000].map((awayMs) => at(awayMs))).toEqual([999, 999, 1_499, 9_999, 29_999, 29_999]);
  expect(at(86_400_000, RECONNECT_RESET_AFTER_MS)).toBe(999);
  expect(nextDial({ sinceMs: 50_000, upForMs: 0, nowMs: 10_000 }, 0.5)).toEqual({ waitMs: 500, sinceMs: 10_000 });
  // A link that comes and goes is not healthy: what it was away in all counts.
  expect(nextDial({ sinceMs: 1_000, upForMs: 10_000, nowMs: 41_000 }, 0.5)).toEqual({ waitMs: 7_500, sinceMs: 11_000 });
});

test("[LINK6] the first dial after a network's loss comes within a second", () => {
  const lost = { sinceMs: 1_000, upForMs: RECONNECT_QUICK_AFTER_MS, nowMs: 41_000, isBroken: true };
  expect(nextDial(lost, 0.999_999).waitMs).toBe(999);
  // The room's own close, a link that hardly lived, and the tries after the first one.
  for (const change of [{ isBroken: false }, { upForMs: RECONNECT_QUICK_AFTER_MS - 1 }, { upForMs: 0 }])
    expect(nextDial({ ...lost, ...change }, 0.999_999).waitMs).toBeGreaterThan(15_000);
});

test("[LINK6] what the other side asks for comes on top, up to 30 s, and the spread stays", () => {
  const lost = { sinceMs: null, upForMs: 0, nowMs: 0 };
  expect([0, 0.5].map((random) => nextDial({ ...lost, atLeastMs: 5_000 }, random).waitMs)).toEqual([5_000, 5_500]);
  expect(nextDial({ ...lost, atLeastMs: 9_999_999 }, 0).waitMs).toBe(RECONNECT_MAX_MS);
  expect([undefined, "5", "0", "-1", "1e9", "Fri, 31 Dec 1999 23:59:59 GMT"].map(retryAfterMs)).toEqual([0, 5_000, 0, 0, 0, 0]);
});

test("[LINK6] no time, no random number and no clock makes a wait below nothing or beyond a minute", () => {
  const time = fc.integer({ min: -(2 ** 45), max: 2 ** 45 });
  fc.assert(
    fc.property(fc.option(time), time, fc.nat(), fc.nat(), fc.double({ min: 0, max: 0.999_999_9, noNaN: true }), (sinceMs, nowMs, upForMs, atLeastMs, random) => {
      const { waitMs } = nextDial({ sinceMs, nowMs, upForMs, atLeastMs }, random);
      return waitMs >= 0 && waitMs <= 2 * RECONNECT_MAX_MS;
    }),
  ); // prettier-ignore
});
