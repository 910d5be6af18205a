/** `npm run soak`: real processes under one fault after another for as long as wanted, both ends of every stream checked, and what the processes keep. */
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import os from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { root, run } from "../../scripts/children.ts";
import { quantile } from "../bench/load.ts";
import { machineLine, residentMib } from "../bench/machine.ts";
import { startBenchControl } from "../bench/peers/control.ts";
import { Random } from "../simulator/random.ts";
import { FaultWorld, until } from "../support/fault-world.ts";
import type { RecordedStream } from "../support/fault-world.ts";
import { violations } from "../support/history.ts";
import { FAULTS } from "./faults.ts";
import type { Fault } from "./faults.ts";
import { growth } from "./leaks.ts";
import type { Look } from "./leaks.ts";

const HELP = `npm run soak -- [--minutes M] [--pause S] [--seed S] [--only faults] [--json]

  --minutes M    how long, 1 to 1,440 (10); the last round is finished
  --pause S      seconds of quiet after each fault (0). A connector that lost its link again within a minute waits longer
                 before it dials (PROTOCOL.md LINK6): how soon everybody is served again means something from 60 on
  --seed S       which faults in which order (from the clock); what a machine does in between is not drawn
  --only a,b     faults whose name contains one of these
  --json         one JSON document, progress on stderr
  --help

In the first two thirds no process is ended, so that what they keep shows. Exit code 0 all held, 1 something did not, 2 wrong arguments, 130 stopped.`;

const STREAMS = 6;
/** Somebody who is not served again by then is a violation (fault-cases P2 asks for 12 s at p99). */
const LONGEST_BACK_MS = 60_000;
/** The longest fault waits for two silences of a link. */
const LONGEST_FAULT_MS = 180_000;
const CALM_SHARE = 2 / 3;
/** What an end may say of an honest break (1001: to the gateway, of a link that is gone); 1002, 1007 and 1011 would be ours. */
const HONEST_CODES: readonly number[] = [1000, 1001, 1006, 4401, 4403, 4413, 4502];

