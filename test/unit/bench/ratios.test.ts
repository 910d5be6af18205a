import { expect, test } from "vitest";
import { SCENARIOS } from "../../bench/scenarios/all.ts";
import { LIMITS, judge, median } from "../../bench/ratios.ts";

test("the middle round counts: neither the best nor a single bad one decides", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  const any = { scenario: "any", column: "any" };
  const less = { ...any, limit: 2, isMoreBetter: false };
  const more = { ...any, limit: 0.5, isMoreBetter: true };
  expect(judge([1, 1.1, 9, 1.2, 8], less)).toEqual({ median: 1.2, isWithin: true });
  expect(judge([1, 2.1, 9, 2.2, 8], less).isWithin).toBe(false);
  expect(judge([0.9, 0.1, 1, 0.6, 0.2], more).isWithin).toBe(true);
  expect(judge([0.9, 0.1, 1, 0.4, 0.2], more).isWithin).toBe(false);
});

test("every limit names a scenario and a column that the bench measures", () => {
  for (const { scenario, column } of LIMITS)
    expect(Object.keys(SCENARIOS.find(({ name }) => name === scenario)?.columns ?? {})).toContain(column);
});

test("a run without rounds passes nothing", () => {
  for (const limit of LIMITS) expect(judge([], limit).isWithin).toBe(false);
});
