/** Gatehouse's control plane for the bench: the built Worker in one workerd, without what `wrangler dev` adds around it (workerd.ts). */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { run, start } from "../../../scripts/children.ts";
import { freePort, quietEnv, wrangler } from "../../../scripts/control-plane.ts";
import type { ControlPlane } from "../../../scripts/control-plane.ts";
import { processTree } from "../machine.ts";

export interface BenchControl extends ControlPlane {
  /** Takes every room out of memory and closes its sockets, as a platform that moves an object does. @returns when all are gone */
  evictRooms(): Promise<void>;
  /** Takes every room out of memory and leaves its sockets open, as the platform does with one that is idle. @returns when all are gone */
  hibernateRooms(): Promise<void>;
  /** SIGKILL to workerd and what started it. @returns starts it again on the same disk; fulfilled when it answers */
  crash(): Promise<() => Promise<BenchControl>>;
}

export interface ControlOptions {
  readonly stateDir: string;
  readonly checkout: string;
  /** What browsers and connectors are told, when something stands before it. */
  readonly publicPort?: number;
  /** A free one unless given. */
  readonly port?: number;
  readonly secret?: string;
}

/** Migrates the local D1 and starts workerd. */
export async function startBenchControl(options: ControlOptions): Promise<BenchControl> {
  const { stateDir, checkout, port = await freePort(), secret = randomBytes(32).toString("base64url") } = options;
  const { publicPort = port } = options;
  mkdirSync(stateDir, { recursive: true });
  await run("Migrating the local D1", {
    args: [...wrangler, "d1", "migrations", "apply", "gatehouse", "--local", "--persist-to", path.join(stateDir, "workerd")],
    cwd: checkout,
    env: quietEnv(),
  });
  return runBenchControl({ ...options, port, secret, publicPort });
}

async function runBenchControl(options: Required<ControlOptions>): Promise<BenchControl> {
  const { stateDir, checkout, port, secret, publicPort } = options;
  const env = { ...quietEnv(), GATEHOUSE_SECRET: secret };
  const args = [path.join(import.meta.dirname, "workerd.ts"), "gatehouse", String(port), stateDir, checkout, String(publicPort)];
  let [evicted, failed]: [() => void, (error: Error) => void] = [() => undefined, () => undefined];
  const child = start({ args, env, onLine: (line) => void (line === "evicted" && evicted()) });
  child.process.once("exit", () => failed(new Error(`the control plane ended instead\n${child.tail()}`)));
  await child.line((line) => line === "ready", "The control plane");
  const evict = (signal: NodeJS.Signals): Promise<void> =>
    new Promise((resolve, reject) => {
      [evicted, failed] = [resolve, reject];
      child.process.kill(signal);
    });
  return {
    appOrigin: `http://localhost:${publicPort}`,
    approveOrigin: `http://approve.localhost:${publicPort}`,
    port,
    child,
    evictRooms: () => evict("SIGUSR2"),
    hibernateRooms: () => evict("SIGWINCH"),
    crash: async () => {
      const ended = once(child.process, "exit");
      for (const pid of processTree(child.process.pid ?? 0).toReversed()) process.kill(pid, "SIGKILL");
      await ended;
      return () => runBenchControl(options);
    },
    stop: () => child.stop(),
  };
}
