/** Takes steps out of a plan as long as it goes on to fail in the same way. */
import type { Simulator } from "./build.ts";
import type { Plan } from "./plan.ts";

/**
 * @param rule the promise that must stay broken
 * @param isStopped asked before each run
 * @returns the smallest plan that was found
 */
export async function shrink(
  simulator: Simulator,
  seed: number,
  plan: Plan,
  rule: string,
  isStopped: () => boolean = () => false,
): Promise<Plan> {
  let best = plan;
  for (let size = Math.ceil(best.steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < best.steps.length && !isStopped();) {
      const smaller = { ...best, steps: best.steps.toSpliced(from, size) };
      const { violation } = await simulator.run({ seed, plan: smaller });
      if (violation?.rule === rule) best = smaller;
      else from += size;
    }
  }
  return best;
}
