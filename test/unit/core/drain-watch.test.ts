/** When a browser's socket counts as dead: by what it has not sent, in plain numbers. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { DrainWatch } from "../../../src/core/link/drain-watch.ts";
import { BROWSER_LOOK_MS, BROWSER_STILL_MS } from "../../../src/protocol/limits.ts";

test("[CR8] [case 6] a socket that takes nothing of two messages is found by the look after ten seconds", () => {
  const watch = new DrainWatch();
  expect(watch.wrote(100, 100)).toBe(false);
  expect(watch.wrote(100, 200)).toBe(true);
  const looks = [0, 5_000, 10_000].map((atMs) => watch.look(200, atMs));
  expect(looks).toEqual([BROWSER_LOOK_MS, 2 * BROWSER_LOOK_MS, "still"]);
});

test("[CR8] one message on its way is not watched, and an empty socket is forgotten", () => {
  const watch = new DrainWatch();
  for (let i = 0; i < 5; i += 1) expect(watch.wrote(1_000, 1_000)).toBe(false);
  expect(watch.isWatching).toBe(false);
  watch.wrote(1_000, 2_000);
  watch.look(2_000, 0);
  expect(watch.isWatching).toBe(true);
  expect(watch.look(0, 60_000)).toBe(null);
  expect(watch.isWatching).toBe(false);
  // What waits later is measured from then on.
  watch.wrote(1_000, 2_000);
  expect(watch.look(2_000, 70_000)).toBe(70_000 + BROWSER_LOOK_MS);
});

test("[CR8] a slow browser that takes a message every nine seconds is never given up, however much more is written meanwhile", () => {
  const watch = new DrainWatch();
  let unsent = 0;
  for (let atMs = 0; atMs < 600_000; atMs += 1_000) {
    unsent += 500;
    if (atMs % 9_000 === 8_000) unsent -= 500;
    watch.wrote(500, unsent);
    expect(watch.look(unsent, atMs)).not.toBe("still");
  }
});

test("[CR8] a message of 25 MiB, unsent until all of it has left, gets time for 64 KiB a second; a small one behind it shares that", () => {
  const watch = new DrainWatch();
  const large = 25 * 1024 * 1024;
  watch.wrote(large, large);
  watch.wrote(10, large + 10);
  watch.look(large + 10, 0);
  expect(watch.look(large + 10, BROWSER_STILL_MS + 399_000)).not.toBe("still");
  expect(watch.look(large + 10, BROWSER_STILL_MS + 400_000)).toBe("still");
});

test("[CR8] a room that woke without memory counts from its first look", () => {
  const watch = new DrainWatch();
  expect(watch.wrote(10, 50_000)).toBe(true);
  expect(watch.look(50_000, 1_000)).toBe(6_000);
  expect(watch.look(40_000, 12_000)).toBe(17_000);
  expect(watch.look(40_000, 22_000)).toBe("still");
});

test("[CR8] under any traffic with a look at least every five seconds, a socket that stopped is found within fifteen", () => {
  const step = fc.record({ afterMs: fc.integer({ min: 0, max: BROWSER_LOOK_MS }), writes: fc.integer({ min: 0, max: 60_000 }), leaves: fc.integer({ min: 0, max: 90_000 }) }); // prettier-ignore
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const watch = new DrainWatch();
      let [nowMs, unsent] = [0, 0];
      for (const { afterMs, writes, leaves } of steps) {
        nowMs += afterMs;
        unsent = Math.max(0, unsent - leaves);
        if (writes > 0) {
          unsent += writes;
          watch.wrote(writes, unsent);
        }
        // It moved, or nothing waited, or not enough time went by: judged below only once it stands.
        if (watch.look(unsent, nowMs) === "still") return;
      }
      unsent += 70_000;
      watch.wrote(70_000, unsent);
      const stoodAtMs = nowMs;
      for (;;) {
        const next = watch.look(unsent, nowMs);
        if (next === "still") break;
        nowMs = next ?? nowMs + BROWSER_LOOK_MS;
        expect(nowMs - stoodAtMs).toBeLessThanOrEqual(15_000 + 1_000);
      }
    }),
  );
});
