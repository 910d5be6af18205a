/** Seeds of the simulator: room and connector as they are, under faults. `npm run simulate` runs more of them. */
import { expect, test } from "vitest";
import { loadSimulator } from "./build.ts";
import { FAILED_SEEDS } from "./failed-seeds.ts";
import { FAILED_PLANS } from "./shown-plans.ts";
import { shrink } from "./shrink.ts";

const simulator = await loadSimulator();
const FIRST = 1;
const SEEDS = 1_000;
const PART = 100;

test("a seed is one run: the same trace each time, and another one for another seed", async () => {
  const [once, again, other] = [await simulator.run({ seed: 7 }), await simulator.run({ seed: 7 }), await simulator.run({ seed: 8 })];
  expect(again.traceHash).toBe(once.traceHash);
  expect(again.events).toBe(once.events);
  expect(other.traceHash).not.toBe(once.traceHash);
});

test("another process gives the same trace", async () => {
  const fresh = await loadSimulator();
  await fresh.run({ seed: 3 });
  const here = await simulator.run({ seed: 11 });
  expect((await fresh.run({ seed: 11 })).traceHash).toBe(here.traceHash);
});

test.each(Array.from({ length: SEEDS / PART }, (_, i) => FIRST + i * PART))(
  "[ST6] [LINK7] [CR6] a hundred seeds from %d on: nothing is broken that was promised, and everybody is back",
  async (from) => {
    for (let seed = from; seed < from + PART; seed += 1) {
      const { violation, plan } = await simulator.run({ seed });
      if (violation === null) continue;
      const { steps } = await shrink(simulator, seed, plan, violation.rule);
      expect.fail(`seed ${seed}: ${violation.text}\n${steps.map((step) => JSON.stringify(step)).join("\n")}`);
    }
  },
);

test.each(FAILED_SEEDS)("seed %d, which once failed: %s", async (seed) => {
  expect((await simulator.run({ seed })).violation).toBe(null);
});

test.each(FAILED_PLANS)("a run that once failed: %s", async (_showed, run) => {
  expect((await simulator.run(run)).violation).toBe(null);
});
