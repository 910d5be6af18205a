/** Everything on one machine, for the end-to-end tests: control plane, gateway, connector, each a real process of its own. */
import { cpSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { root, start } from "../../scripts/children.ts";
import type { Child } from "../../scripts/children.ts";
import { freePort, startControlPlane } from "../../scripts/control-plane.ts";
import type { ControlPlane } from "../../scripts/control-plane.ts";

export interface Event {
  readonly event: string;
  readonly [key: string]: unknown;
}

export interface RunningConnector {
  readonly child: Child;
  readonly stateDir: string;
  /** Every JSON line so far. */
  readonly events: readonly Event[];
  /** Waits for a JSON line, also one that has come already. */
  until(matches: (event: Event) => boolean, what: string): Promise<Event>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

/** A gateway's secret that shows wherever it turns up: the suite reads every process's output for it (e2e/global-setup.ts). */
export function canary(): string {
  return `canary-${crypto.randomUUID()}`;
}

export async function scratch(): Promise<string> {
  return mkdtemp(path.join(os.tmpdir(), "gatehouse-test-"));
}

/** Copies the state of a connector that runs: without its socket, and without a file that it is writing and renames at any moment. */
export function copyState(from: string, to: string): void {
  cpSync(from, to, { recursive: true, verbatimSymlinks: true, filter: (file) => !/\.(?:sock|tmp)$/.test(file) });
}

/** Starts the built connector against a gateway; `args` follow the command. */
export function startConnector(options: {
  readonly args: readonly string[];
  readonly stateDir: string;
  readonly appOrigin: string;
  readonly gatewayPort: number;
  readonly token: string;
  /** A checkout with a build of its own, instead of this one. */
  readonly checkout?: string;
  /** As in `StartOptions`. */
  readonly through?: readonly string[];
}): RunningConnector {
  const events: Event[] = [];
  const child = start({
    args: [
      path.join(options.checkout ?? root, "dist/connector/gatehouse.mjs"),
      ...options.args,
      "--json",
      "--state",
      options.stateDir,
      "--app",
      options.appOrigin,
    ],
    env: { ...process.env, OPENCLAW_URL: `ws://127.0.0.1:${options.gatewayPort}`, OPENCLAW_GATEWAY_TOKEN: options.token },
    through: options.through ?? [],
    onLine: (line) => {
      if (line.startsWith("{")) events.push(JSON.parse(line) as Event);
    },
  });
  return {
    child,
    stateDir: options.stateDir,
    events,
    until: async (matches, what) => {
      const seen = events.findLast(matches);
      if (seen !== undefined) return seen;
      const line = await child.line((text) => text.startsWith("{") && matches(JSON.parse(text) as Event), what);
      return JSON.parse(line) as Event;
    },
    stop: () => child.stop(),
    kill: async () => {
      const ended = new Promise((resolve) => child.process.once("exit", resolve));
      child.process.kill("SIGKILL");
      await ended;
    },
  };
}

/** Whether an event says that OpenClaw is served. */
export function isOnline(event: Event): boolean {
  return event.event === "openclaw" && (event["report"] as { state?: string }).state === "online";
}

export function isLinkUp(event: Event): boolean {
  return event.event === "link" && (event["link"] as { state?: string }).state === "up";
}

export interface Stack {
  readonly control: ControlPlane;
  readonly dir: string;
  restartControl(): Promise<void>;
  stop(): Promise<void>;
}

/** Names the variable that holds a state folder with an empty, migrated database, made once for all files of a run (e2e/global-setup.ts). */
export const MIGRATED = "GATEHOUSE_TEST_MIGRATED";

export async function startStack(vars: Readonly<Record<string, string>> = {}): Promise<Stack> {
  const dir = await scratch();
  const port = await freePort();
  const migrated = process.env[MIGRATED];
  if (migrated !== undefined) cpSync(migrated, dir, { recursive: true });
  let control = await startControlPlane({ port, stateDir: dir, vars, isMigrated: migrated !== undefined });
  return {
    get control() {
      return control;
    },
    dir,
    restartControl: async () => {
      await control.stop();
      control = await startControlPlane({ port, stateDir: dir, vars, isMigrated: true });
    },
    stop: async () => {
      await control.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
