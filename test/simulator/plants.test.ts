/** The checkers find what is planted. */
import { expect, test } from "vitest";
import { loadSimulator } from "./build.ts";
import { PLANTS, SHOWN_BY } from "./plants.ts";

/** The first seed of each that showed it is below this; more are run only when the sources have changed. */
const MOST_SEEDS = 1_000;

test.each(PLANTS.map((plant) => [plant.name, plant] as const))("planted: %s; a checker finds it", async (_name, plant) => {
  const simulator = await loadSimulator(plant);
  const shown = SHOWN_BY[plant.name];
  if (shown !== undefined && (await simulator.run({ seed: shown })).violation !== null) return;
  for (let seed = 1; seed <= MOST_SEEDS; seed += 1) if ((await simulator.run({ seed })).violation !== null) return;
  expect.fail(`not found within ${MOST_SEEDS} seeds`);
});
