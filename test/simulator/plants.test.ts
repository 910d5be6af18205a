/** The checkers find what is planted. */
import { expect, test } from "vitest";
import { loadSimulator } from "./build.ts";
import { PLANTS, SAID_OF, SHOWN_BY } from "./plants.ts";
import { SHOWN_BY_PLAN } from "./shown-plans.ts";

/** The first seed of each that showed it is below this; more are run only when the sources have changed. */
const MOST_SEEDS = 1_000;
/** Nearly every seed shows a bad line. */
const SEEDS_FOR_NAMES = 20;
/** A plan that shows a rare one does so under some other seeds, too: times that move a little do not hide it. */
const PLAN_SEEDS = 200;

test.each(Object.entries(SAID_OF))("[FR6] [case 31] planted: %s; the first thing that is found says: %s", async (name, said) => {
  const plant = PLANTS.find((each) => each.name === name);
  if (plant === undefined) throw new Error(`no such plant: ${name}`);
  const simulator = await loadSimulator(plant);
  const found: string[] = [];
  for (let seed = 1; seed <= SEEDS_FOR_NAMES; seed += 1) found.push((await simulator.run({ seed })).violation?.text ?? "");
  const wrong = found.filter((text) => text !== "");
  expect(wrong.length).toBeGreaterThan(5);
  expect(wrong.filter((text) => !text.endsWith(`4502 room-connector: ${said}`))).toEqual([]);
});

test.each(PLANTS.map((plant) => [plant.name, plant] as const))("planted: %s; a checker finds it", async (_name, plant) => {
  const simulator = await loadSimulator(plant);
  const seed = SHOWN_BY[plant.name];
  const shown = seed === undefined ? SHOWN_BY_PLAN[plant.name] : { seed };
  if (shown !== undefined && (await simulator.run(shown)).violation !== null) return;
  if (shown !== undefined && "plan" in shown)
    for (let other = 1; other <= PLAN_SEEDS; other += 1)
      if ((await simulator.run({ seed: other, plan: shown.plan })).violation !== null) return;
  for (let next = 1; next <= MOST_SEEDS; next += 1) if ((await simulator.run({ seed: next })).violation !== null) return;
  expect.fail(`not found within ${MOST_SEEDS} seeds`);
});
