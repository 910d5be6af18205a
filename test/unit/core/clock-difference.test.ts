import { expect, test } from "vitest";
import { aheadText, clockAheadMs } from "../../../src/core/measure/clock-difference.ts";
import { CLOCK_WARN_MS } from "../../../src/protocol/limits.ts";

test("[case 17] clocks that differ by more than two minutes are worth a word, in either direction", () => {
  expect(clockAheadMs(1_000_000, 1_000_000)).toBe(null);
  expect(clockAheadMs(1_000_000 + CLOCK_WARN_MS, 1_000_000)).toBe(null);
  expect(clockAheadMs(1_000_000 + CLOCK_WARN_MS + 10_000, 1_000_000)).toBe(CLOCK_WARN_MS + 10_000);
  expect(clockAheadMs(1_000_000, 1_000_000 + CLOCK_WARN_MS + 14_000)).toBe(-CLOCK_WARN_MS - 10_000);
});

test.each([
  [3 * 60_000, "3 minutes ahead of ours"],
  [-90 * 60_000, "90 minutes behind ours"],
  [3 * 3_600_000, "3 hours ahead of ours"],
  [-365 * 86_400_000, "365 days behind ours"],
] as const)("%i ms is %s", (aheadMs, text) => {
  expect(aheadText(aheadMs, "ours")).toBe(text);
});
