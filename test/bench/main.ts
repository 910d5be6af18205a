/** `npm run bench`: Gatehouse beside its peers on this machine, same client, same gateway, interleaved rounds. Method and figures: README.md. */
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { buildAll } from "../../scripts/build.ts";
import { start } from "../../scripts/children.ts";
import { freePort } from "../../scripts/control-plane.ts";
import { quantile } from "./load.ts";
import { ForeignLoad, machineLine } from "./machine.ts";
import { gatehouse } from "./peers/gatehouse.ts";
import type { Gatehouse } from "./peers/gatehouse.ts";
import { MissingPeerError, caddy, direct, haproxy, muxObject, nginx, openssh, rawNode } from "./peers/others.ts";
import type { Peer } from "./peers/peer.ts";
import { OWN_SCENARIOS, SCENARIOS } from "./scenarios.ts";
import type { Figures, Pace, Scenario } from "./scenarios.ts";

const TOKEN = "token-of-the-bench-gateway";
const DEVICES = 50;
const LONGEST_RUN_MS = 60_000;

const STARTERS: Readonly<Record<string, (gatewayPort: number, dir: string) => Promise<Peer>>> = {
  direct,
  nginx,
  haproxy,
  caddy,
  openssh,
  raw: rawNode,
  mux: muxObject,
  gatehouse: (gatewayPort, dir) => gatehouse({ gatewayPort, token: TOKEN, dir, devices: DEVICES }),
};

const HELP = `npm run bench -- [options]

  --quick             two short rounds: does it run at all? Not for quoting
  --rounds <n>        rounds of every peer in every scenario (5)
  --only <a,b>        scenarios: ${[...SCENARIOS, ...OWN_SCENARIOS].map(({ name }) => name.replaceAll(" ", "-")).join(", ")}
  --peers <a,b>       ${Object.keys(STARTERS).join(", ")}
  --beside <folder>   another checkout, built already: one more Gatehouse, to compare before and after in one run
  --real              instead: the real OpenClaw and its Control UI in Chromium
  --json              one JSON document, progress on stderr
  --help

Everything is on this machine: compare ratios, never read them as Cloudflare's. Ctrl-C ends every process that it started.
nginx, HAProxy, Caddy and OpenSSH are measured where they are installed, and named as missing where not.`;

const stops: (() => Promise<unknown>)[] = [];
let isEnding = false;

