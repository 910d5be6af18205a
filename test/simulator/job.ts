/** One thread of `main.ts`: takes the next seed that nobody has, runs it, shrinks what fails, and reports. */
import { parentPort, workerData } from "node:worker_threads";
import { loadSimulator } from "./build.ts";
import type { Plan } from "./plan.ts";
import { shrink } from "./shrink.ts";

export interface JobData {
  readonly first: number;
  readonly count: number;
  /** Whether every line is wanted. */
  readonly isVerbose: boolean;
  /** Shared by all jobs: how many seeds somebody has taken. */
  readonly taken: Int32Array<SharedArrayBuffer>;
  /** 1 when nobody shall take another. */
  readonly stopped: Int32Array<SharedArrayBuffer>;
}

/** What became of one seed. */
export interface SeedReport {
  readonly result: {
    readonly events: number;
    readonly wakes: number;
    readonly streams: number;
    readonly delivered: number;
    readonly batches: number;
    readonly mostHeld: number;
  };
  readonly lines: readonly string[] | null;
  readonly failure: {
    readonly seed: number;
    readonly rule: string;
    readonly text: string;
    readonly atMs: number;
    readonly traceHash: string;
    /** Of the whole plan; `plan` is the smallest that fails in the same way. */
    readonly steps: number;
    readonly plan: Plan;
  } | null;
}

const { first, count, isVerbose, taken, stopped } = workerData as JobData;
const isStopped = (): boolean => Atomics.load(stopped, 0) === 1;
const simulator = await loadSimulator();
for (let next = Atomics.add(taken, 0, 1); next < count && !isStopped(); next = Atomics.add(taken, 0, 1)) {
  const seed = first + next;
  const { violation, traceHash, plan, lines, events, wakes, streams, delivered, mostHeld, batches } = await simulator.run({
    seed,
    isVerbose,
  });
  const failure =
    violation === null
      ? null
      : { seed, ...violation, traceHash, steps: plan.steps.length, plan: await shrink(simulator, seed, plan, violation.rule, isStopped) };
  const result = { events, wakes, streams, delivered, mostHeld, batches: batches.room + batches.connector };
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port between threads, not between windows
  parentPort?.postMessage({ result, lines, failure } satisfies SeedReport);
}
