/** `npm run simulate -- --seeds N [--seed S] [--json] [--trace]`: many runs, one after the other, and a report of the first that fails. */
import { parseArgs } from "node:util";
import { loadSimulator } from "./build.ts";
import { shrink } from "./shrink.ts";

const USAGE = "npm run simulate -- [--seeds N] [--seed first] [--json] [--trace]";

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string" },
      seed: { type: "string" },
      json: { type: "boolean" },
      trace: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  const first = Number(values.seed ?? 1);
  const count = Number(values.seeds ?? (values.seed === undefined ? 1_000 : 1));
  if (values.help === true || !Number.isSafeInteger(first) || !Number.isSafeInteger(count) || first < 0 || count < 1) {
    console.error(USAGE);
    return values.help === true ? 0 : 2;
  }
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  const simulator = await loadSimulator();
  const startedAt = performance.now();
  let saidAt = startedAt;
  const sums = { seeds: 0, events: 0, wakes: 0, streams: 0, delivered: 0, mostHeld: 0, batches: 0 };
  const failures: object[] = [];
  for (let seed = first; seed < first + count && !stop.signal.aborted; seed += 1) {
    const result = await simulator.run({ seed, isVerbose: values.trace === true });
    if (result.lines !== null) console.log(result.lines.join("\n"));
    sums.seeds += 1;
    sums.events += result.events;
    sums.wakes += result.wakes;
    sums.streams += result.streams;
    sums.delivered += result.delivered;
    sums.batches += result.batches.room + result.batches.connector;
    sums.mostHeld = Math.max(sums.mostHeld, result.mostHeld);
    if (result.violation !== null) {
      const { rule, text, atMs } = result.violation;
      const plan = await shrink(simulator, seed, result.plan, rule, () => stop.signal.aborted);
      failures.push({ seed, rule, text, atMs, traceHash: result.traceHash, plan });
      if (values.json !== true) {
        console.log(
          `\nSeed ${seed} breaks ${text}\n  at ${atMs} ms, trace ${result.traceHash}; it takes, of ${result.plan.steps.length} steps:`,
        );
        for (const { atMs: when, ...step } of plan.steps)
          console.log(`  ${String(when).padStart(6)} ms  ${JSON.stringify(step).slice(0, 300)}`);
        console.log(`  Again, with every line: npm run simulate -- --seed ${seed} --trace\n`);
      }
    }
    if (values.json !== true && performance.now() - saidAt > 5_000) {
      saidAt = performance.now();
      console.log(
        `${sums.seeds} of ${count} seeds, ${failures.length} failed, ${(sums.seeds / ((saidAt - startedAt) / 1000)).toFixed(1)} a second`,
      );
    }
  }
  const tookS = Math.round((performance.now() - startedAt) / 100) / 10;
  if (values.json === true) console.log(JSON.stringify({ first, ...sums, tookS, isStopped: stop.signal.aborted, failures }, null, 2));
  else
    console.log(
      `${stop.signal.aborted ? "Stopped. " : ""}${sums.seeds} seeds from ${first}: ${failures.length} failed. ${sums.events} events, ${sums.wakes} wakes of the room, ` +
        `${sums.streams} streams, ${sums.delivered} messages delivered, ${sums.batches} messages of several frames, at most ${(sums.mostHeld / 1_048_576).toFixed(1)} MiB held, ${tookS} s.`,
    );
  return failures.length > 0 ? 1 : stop.signal.aborted ? 130 : 0;
}

process.exitCode = await main();