async function end(code: number): Promise<never> {
  isEnding = true;
  for (const stop of stops.toReversed()) await stop().catch(() => undefined);
  process.exit(code);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

interface Measured {
  readonly scenario: string;
  readonly about: string;
  readonly peers: readonly {
    readonly peer: string;
    readonly kind: string;
    readonly rounds: readonly Figures[];
    readonly failed?: string;
  }[];
  /** Load average of one minute and cores that others kept busy, median over the scenario's measurements. */
  readonly loadAverage: number;
  readonly foreignCores: number;
}

/** A peer that hangs must not end the whole run. */
async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${limitMs / 1000} s`)), limitMs);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Every peer once per round, in turn: a machine that changes its speed changes it for all. */
async function measure(scenario: Scenario, peers: readonly Peer[], rounds: number, pace: Pace): Promise<Measured> {
  const loadAverage = os.loadavg()[0] ?? 0;
  const results = peers.map((peer) => ({
    peer: peer.name,
    kind: peer.kind,
    rounds: [] as Figures[],
    failed: undefined as string | undefined,
  }));
  const foreign: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const [i, peer] of peers.entries()) {
      const result = results[i];
      if (result === undefined || result.failed !== undefined) continue;
      const others = new ForeignLoad();
      try {
        result.rounds.push(await within(LONGEST_RUN_MS, scenario.run(peer, pace)));
      } catch (error) {
        if (isEnding) throw error;
        result.failed = error instanceof Error ? error.message : String(error);
      }
      foreign.push(others.cores());
    }
    say(`  ${scenario.name}: round ${round + 1} of ${rounds}`);
  }
  const done = results.map(({ failed, ...rest }) => (failed === undefined ? rest : { ...rest, failed }));
  return { scenario: scenario.name, about: scenario.about, peers: done, loadAverage, foreignCores: quantile(foreign, 0.5) ?? 0 };
}

function valuesOf(rounds: readonly Figures[], column: string): number[] {
  return rounds.flatMap((figures) => figures[column] ?? []);
}

function number(value: number, digits: number): string {
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Median of the rounds and their range. */
function cell(values: readonly number[], digits: number): string {
  const sorted = [...values].toSorted((a, b) => a - b);
  const [low, high] = [sorted[0], sorted.at(-1)];
  if (low === undefined || high === undefined) return "-";
  const middle = ((sorted[(sorted.length - 1) >> 1] ?? low) + (sorted[sorted.length >> 1] ?? low)) / 2;
  return low === high ? number(middle, digits) : `${number(middle, digits)} [${number(low, digits)}-${number(high, digits)}]`;
}

/** A column of Gatehouse's against a peer's, round by round of the same run: the median of the ratios. */
function ratio(measured: Measured, peer: string, column: string): string {
  const own = measured.peers.find((each) => each.peer === "Gatehouse");
  const other = measured.peers.find((each) => each.peer === peer);
  if (own === undefined || other === undefined) return "";
  const pairs = own.rounds.flatMap((figures, round) => {
    const [a, b] = [figures[column], other.rounds[round]?.[column]];
    return a === null || a === undefined || b === null || b === undefined || b === 0 ? [] : [a / b];
  });
  return pairs.length === 0 ? "" : `Gatehouse / ${peer}: ${cell(pairs, 2)}`;
}

function table(scenario: Scenario, measured: Measured): string {
  const columns = Object.keys(scenario.columns);
  const rows = measured.peers.map(({ peer, kind, rounds, failed }) => [
    `${peer} (${kind})`,
    ...(failed === undefined
      ? columns.map((column) => cell(valuesOf(rounds, column), scenario.columns[column] ?? 0))
      : [`failed: ${failed}`, ...columns.slice(1).map(() => "")]),
  ]);
  const ratios = columns
    .map((column) => {
      const peers = ["mux object", "raw Node mux", "Gatehouse before"]
        .map((peer) => ratio(measured, peer, column))
        .filter((text) => text !== "");
      return peers.length === 0 ? "" : `${column}, pair by pair: ${peers.join("; ")}`;
    })
    .filter((text) => text !== "");
  const lines = [
    `### ${scenario.name}`,
    `${scenario.about}. Load average ${number(measured.loadAverage, 1)}, others kept ${number(measured.foreignCores, 2)} cores busy.`,
    "",
    `| peer | ${columns.join(" | ")} |`,
    `|---|${columns.map(() => "---|").join("")}`,
    ...rows.map((row) => `| ${row.join(" | ")} |`),
    ...(ratios.length === 0 ? [] : ["", ratios.join("\n\n")]),
    "",
  ];
  return lines.join("\n");
}

async function startPeers(starters: typeof STARTERS, wanted: readonly string[], gatewayPort: number, dir: string) {
  const peers: Peer[] = [];
  const missing: string[] = [];
  let own: Gatehouse | null = null;
  for (const name of wanted) {
    const begin = starters[name];
    if (begin === undefined) throw new UsageError(`Unknown peer "${name}". One of: ${Object.keys(STARTERS).join(", ")}`);
    say(`Starting ${name} …`);
    try {
      const peer = await begin(gatewayPort, dir);
      stops.push(() => peer.stop());
      peers.push(peer);
      if (peer.name === "Gatehouse") own = peer as Gatehouse;
    } catch (error) {
      if (!(error instanceof MissingPeerError)) throw error;
      missing.push(error.message);
    }
  }
  return { peers, missing, own };
}

