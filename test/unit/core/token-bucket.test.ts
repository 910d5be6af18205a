import fc from "fast-check";
import { expect, test } from "vitest";
import { addressGroup } from "../../../src/core/http/client-ip.ts";
import { BucketTable, Pace, TokenBucket } from "../../../src/core/link/token-bucket.ts";

test("a bucket gives its burst, then its rate, and never more, whatever the clock does", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -500, max: 500 }), { maxLength: 200 }), (steps) => {
      const rate = { perSecond: 10, burst: 5 };
      const bucket = new TokenBucket(rate, 0);
      let nowMs = 0;
      let forwardMs = 0;
      let taken = 0;
      for (const step of steps) {
        nowMs += step;
        forwardMs += Math.max(0, step);
        if (bucket.take(nowMs) === 0) taken += 1;
        expect(taken).toBeLessThanOrEqual(rate.burst + (forwardMs * rate.perSecond) / 1000 + 1e-6);
      }
    }),
  );
});

test("what a bucket says to wait is enough", () => {
  const bucket = new TokenBucket({ perSecond: 5 / 60, burst: 1 }, 0);
  expect(bucket.take(0)).toBe(0);
  const waitMs = bucket.take(0);
  expect(waitMs).toBe(12_000);
  expect(bucket.take(waitMs - 1)).toBeGreaterThan(0);
  expect(bucket.take(waitMs)).toBe(0);
});

test("a table of buckets is bounded: made-up keys push out those that were not used for longest", () => {
  const table = new BucketTable({ perSecond: 1, burst: 1 }, 10);
  expect(table.take("victim", 0)).toBe(0);
  for (let i = 0; i < 100_000; i += 1) {
    table.take(`key ${i}`, 0);
    if (i % 5 === 0) expect(table.take("victim", 0)).toBeGreaterThan(0);
  }
  expect(table.size).toBe(10);
});

test("[CR7] [case 23] a flow at its rate passes at once and in order; faster is held back; regardless of that is over", () => {
  const rate = { perSecond: 1_000, burst: 4_000 };
  const steady = new Pace<number>(rate, 1_000, 0);
  for (let i = 0; i < 20_000; i += 1) expect(steady.push(i, i)).toEqual([i]);
  const flood = new Pace<number>(rate, 1_000, 0);
  const passed: number[] = [];
  let at = 0;
  for (; at < 100_000; at += 1) {
    // 100,000 a second.
    const released = flood.push(at, at / 100);
    if (released === "over") break;
    passed.push(...released);
  }
  expect(at).toBeLessThan(5_200);
  expect(passed).toEqual(Array.from({ length: passed.length }, (_, i) => i));
  expect(passed.length).toBeGreaterThanOrEqual(4_000);
  expect(flood.waitMs).toBeGreaterThan(0);
  expect(flood.release(10_000)).toHaveLength(1_001);
  expect([flood.heldCount, flood.waitMs]).toEqual([0, 0]);
});

test("[CR7] flows share what all may use, first come first served; the own share is nobody else's, and no flow gets more than both", () => {
  const rate = { perSecond: 100, burst: 50 };
  const all = { perSecond: 1_000, burst: 20 };
  const alone = new Pace<number>(rate, 1e9, 0, new TokenBucket(all, 0));
  expect(Array.from({ length: 100 }, () => alone.pass(0)).filter(Boolean)).toHaveLength(rate.burst + all.burst);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 20 })), { maxLength: 2_000 }), (steps) => {
      const shared = new TokenBucket(all, 0);
      const flows = Array.from({ length: 4 }, () => ({ pace: new Pace<number>(rate, 1e9, 0, shared), passed: 0, put: 0 }));
      let nowMs = 0;
      for (const [which, waitMs] of steps) {
        nowMs += waitMs;
        const flow = flows[which];
        if (flow === undefined) continue;
        flow.put += 1;
        if (flow.pace.pass(nowMs)) flow.passed += 1;
        else {
          const released = flow.pace.push(flow.put, nowMs);
          flow.passed += released === "over" ? 0 : released.length;
        }
        const own = rate.burst + (nowMs * rate.perSecond) / 1000;
        expect(flow.passed).toBeLessThanOrEqual(own + all.burst + (nowMs * all.perSecond) / 1000 + 1e-6);
        // Nobody has to wait for what lies within the own share.
        if (flow.put <= rate.burst) expect(flow.passed).toBe(flow.put);
      }
      const passed = flows.reduce((sum, flow) => sum + flow.passed, 0);
      const shares = flows.length * (rate.burst + (nowMs * rate.perSecond) / 1000);
      expect(passed).toBeLessThanOrEqual(shares + all.burst + (nowMs * all.perSecond) / 1000 + 1e-6);
    }),
    { numRuns: 60 },
  );
});

test("an IPv4 address counts by itself, an IPv6 one by its /64, however it is written", () => {
  expect(addressGroup("81.2.3.4")).toBe("81.2.3.4");
  const same = ["2a00:1450:4001:830::1", "2A00:1450:4001:0830:ffff:ffff:ffff:ffff", "2a00:1450:4001:830:0:0:1.2.3.4"];
  expect(new Set(same.map(addressGroup)).size).toBe(1);
  expect(addressGroup("2a00:1450:4001:831::1")).not.toBe(addressGroup("2a00:1450:4001:830::1"));
  expect(addressGroup("nonsense")).toBe("nonsense");
});
