/** The checkers find what is planted. */
import { expect, test } from "vitest";
import { loadSimulator } from "./build.ts";
import { PLANTS } from "./plants.ts";

/** The first seed of each that showed it is below this; more are run only when the sources have changed. */
const MOST_SEEDS = 1_000;

test.each(PLANTS.map((plant) => [plant.name, plant] as const))("planted: %s; a checker finds it", async (_name, plant) => {
  const simulator = await loadSimulator(plant);
  for (const seed of plant.seeds ?? []) if ((await simulator.run({ seed })).violation !== null) return;
  for (let seed = 1; seed <= MOST_SEEDS; seed += 1) if ((await simulator.run({ seed })).violation !== null) return;
  expect.fail(`not found within ${MOST_SEEDS} seeds`);
});
