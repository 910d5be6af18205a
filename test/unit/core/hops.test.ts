/** Samples that stay few, medians, and which hop is the broken one. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { BUCKETS_S, Histogram } from "../../../src/core/measure/histogram.ts";
import { SampleRing, hopViews, median, medianOf, timed } from "../../../src/core/measure/latency.ts";
import { GATEWAY_STATES } from "../../../src/protocol/words.ts";

test("the median has as many values above it as below, whatever their order", () => {
  expect([median([]), median([3]), median([1, 2]), median([9, 1, 5])]).toEqual([null, 3, 1.5, 5]);
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true, min: 0, max: 1e6 }), { minLength: 1, maxLength: 40 }), (values) => {
      const middle = median(values) ?? -1;
      expect(values.filter((each) => each < middle).length).toBeLessThanOrEqual(values.length / 2);
      expect(values.filter((each) => each > middle).length).toBeLessThanOrEqual(values.length / 2);
    }),
  );
  expect([medianOf([]), medianOf([1.2345, 1.2345])]).toEqual([null, { medianMs: 1.23, samples: 2 }]);
});

test("[OB3] a ring keeps the last of its values and never more", () => {
  const ring = new SampleRing(3);
  for (let value = 1; value <= 5; value += 1) ring.add(value);
  expect(ring.values.toSorted((a, b) => a - b)).toEqual([3, 4, 5]);
});

test("rounds are timed one after another; what fails ends them", async () => {
  let nowMs = 100;
  const delays = [5, 7, -3];
  const taken = await timed(3, () => Promise.resolve((nowMs += delays.shift() ?? 0)), () => nowMs); // prettier-ignore
  // A clock that steps back makes no negative time.
  expect(taken).toEqual([5, 7, 0]);
  await expect(timed(3, () => Promise.reject(new Error("gone")), () => nowMs)).rejects.toThrow("gone"); // prettier-ignore
});

test("a histogram counts each value under every bound that it fits", () => {
  const histogram = new Histogram();
  for (const seconds of [0.0005, 0.02, 99]) histogram.add(seconds);
  expect([histogram.count, histogram.sum]).toEqual([3, 99.0205]);
  expect(histogram.cumulative.map((each) => each.bound)).toEqual([...BUCKETS_S]);
  expect(histogram.cumulative.map((each) => each.count)).toEqual([1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2]);
});

const M = { medianMs: 1, samples: 1 };

test.each([
  ["online", { roomConnector: M, connectorGateway: M }, ["measured", "measured"]],
  // Whatever an old answer said: nothing crosses a link that is gone.
  ["no-link", { roomConnector: M, connectorGateway: M }, ["broken", "unmeasured"]],
  ["unclaimed", null, ["unmeasured", "unmeasured"]],
  ["offline", { roomConnector: M, connectorGateway: null }, ["measured", "broken"]],
  ["offline", null, ["unmeasured", "broken"]],
  ["restarting", null, ["unmeasured", "broken"]],
  ["starting", { roomConnector: M, connectorGateway: M }, ["measured", "measured"]],
  ["unsafe", { roomConnector: M, connectorGateway: M }, ["measured", "measured"]],
  ["online", { roomConnector: M, connectorGateway: null }, ["measured", "broken"]],
  ["online", null, ["unmeasured", "unmeasured"]],
] as const)("[OB2] gateway %s, connector says %o: the last two hops are %o", (state, probed, states) => {
  const views = hopViews(M, { state, edgeRoom: M, probed });
  expect(views.map((each) => each.state)).toEqual(["measured", "measured", ...states]);
  for (const each of views) expect(each.median !== null).toBe(each.state === "measured");
});

test("[OB2] at most one hop is ever called broken", () => {
  for (const state of GATEWAY_STATES)
    for (const probed of [null, { roomConnector: M, connectorGateway: null }, { roomConnector: null, connectorGateway: null }])
      expect(hopViews(null, { state, edgeRoom: null, probed }).filter((each) => each.state === "broken").length).toBeLessThanOrEqual(1);
});
