/** Every gateway loses its room at once: how real connectors come back to a control plane that was killed. The policy itself: unit/core/link-backoff.test.ts. */
import { setTimeout as sleep } from "node:timers/promises";
import { quantile } from "../load.ts";
import type { GatehouseFleet } from "../peers/gatehouse-fleet.ts";
import { fleetOf } from "./fleet.ts";
import type { OwnScenario } from "./scenario.ts";

const AWAY_MS = [0, 10_000] as const;
const BUCKET_MS = 250;

/** @returns for each connector when its link was up again, in ms after the control plane was ready; below 0 where it came sooner */
async function lose(fleet: GatehouseFleet, awayMs: number): Promise<number[]> {
  const watching = Promise.all(fleet.linkUps().map((times, room) => fleet.linkUp(room, times)));
  const again = await fleet.crash();
  await sleep(awayMs);
  await again();
  const backAt = performance.now();
  return (await watching).map((atMs) => atMs - backAt).toSorted((a, b) => a - b);
}

/** @returns busiest bucket against the mean over the window from the first to the last */
function peakToMean(times: readonly number[]): { readonly peak: number; readonly ratio: number } {
  const first = times[0] ?? 0;
  const counts: number[] = Array.from({ length: Math.floor(((times.at(-1) ?? 0) - first) / BUCKET_MS) + 1 }, () => 0);
  for (const atMs of times) {
    const bucket = Math.floor((atMs - first) / BUCKET_MS);
    counts[bucket] = (counts[bucket] ?? 0) + 1;
  }
  const peak = Math.max(...counts);
  return { peak, ratio: peak / (times.length / counts.length) };
}

export const herd: OwnScenario = {
  name: "herd",
  about: `workerd is killed with every link of many rooms on it and started again on the same disk, at once and after ${AWAY_MS[1] / 1000} s: when each connector process has its link back, counted from when the control plane says that it is ready; a few come between its socket and that word`,
  longestMs: 420_000,
  usesFleet: true,
  run: async (own, pace, note) => {
    const fleet = await fleetOf(own, pace);
    const figures: Record<string, number> = { links: fleet.rooms };
    for (const awayMs of AWAY_MS) {
      const backMs = await lose(fleet, awayMs);
      const { peak, ratio } = peakToMean(backMs);
      const name = awayMs === 0 ? "at once" : `after ${awayMs / 1000} s`;
      figures[`${name}: back p50 ms`] = Math.max(0, quantile(backMs, 0.5) ?? 0);
      figures[`${name}: back max ms`] = Math.max(0, backMs.at(-1) ?? 0);
      note(
        `${name}: at most ${peak} of ${fleet.rooms} in a quarter second, ${ratio.toFixed(1)} times the mean over ${Math.round((backMs.at(-1) ?? 0) - (backMs[0] ?? 0))} ms`,
      );
    }
    return figures;
  },
};
