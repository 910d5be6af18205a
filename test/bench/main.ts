/** `npm run bench`: Gatehouse beside its peers on this machine, same client, same gateway, interleaved rounds. Method and figures: README.md. */
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { root, run, start } from "../../scripts/children.ts";
import { freePort } from "../../scripts/control-plane.ts";
import { quantile } from "./load.ts";
import { ForeignLoad, fileLimit, machineLine, processTree } from "./machine.ts";
import { gatehouse } from "./peers/gatehouse.ts";
import type { Gatehouse } from "./peers/gatehouse.ts";
import { MissingPeerError, caddy, direct, haproxy, muxObject, nginx, openssh, rawNode } from "./peers/others.ts";
import type { Peer } from "./peers/peer.ts";
import { list, number, table } from "./report.ts";
import type { Measured, MeasuredAlone } from "./report.ts";
import { OWN_SCENARIOS, SCENARIOS } from "./scenarios/all.ts";
import { endFleets } from "./scenarios/fleet.ts";
import { FULL_PACE, LONG_PACE, QUICK_PACE } from "./scenarios/scenario.ts";
import type { Figures, Note, OwnScenario, Pace, Scenario } from "./scenarios/scenario.ts";

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
  --long              25,000 sockets in \`churn\` instead of 5,000
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
/** Everything that is written; goes when nobody writes any more. */
let scratch: string | null = null;
let isEnding = false;

async function end(code: number): Promise<void> {
  // Whoever begins it ends it: what fails because everything is being stopped is no failure.
  if (isEnding) return;
  isEnding = true;
  for (const stop of stops.toReversed()) await stop().catch(() => undefined);
  // What a scenario was about to start when it was interrupted; and its children, which a parent that is killed leaves behind.
  for (const pid of processTree(process.pid).slice(1).toReversed()) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has just ended.
    }
  }
  if (scratch !== null) await rm(scratch, { recursive: true, force: true }).catch(() => undefined);
  process.exit(code);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** A peer that hangs must not end the whole run. */
async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${limitMs / 1000} s`)), limitMs);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** @returns a collector of notes that keeps the same text once */
function notebook(): { readonly notes: readonly string[]; readonly note: Note } {
  const notes: string[] = [];
  return { notes, note: (text) => void (notes.includes(text) || notes.push(text)) };
}

/** Every peer once per round, in turn: a machine that changes its speed changes it for all. */
async function measure(scenario: Scenario, all: readonly Peer[], rounds: number, pace: Pace): Promise<Measured> {
  const loadAverage = os.loadavg()[0] ?? 0;
  const peers = all.filter((peer) => scenario.isFor?.(peer) ?? true);
  const results = peers.map((peer) => ({
    peer: peer.name,
    kind: peer.kind,
    rounds: [] as Figures[],
    failed: undefined as string | undefined,
  }));
  const { notes, note } = notebook();
  const foreign: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const startedAt = performance.now();
    for (const [i, peer] of peers.entries()) {
      const result = results[i];
      if (result === undefined || result.failed !== undefined) continue;
      const others = new ForeignLoad();
      try {
        result.rounds.push(await within(scenario.longestMs ?? LONGEST_RUN_MS, scenario.run(peer, pace, note)));
      } catch (error) {
        if (isEnding) throw error;
        result.failed = messageOf(error);
      }
      foreign.push(others.cores());
    }
    say(`  ${scenario.name}: round ${round + 1} of ${rounds}, ${Math.round((performance.now() - startedAt) / 1000)} s`);
  }
  const done = results.map(({ failed, ...rest }) => (failed === undefined ? rest : { ...rest, failed }));
  const foreignCores = quantile(foreign, 0.5) ?? 0;
  return { scenario: scenario.name, about: scenario.about, peers: done, loadAverage, foreignCores, notes };
}

