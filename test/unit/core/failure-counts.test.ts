/** Which of many equal failures have a line, and when what failed is tried again. */
import { expect, test } from "vitest";
import { FailureCounts, retryAfterFailureMs } from "../../../src/core/measure/failure-counts.ts";

const MINUTE = 60_000;

test("[OP3] lines come at powers of ten, for each failure apart", () => {
  const counts = new FailureCounts();
  const lines = Array.from({ length: 1_500 }, () => counts.note("outbox database")).filter((times) => times !== null);
  expect(lines).toEqual([1, 10, 100, 1_000]);
  expect(counts.note("inbox database")).toBe(1);
});

test("[OP3] made-up failures fill no memory: what was counted first is forgotten", () => {
  const counts = new FailureCounts();
  counts.note("first");
  for (let at = 0; at < 100; at += 1) counts.note(`made up ${at}`);
  expect(counts.note("first")).toBe(1);
  expect(counts.note("made up 99")).toBe(null);
});

test("[OP6] the wait doubles from a minute to an hour, half of it jitter", () => {
  const earliest = [1, 2, 3, 4, 5, 6, 7, 1_000].map((failures) => retryAfterFailureMs(failures, 0) / MINUTE);
  expect(earliest).toEqual([1, 2, 4, 8, 16, 30, 30, 30]);
  expect([retryAfterFailureMs(1, 0.5), retryAfterFailureMs(50, 0.999)].map((ms) => Math.ceil(ms / MINUTE))).toEqual([2, 60]);
});
