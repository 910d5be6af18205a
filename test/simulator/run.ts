/** One seed is one run: the same seed, the same trace. */
import path from "node:path";
import { KeyLog } from "../../src/connector/trust/key-log-file.ts";
import { loadIdentity } from "../../src/connector/trust/identity.ts";
import { StateFiles } from "../../src/connector/state/state-files.ts";
import { Disk, PowerCut, mount } from "./disk.ts";
import { happen, heal } from "./faults.ts";
import { checkBack, checkRecords, idleLinkBackMs, isSomethingLeft, notWhole } from "./final-checks.ts";
import { isCryptoSlow } from "./globals.ts";
import { migrate } from "./d1.ts";
import { FAULTS_END_MS, planOf } from "./plan.ts";
import type { Plan } from "./plan.ts";
import type { RoomPort } from "./ports.ts";
import { START_MS, Sim, setSim, sim } from "./sim.ts";
import { ACCOUNT, APPROVE_ORIGIN, ENV_TEXT, GATEWAY, STATE_FOLDER, World, connectorKeys, genesis } from "./world.ts";
import type { Template } from "./world.ts";

export interface RunOptions {
  readonly seed: number;
  /** In the place of the seed's own plan. */
  readonly plan?: Plan;
  /** Keep every line of the trace. */
  readonly isVerbose?: boolean;
}

export interface RunResult {
  readonly seed: number;
  readonly plan: Plan;
  /** The first promise that did not hold, or null. */
  readonly violation: { readonly rule: string; readonly text: string; readonly atMs: number } | null;
  readonly traceHash: string;
  readonly lines: readonly string[] | null;
  readonly events: number;
  readonly wakes: number;
  readonly streams: number;
  readonly delivered: number;
  readonly mostHeld: number;
  /** Messages with several frames that the room and the connector sent. */
  readonly batches: { readonly room: number; readonly connector: number };
}

/** What a claimed machine has on its disk. */
async function makeTemplate(): Promise<Template> {
  const disk = new Disk();
  mount(sim.scheduler.world, disk);
  const files = new StateFiles(STATE_FOLDER);
  files.write("identity", {
    publicKey: connectorKeys.key,
    privateKey: { kty: "OKP", crv: "Ed25519", x: connectorKeys.key.x, d: connectorKeys.d } as never,
  });
  const origin = `http://${GATEWAY}.localhost:8787`;
  const gateway = { account: ACCOUNT, origin, approveOrigin: APPROVE_ORIGIN, rpId: "approve.localhost" };
  await KeyLog.create(files, loadIdentity(files), { gateway: GATEWAY, atMs: START_MS, body: { type: "genesis", signed: await genesis() } });
  files.write("gateway", { gateway: GATEWAY, name: "Home", appOrigin: "http://localhost:8787", generation: 0, ...gateway });
  return { disk };
}

/** @returns the function that runs seeds; keys and tables are made once */
export async function prepare(
  make: (ctx: object, env: object) => RoomPort,
  warmUp: (env: object) => Promise<void>,
): Promise<{ run: (options: RunOptions) => Promise<RunResult> }> {
  migrate(path.resolve(process.cwd(), "migrations"));
  await warmUp(ENV_TEXT);
  const template = await makeTemplate();
  return { run: (options) => run(make, template, options) };
}

async function run(make: (ctx: object, env: object) => RoomPort, template: Template, options: RunOptions): Promise<RunResult> {
  const { seed, plan = planOf(seed), isVerbose = false } = options;
  const current = new Sim(seed, isVerbose);
  setSim(current);
  isCryptoSlow.on = true;
  // A rejection that nobody takes ends a Worker's event, and a connector: whoever else listens must not hear of it meanwhile.
  const others = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  const onRejection = (error: unknown): void => {
    if (!(error instanceof PowerCut) && !String(error).includes("a newer instance runs"))
      current.fail("internal", `a rejection that nobody took: ${textOf(error)}`);
  };
  current.scheduler.onError = (actor, error) => {
    if (!(error instanceof PowerCut)) current.fail("internal", `${actor.name} threw: ${textOf(error)}`);
  };
  process.on("unhandledRejection", onRejection);
  const world = new World(make, template);
  const { scheduler } = current;
  const isOver = (): boolean => current.violations.length > 0;
  const until = (ms: number): Promise<void> => scheduler.run(START_MS + ms, () => {
    world.oracle.checkMemory();
    return isOver();
  }); // prettier-ignore
  try {
    world.later(0, () => void world.claim());
    for (let i = 0; i < plan.devices; i += 1) world.later(5, () => void world.addDevice(`device ${i}`, false));
    if (plan.hasStranger) world.later(5, () => void world.addDevice("stranger", true));
    for (const step of plan.steps) world.later(step.atMs, () => happen(world, step));
    await until(FAULTS_END_MS);
    heal(world);
    await until(FAULTS_END_MS + 60_000);
    const back = new Set(world.devices.filter((device) => device.isConnected));
    // A session may end in this very moment; its page is back in a few seconds, in which another's may end.
    if (world.devices.some((device) => device.isWanted && !device.isStranger && !back.has(device))) await until(FAULTS_END_MS + 70_000);
    const idleMs = idleLinkBackMs(world);
    if (idleMs !== null) await until(FAULTS_END_MS + idleMs);
    if (world.isForked) return resultOf(current, plan, world);
    if (!isOver()) checkBack(world, back);
    for (const device of world.devices) {
      device.main?.sendUp({ bytes: 300, isText: true });
      device.main?.sendDown({ bytes: 70_000, isText: false });
    }
    world.isQuiet = true;
    await until(FAULTS_END_MS + 100_000);
    // A session may end, with a message on its way, in this very moment.
    if (notWhole(world).length > 0) await until(FAULTS_END_MS + 110_000);
    if (!isOver()) for (const [rule, text] of notWhole(world)) current.fail(rule, text);
    // What waits for D1 tries again every five minutes at most.
    await until(FAULTS_END_MS + 135_000);
    if (isSomethingLeft(world)) await until(FAULTS_END_MS + 460_000);
    if (!isOver()) checkRecords(world);
  } catch (error) {
    current.fail("internal", textOf(error));
  } finally {
    isCryptoSlow.on = false;
    process.removeListener("unhandledRejection", onRejection);
    for (const other of others) process.on("unhandledRejection", other);
    world.room.db.close();
  }
  return resultOf(current, plan, world);
}

function resultOf(current: Sim, plan: Plan, world: World): RunResult {
  const { scheduler, seed } = current;
  const [first] = current.violations;
  const all = world.visits.flatMap((visit) => [visit.up, visit.down]);
  return {
    seed,
    plan,
    violation: first === undefined ? null : { rule: first.rule, text: first.message, atMs: scheduler.nowMs - START_MS },
    traceHash: current.traceHash,
    lines: current.lines,
    events: scheduler.events,
    wakes: world.room.wakes,
    streams: world.visits.length + world.httpVisits.length,
    delivered: all.reduce((sum, lane) => sum + lane.received, 0),
    mostHeld: world.oracle.mostHeldInAll,
    batches: world.oracle.batches,
  };
}

/** @returns message and the first places of an error, without what differs from build to build */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const places = (error.stack ?? "").split("\n").slice(1, 5).map((line) => /at (?:async )?([\w#.<> ]+?) \(/.exec(line)?.[1] ?? "?"); // prettier-ignore
  return `${error.message} (${places.join(" < ")})`;
}