/** Once, as it repeats itself inside. */
async function measureAlone(scenario: OwnScenario, own: Gatehouse, pace: Pace): Promise<MeasuredAlone> {
  const { name, about, longestMs = LONGEST_RUN_MS } = scenario;
  const loadAverage = os.loadavg()[0] ?? 0;
  const { notes, note } = notebook();
  const [others, startedAt] = [new ForeignLoad(), performance.now()];
  const result = await within(longestMs, scenario.run(own, pace, note)).then(
    (figures) => ({ figures }),
    (error: unknown) => {
      if (isEnding) throw error;
      return { figures: {}, failed: messageOf(error) };
    },
  );
  say(`  ${name}: ${Math.round((performance.now() - startedAt) / 1000)} s`);
  return { scenario: name, about, loadAverage, foreignCores: others.cores(), notes, ...result };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
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

/** @returns the exit code: 1 when something of Gatehouse could not be measured */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean" },
      long: { type: "boolean" },
      rounds: { type: "string" },
      only: { type: "string" },
      peers: { type: "string" },
      real: { type: "boolean" },
      beside: { type: "string" },
      json: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) {
    process.stdout.write(`${HELP}\n`);
    return 0;
  }
  const quick = values.quick === true;
  const rounds = Number(values.rounds ?? (quick ? 2 : 5));
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100) throw new UsageError("--rounds takes a whole number from 1 to 100.");
  const only = values.only?.split(",").map((name) => name.replaceAll("-", " "));
  const isWanted = ({ name }: { readonly name: string }): boolean => only === undefined || only.includes(name.replaceAll("-", " "));
  for (const name of only ?? [])
    if (![...SCENARIOS, ...OWN_SCENARIOS].some((each) => each.name.replaceAll("-", " ") === name))
      throw new UsageError(`Unknown scenario "${name}". See --help.`);
  const usual = values.long === true ? LONG_PACE : FULL_PACE;
  const pace = quick ? QUICK_PACE : usual;

  const dir = await mkdtemp(path.join(os.tmpdir(), "gatehouse-bench-"));
  scratch = dir;
  say("Building …");
  // A process of its own: what it prints is not of the report.
  await run("The build", { args: [path.join(root, "scripts/build.ts")] });
  if (values.real === true) {
    const { real } = await import("./real.ts");
    const { beside } = values;
    const report = await real({ dir, rounds, say, onStop: (stop) => stops.push(stop), ...(beside === undefined ? {} : { beside }) });
    process.stdout.write(
      values.json === true
        ? `${JSON.stringify({ machine: machineLine(), ...report.json }, null, 2)}\n`
        : `${machineLine()}\n\n${report.text}\n`,
    );
    return 0;
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
    `${rounds} rounds, peers in turn; ${pace.warmUpMs / 1000} s warm-up and ${pace.measureMs / 1000} s measured each; median [smallest-largest round]. Client, gateway, relay and connector share this machine. Open files: at most ${fileLimit()} a process.`,
    ...(missing.length === 0 ? [] : [`Not measured: ${missing.join("; ")}.`]),
    "",
  ].join("\n");
  const isText = values.json !== true;
  if (isText) process.stdout.write(`${heading}\n`);
  const show = (text: string): void => void (isText && process.stdout.write(`${text}\n`));
  const measured: Measured[] = [];
  const shared = SCENARIOS.filter(isWanted);
  const ofOwn = own === null ? [] : OWN_SCENARIOS.filter(isWanted);
  for (const [i, scenario] of shared.entries()) {
    const result = await measure(scenario, peers, Math.min(rounds, scenario.maxRounds ?? rounds), pace);
    measured.push(result);
    show(table(scenario, result));
    // One may still be wanted by what only Gatehouse does.
    if (!shared.slice(i + 1).some(({ usesFleet }) => usesFleet)) await endFleets(peers.filter((peer) => peer !== own));
  }
  const alone: MeasuredAlone[] = [];
  for (const [i, scenario] of ofOwn.entries()) {
    if (own === null) break;
    if (!ofOwn.slice(i).some(({ usesFleet }) => usesFleet)) await endFleets([own]);
    const result = await measureAlone(scenario, own, pace);
    alone.push(result);
    show(list(scenario, result));
  }
  if (!isText)
    process.stdout.write(`${JSON.stringify({ machine: machineLine(), loadAtStart, rounds, pace, missing, measured, alone }, null, 2)}\n`);
  const ofGatehouse = measured.flatMap((each) => each.peers).filter(({ peer }) => peer === "Gatehouse");
  return [...ofGatehouse, ...alone].some(({ failed }) => failed !== undefined) ? 1 : 0;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void end(130));
try {
  await end(await main());
} catch (error) {
  if (!isEnding) process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  await end(error instanceof UsageError ? 2 : 1);
}
