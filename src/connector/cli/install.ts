/** `gatehouse install`: a service that starts with the machine, by default as an OS user of its own. */
import { existsSync } from "node:fs";
import path from "node:path";
import { EXIT } from "../exit-codes.ts";
import { runningStatus } from "./host-commands.ts";
import { loadIdentity } from "../trust/identity.ts";
import { KeyLog } from "../trust/key-log-file.ts";
import { discoverGateway } from "../openclaw/discover.ts";
import type { Options } from "./options.ts";
import { stateOf, thisMachine } from "../service/machine.ts";
import { installedService, placesFor, placesOf } from "../service/places.ts";
import type { Machine, Places, ServiceKind } from "../service/places.ts";
import { copyState, planService, startService, writeService } from "../service/service.ts";
import type { ServicePlan } from "../service/service.ts";
import { isOurName, ownerOfFolder } from "../state/state-folder.ts";
import { StateFiles } from "../state/state-files.ts";

export interface InstallWishes {
  readonly kind: ServiceKind;
  /** Shows the unit and changes nothing. */
  readonly print: boolean;
  readonly proxy: string | undefined;
  /** How long the service may take to connect. */
  readonly waitMs?: number;
}

const CONNECTED_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 250;

/** Waits until the service says that it is connected. */
async function isConnected(dir: string, withinMs: number): Promise<boolean> {
  for (const endMs = performance.now() + withinMs; performance.now() < endMs;) {
    if ((await runningStatus(dir))?.link === "up") return true;
    await new Promise((resolve) => {
      setTimeout(resolve, LOOK_EVERY_MS);
    });
  }
  return false;
}

interface Enrolled {
  readonly state: StateFiles;
  readonly gateway: string;
  readonly places: Places;
}

/** The enrolled state that the service takes over: the named folder's, that of who called sudo, or the one that a service has already. */
function enrolledState(named: StateFiles, kind: ServiceKind, machine: Machine): Enrolled | null {
  const folders = [named.dir, stateOf(machine), installedService(machine, named.dir)?.places.stateFiles];
  const dir = folders.find(
    (each) => each !== undefined && existsSync(path.join(each, "gateway.json")) && ownerOfFolder(each) !== "foreign",
  );
  const gateway = dir === undefined ? undefined : new StateFiles(dir).read("gateway")?.gateway;
  if (dir === undefined || gateway === undefined) return null;
  const places = placesFor(kind, machine, dir, gateway);
  const own = new StateFiles(places.stateFiles);
  const isMoved = existsSync(path.join(own.dir, "gateway.json")) && own.read("gateway")?.gateway === gateway;
  return { state: isMoved ? own : new StateFiles(dir), gateway, places };
}

/**
 * Moves the state to the service's own folder. The key changes: OpenClaw's user could read the old one.
 *
 * @throws LogWriteError and the system's errors; then the old folder is untouched
 */
async function moveState(from: StateFiles, places: Places): Promise<void> {
  copyState(from.dir, places.stateFiles);
  const files = new StateFiles(places.stateFiles);
  const problem = await (await KeyLog.open(files, loadIdentity(files))).rotate(Date.now());
  if (problem !== null) throw new Error(`The connector's key could not be changed (${problem}).`);
  from.removeAll(isOurName);
}

function summary({ places, unit, text, caFile, secret }: ServicePlan, movesFrom: string | null): string {
  const lines = [
    `${places.unit}:`,
    "",
    text,
    `Program: ${unit.program}; Node: ${unit.node}; settings: ${places.environment}`,
    ...(caFile === null ? [] : [`CA file: a copy of ${caFile}`]),
    ...(secret === null ? [] : [`OpenClaw's secret: ${places.secret}, readable by root and the service alone`]),
    ...(movesFrom === null ? [] : [`State: moves from ${movesFrom} to ${places.stateDir}, with a new key`]),
  ];
  return lines.join("\n");
}

/** @returns the exit code; throws Error naming what failed */
export async function install(options: Options, wishes: InstallWishes, machine: Machine = thisMachine()): Promise<number> {
  const { terminal, files: named, yes, app, metrics } = options;
  const { kind, print, proxy } = wishes;
  const enrolled = enrolledState(named, kind, machine);
  const places = enrolled?.places ?? placesOf(kind, machine, named.dir);
  const gateway = enrolled?.gateway ?? "";
  const plan = planService({ gateway, kind, places, machine, found: discoverGateway(machine.env), proxy, metrics, app });
  if (print) {
    terminal.print("install", plan.text, { unit: plan.text, path: places.unit });
    return EXIT.done;
  }
  if (kind === "system" && machine.uid !== 0) {
    terminal.fail(
      "needs-root",
      "A service with a user of its own needs root. Run: sudo gatehouse install --system\nWithout root: gatehouse install --user. Then OpenClaw's programs can read the connector's key.",
    );
    return EXIT.failed;
  }
  if (!machine.hasSystemd) {
    terminal.fail(
      "no-systemd",
      `There is no systemd here. Let this machine start the command in its own way, as another user than OpenClaw's: ${machine.node} ${path.join(machine.programDir, "gatehouse.mjs")} run`,
    );
    return EXIT.failed;
  }
  if (enrolled === null) {
    terminal.fail("not-enrolled", "This machine is not enrolled yet. Run: gatehouse up <code>");
    return EXIT.failed;
  }
  const { state } = enrolled;
  const movesFrom = kind === "system" && state.dir !== places.stateFiles ? state.dir : null;
  if (movesFrom !== null && (await runningStatus(movesFrom)) !== null) {
    terminal.fail("running", `A connector runs with ${movesFrom}. End it with Ctrl-C, then run this again.`);
    return EXIT.failed;
  }
  terminal.say("plan", summary(plan, movesFrom), { unit: plan.text, path: places.unit, movesFrom });
  if (!yes && !(terminal.isInteractive && (await terminal.confirm("Write and start it?")))) {
    terminal.fail("needs-confirmation", "Nothing was changed. Run again with --yes.");
    return EXIT.needsConfirmation;
  }
  if (movesFrom !== null) await moveState(state, places);
  const written = writeService(plan, machine);
  startService(machine, kind, places.unitName);
  terminal.say("installed", `Installed and started ${places.unitName}. It starts with this machine. Logs: gatehouse logs`, {
    files: written,
    unit: places.unitName,
  });
  if (await isConnected(places.stateFiles, wishes.waitMs ?? CONNECTED_WITHIN_MS)) {
    terminal.say("connected", "Connected.");
    return EXIT.done;
  }
  terminal.fail("not-connected", "It runs, but is not connected yet. Look at: gatehouse logs, gatehouse doctor");
  return EXIT.failed;
}
