/** `npm run simulate -- --seeds N [--seed S] [--jobs J] [--json] [--trace]`: many runs, and a report of those that fail. */
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import type { JobData, SeedReport } from "./job.ts";

const USAGE = "npm run simulate -- [--seeds N] [--seed first] [--jobs J] [--json] [--trace]";
const MAX_JOBS = 64;
/** Most of what a run makes is over before it ends: with more room for it, less of it is copied. */
const YOUNG_GENERATION_MIB = 96;

const OPTIONS = {
  seeds: { type: "string" },
  seed: { type: "string" },
  jobs: { type: "string" },
  json: { type: "boolean" },
  trace: { type: "boolean" },
  help: { type: "boolean" },
} as const;

/** @returns what was asked for, or null when it says nothing that is known here */
function asked() {
  try {
    return parseArgs({ options: OPTIONS }).values;
  } catch {
    return null;
  }
}

async function main(): Promise<number> {
  const values = asked();
  if (values === null) {
    console.error(USAGE);
    return 2;
  }
  const first = Number(values.seed ?? 1);
  const count = Number(values.seeds ?? (values.seed === undefined ? 1_000 : 1));
  const jobs = Number(values.jobs ?? 1);
  const isSound =
    [first, count, jobs].every((each) => Number.isSafeInteger(each)) && first >= 0 && count >= 1 && jobs >= 1 && jobs <= MAX_JOBS;
  if (values.help === true || !isSound || count > 0x7fff_0000) {
    console.error(USAGE);
    return values.help === true ? 0 : 2;
  }
  const data: JobData = {
    first,
    count,
    isVerbose: values.trace === true,
    taken: new Int32Array(new SharedArrayBuffer(4)),
    stopped: new Int32Array(new SharedArrayBuffer(4)),
  };
  const stop = (): void => void Atomics.store(data.stopped, 0, 1);
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  const startedAt = performance.now();
  let saidAt = startedAt;
  const sums = { seeds: 0, events: 0, wakes: 0, streams: 0, delivered: 0, mostHeld: 0, batches: 0 };
  const failures: NonNullable<SeedReport["failure"]>[] = [];
  const take = ({ result, lines, failure }: SeedReport): void => {
    if (lines !== null) console.log(lines.join("\n"));
    sums.seeds += 1;
    sums.events += result.events;
    sums.wakes += result.wakes;
    sums.streams += result.streams;
    sums.delivered += result.delivered;
    sums.batches += result.batches;
    sums.mostHeld = Math.max(sums.mostHeld, result.mostHeld);
    if (failure !== null) {
      failures.push(failure);
      if (values.json !== true) sayFailure(failure);
    }
    if (values.json !== true && performance.now() - saidAt > 5_000) {
      saidAt = performance.now();
      console.log(
        `${sums.seeds} of ${count} seeds, ${failures.length} failed, ${(sums.seeds / ((saidAt - startedAt) / 1000)).toFixed(1)} a second`,
      );
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(jobs, count) }, () => job(data, take)));
  } finally {
    // One that broke off ends the others.
    stop();
  }
  const isStopped = sums.seeds < count;
  failures.sort((a, b) => a.seed - b.seed);
  const tookS = Math.round((performance.now() - startedAt) / 100) / 10;
  if (values.json === true) console.log(JSON.stringify({ first, ...sums, tookS, isStopped, failures }, null, 2));
  else
    console.log(
      `${isStopped ? "Stopped. " : ""}${sums.seeds} seeds from ${first}: ${failures.length} failed. ${sums.events} events, ${sums.wakes} wakes of the room, ` +
        `${sums.streams} streams, ${sums.delivered} messages delivered, ${sums.batches} messages of several frames, at most ${(sums.mostHeld / 1_048_576).toFixed(1)} MiB held, ${tookS} s.`,
    );
  return failures.length > 0 ? 1 : isStopped ? 130 : 0;
}

/** One thread that takes seeds until there are no more. */
function job(data: JobData, take: (report: SeedReport) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./job.ts", import.meta.url), {
      workerData: data,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
    });
    worker.on("message", take);
    worker.once("error", reject);
    worker.once("exit", () => resolve());
  });
}

function sayFailure({ seed, text, atMs, traceHash, steps, plan }: NonNullable<SeedReport["failure"]>): void {
  console.log(`\nSeed ${seed} breaks ${text}\n  at ${atMs} ms, trace ${traceHash}; it takes, of ${steps} steps:`);
  for (const { atMs: when, ...step } of plan.steps) console.log(`  ${String(when).padStart(6)} ms  ${JSON.stringify(step).slice(0, 300)}`);
  console.log(`  Again, with every line: npm run simulate -- --seed ${seed} --trace\n`);
}

process.exitCode = await main();