class UsageError extends Error {}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean" },
      rounds: { type: "string" },
      only: { type: "string" },
      peers: { type: "string" },
      real: { type: "boolean" },
      beside: { type: "string" },
      json: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) return void process.stdout.write(`${HELP}\n`);
  const quick = values.quick === true;
  const rounds = Number(values.rounds ?? (quick ? 2 : 5));
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100) throw new UsageError("--rounds takes a whole number from 1 to 100.");
  const only = values.only?.split(",").map((name) => name.replaceAll("-", " "));
  const isWanted = ({ name }: { readonly name: string }): boolean => only === undefined || only.includes(name.replaceAll("-", " "));
  for (const name of only ?? [])
    if (![...SCENARIOS, ...OWN_SCENARIOS].some((each) => each.name.replaceAll("-", " ") === name))
      throw new UsageError(`Unknown scenario "${name}". See --help.`);
  const pace: Pace = quick
    ? { warmUpMs: 200, measureMs: 600, openCount: 200, cuts: 10, kills: 1 }
    : { warmUpMs: 1_000, measureMs: 3_000, openCount: 1_000, cuts: 300, kills: 10 };

  const dir = await mkdtemp(path.join(os.tmpdir(), "gatehouse-bench-"));
  stops.push(() => rm(dir, { recursive: true, force: true }));
  say("Building …");
  await buildAll();
  if (values.real === true) {
    const { real } = await import("./real.ts");
    const report = await real({ dir, rounds, say, onStop: (stop) => stops.push(stop) });
    process.stdout.write(
      values.json === true
        ? `${JSON.stringify({ machine: machineLine(), ...report.json }, null, 2)}\n`
        : `${machineLine()}\n\n${report.text}\n`,
    );
    return;
  }
  const loadAtStart = os.loadavg().map((each) => number(each, 2)).join(" "); // prettier-ignore
  const gatewayPort = await freePort();
  const gateway = start({
    args: [path.join(import.meta.dirname, "stub-gateway.ts"), String(gatewayPort)],
    env: { ...process.env, OPENCLAW_GATEWAY_TOKEN: TOKEN },
  });
  stops.push(() => gateway.stop());
  await gateway.line((line) => line.startsWith("Stub gateway"), "The stub gateway");
  const { beside } = values;
  const before = (port: number, folder: string): Promise<Peer> =>
    gatehouse({
      gatewayPort: port,
      token: TOKEN,
      dir: path.join(folder, "before"),
      devices: DEVICES,
      checkout: path.resolve(beside ?? ""),
    });
  const starters = beside === undefined ? STARTERS : { ...STARTERS, before };
  const wanted = [...(values.peers?.split(",") ?? Object.keys(STARTERS)), ...(beside === undefined ? [] : ["before"])];
  const { peers, missing, own } = await startPeers(starters, wanted, gatewayPort, dir);

  const heading = [
    `Machine: ${machineLine()}. Load average at the start: ${loadAtStart}. ${new Date().toISOString().slice(0, 10)}.`,
    `${rounds} rounds, peers in turn; ${pace.warmUpMs / 1000} s warm-up and ${pace.measureMs / 1000} s measured each; median [smallest-largest round]. Client, gateway, relay and connector share this machine.`,
    ...(missing.length === 0 ? [] : [`Not measured: ${missing.join("; ")}.`]),
    "",
  ].join("\n");
  const isText = values.json !== true;
  if (isText) process.stdout.write(`${heading}\n`);
  const measured: Measured[] = [];
  for (const scenario of SCENARIOS.filter(isWanted)) {
    // A stalled reader is watched for 14 s: its rounds are few.
    const result = await measure(scenario, peers, scenario.name === "slow-reader" ? Math.min(rounds, 2) : rounds, pace);
    measured.push(result);
    if (isText) process.stdout.write(`${table(scenario, result)}\n`);
  }
  const alone: object[] = [];
  for (const scenario of own === null ? [] : OWN_SCENARIOS.filter(isWanted)) {
    say(`  ${scenario.name} …`);
    const others = new ForeignLoad();
    const { figures, notes } = await scenario.run(own as Gatehouse, pace);
    const foreignCores = others.cores();
    alone.push({ scenario: scenario.name, about: scenario.about, figures, notes, foreignCores });
    if (!isText) continue;
    const lines = Object.entries(figures).map(
      ([name, value]) => `- ${name}: ${value === null ? "-" : number(value, name.endsWith("ms") ? 1 : 0)}`,
    );
    process.stdout.write(
      `### ${scenario.name} (Gatehouse alone)\n${scenario.about}. Others kept ${number(foreignCores, 2)} cores busy.\n\n${[...lines, ...notes.map((note) => `- ${note}`)].join("\n")}\n\n`,
    );
  }
  if (!isText)
    process.stdout.write(`${JSON.stringify({ machine: machineLine(), loadAtStart, rounds, pace, missing, measured, alone }, null, 2)}\n`);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void end(130));
try {
  await main();
  await end(0);
} catch (error) {
  if (!isEnding) process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  await end(error instanceof UsageError ? 2 : 1);
}