interface Round {
  readonly fault: string;
  readonly backMs: number;
  readonly violations: readonly string[];
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function within<T>(limitMs: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${limitMs / 1000} s`)), limitMs);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Streams that outlived the fault finish what is under way, and close. */
async function finish(streams: readonly RecordedStream[]): Promise<void> {
  for (const stream of streams) stream.rest();
  await until(() => streams.every((stream) => stream.isWhole || stream.isOver));
  for (const { device } of streams) device.close(1000, "done");
  await until(() => streams.every((stream) => stream.isOver));
}

async function round(world: FaultWorld, fault: Fault, random: Random): Promise<Round> {
  const history = world.newHistory();
  const found: string[] = [];
  const streams = await within(LONGEST_BACK_MS, "streams open", world.talking(STREAMS));
  const { broken, of = streams } = await within(LONGEST_FAULT_MS, fault.name, fault.make(world, streams, random));
  const endedAt = performance.now();
  const all = [...new Set([...streams, ...of])];
  await within(LONGEST_BACK_MS, "streams end", finish(all));
  const names = (list: readonly RecordedStream[]): string[] => list.map(({ name }) => name);
  const whole = all.filter((stream) => !of.includes(stream));
  const linesOf = (list: readonly RecordedStream[]) => {
    const wanted = new Set(names(list));
    return {
      lines: history.lines.filter(({ stream }) => wanted.has(stream)),
      endings: history.endings,
      late: history.late.filter((where) => wanted.has(where.split(" ", 1)[0] ?? "")),
    };
  };
  found.push(...violations(linesOf(of), names(of), broken), ...violations(linesOf(whole), names(whole)));
  for (const { stream, end, code, reason } of history.endings)
    if (!HONEST_CODES.includes(code)) found.push(`${stream}: ended at the ${end} with ${code} "${reason}"`);
  await within(LONGEST_BACK_MS, "everybody is served again", world.healthy());
  return { fault: fault.name, backMs: performance.now() - endedAt, violations: found };
}

function look(pid: number): Look | null {
  try {
    return { pid, files: readdirSync(`/proc/${pid}/fd`).length, residentMib: residentMib([pid]) ?? 0 };
  } catch {
    return null;
  }
}

class UsageError extends Error {}

function asked() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        minutes: { type: "string" },
        pause: { type: "string" },
        seed: { type: "string" },
        only: { type: "string" },
        json: { type: "boolean" },
        help: { type: "boolean" },
      },
    }));
  } catch {
    throw new UsageError(HELP);
  }
  const minutes = Number(values.minutes ?? 10);
  const pauseMs = Number(values.pause ?? 0) * 1_000;
  const seed = Number(values.seed ?? Date.now() % 1_000_000);
  if (!(minutes > 0) || minutes > 1_440) throw new UsageError("--minutes takes a number up to 1,440.");
  if (!(pauseMs >= 0) || pauseMs > 3_600_000) throw new UsageError("--pause takes seconds up to 3,600.");
  if (!Number.isSafeInteger(seed) || seed < 0) throw new UsageError("--seed takes a whole number.");
  const parts = (values.only ?? "").split(",");
  const faults = FAULTS.filter(({ name }) => parts.some((part) => name.includes(part)));
  if (faults.length === 0) throw new UsageError(`--only: one of ${FAULTS.map(({ name }) => name).join("; ")}`);
  return { minutes, pauseMs, seed, faults, isJson: values.json === true, isHelp: values.help === true };
}

async function soak({ minutes, pauseMs, seed, faults, isJson }: ReturnType<typeof asked>, stopped: AbortSignal): Promise<number> {
  say("Building …");
  await run("The build", { args: [`${root}/scripts/build.ts`] });
  const secret = randomBytes(32).toString("base64url");
  const world = await FaultWorld.start((options) => startBenchControl({ ...options, checkout: root, secret }));
  const random = new Random(seed, "soak");
  const rounds: Round[] = [];
  const looks: Record<"workerd" | "connector", Look[]> = { workerd: [], connector: [] };
  let failure: string | null = null;
  const calm = faults.filter(({ endsProcess }) => !endsProcess);
  const startedAt = performance.now();
  const passed = (): number => (performance.now() - startedAt) / (minutes * 60_000);
  try {
    while (passed() < 1 && !stopped.aborted) {
      const fault = random.pick(passed() < CALM_SHARE && calm.length > 0 ? calm : faults);
      const done = await round(world, fault, random);
      rounds.push(done);
      for (const [name, pid] of [["workerd", world.workerdPids()[0]], ["connector", world.connector.child.process.pid]] as const) {
        const seen = pid === undefined ? null : look(pid);
        if (seen !== null) looks[name].push(seen);
      } // prettier-ignore
      say(`${rounds.length}. ${done.fault}: served again after ${(done.backMs / 1000).toFixed(1)} s`);
      for (const each of done.violations) say(`   VIOLATED ${each}`);
      await sleep(pauseMs, undefined, { signal: stopped }).catch(() => undefined);
    }
  } catch (error) {
    if (!stopped.aborted) failure = error instanceof Error ? error.message : String(error);
  } finally {
    await world.stop();
  }
  const grown = { workerd: growth(looks.workerd), connector: growth(looks.connector) };
  const backMs = rounds.map((each) => each.backMs);
  const report = {
    machine: machineLine(),
    loadAverage: os.loadavg()[0] ?? 0,
    seed,
    pauseMs,
    minutes: (performance.now() - startedAt) / 60_000,
    rounds: rounds.length,
    looks,
    byFault: Object.fromEntries([...Map.groupBy(rounds, ({ fault }) => fault)].map(([name, list]) => [name, list.length])),
    violations: rounds.flatMap((each) => each.violations.map((text) => `${each.fault}: ${text}`)),
    failure,
    backMs: { p50: quantile(backMs, 0.5), p99: quantile(backMs, 0.99), max: quantile(backMs, 1) },
    grown,
    leaks: Object.entries(grown).flatMap(([name, what]) => (what?.leaks ?? []).map((leak) => `${name}: ${leak}`)),
  };
  const isWhole = failure === null && report.violations.length + report.leaks.length === 0;
  if (isJson) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  else {
    const seconds = (ms: number | null): string => `${((ms ?? 0) / 1000).toFixed(1)} s`;
    process.stdout.write(
      [
        report.machine,
        `${report.rounds} faults in ${report.minutes.toFixed(1)} minutes, ${pauseMs / 1000} s of quiet after each, seed ${seed}: ${report.violations.length} violations. Served again p50 ${seconds(report.backMs.p50)}, p99 ${seconds(report.backMs.p99)}, at most ${seconds(report.backMs.max)}.`,
        ...Object.entries(report.byFault).map(([name, count]) => `- ${name}: ${count}`),
        ...Object.entries(grown).map(([name, what]) =>
          what === null
            ? `${name}: looked at too seldom to say what it keeps`
            : `${name}, the process that lived longest, ${what.looks} looks: open files ${what.files.join(" -> ")}, resident ${what.residentMib.map(Math.round).join(" -> ")} MiB`,
        ),
        ...report.violations.map((text) => `VIOLATED ${text}`),
        ...report.leaks.map((text) => `LEAK ${text}`),
        ...(failure === null ? [] : [`FAILED ${failure}`]),
        "",
      ].join("\n"),
    );
  }
  return stopped.aborted ? 130 : isWhole ? 0 : 1;
}

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => {
    stop.abort();
    say("Ending after this round …");
  });
try {
  const options = asked();
  if (options.isHelp) process.stdout.write(`${HELP}\n`);
  else process.exitCode = await soak(options, stop.signal);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  say(error.message);
  process.exitCode = 2;
}
process.exit();
