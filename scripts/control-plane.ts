/** Starts the control plane on this machine: workerd with the built Worker, local D1 and Durable Objects under one state folder. */
import { randomBytes, randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { root, run, start } from "./children.ts";
import type { Child } from "./children.ts";

/** Arguments that run wrangler as one process: ending its id ends workerd with it, which `npx wrangler` would leave behind. */
export const wrangler = [path.join(root, "node_modules/wrangler/wrangler-dist/cli.js")] as const;

/** Wrangler without questions, reports or the local trace store, which slows the relay about tenfold. */
export function quietEnv(): NodeJS.ProcessEnv {
  return {
    ...process.env,
    CI: "1",
    NO_COLOR: "1",
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    X_LOCAL_OBSERVABILITY: "false",
    X_LOCAL_EXPLORER: "false",
  };
}

/** Below the range that systems give to outgoing connections, one of which could take the port before its server does. */
const [FIRST_PORT, PORTS] = [10_000, 20_000];

/**
 * @returns a TCP port on 127.0.0.1 that nobody listens on
 * @throws Error when a hundred tries found none
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = FIRST_PORT + randomInt(PORTS);
    const server = net.createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
  throw new Error("no free port");
}

/** @returns whether something accepts connections there */
export async function isListening(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

async function secret(stateDir: string): Promise<string> {
  const file = path.join(stateDir, "control-plane-secret");
  if (existsSync(file)) return (await readFile(file, "utf8")).trim();
  const value = randomBytes(32).toString("base64url");
  await writeFile(file, `${value}\n`, { mode: 0o600 });
  return value;
}

export interface ControlPlane {
  readonly appOrigin: string;
  readonly approveOrigin: string;
  readonly port: number;
  readonly child: Child;
  stop(): Promise<void>;
}

export interface ControlPlaneOptions {
  readonly port: number;
  /** What browsers and connectors are told, when something stands before `port`. */
  readonly publicPort?: number;
  /** Holds D1, rooms and the secret; survives restarts. */
  readonly stateDir: string;
  /** Whether `migrate` has been through this state folder: wrangler takes seconds to find nothing to do. */
  readonly isMigrated?: boolean;
  readonly vars?: Readonly<Record<string, string>>;
  readonly onLine?: (line: string) => void;
}

/** Brings the local D1 of a state folder up to date. @throws Error with wrangler's last lines */
export async function migrate(stateDir: string): Promise<void> {
  const persist = ["--persist-to", path.join(path.resolve(stateDir), "workerd")];
  await run("Migrating the local D1", {
    args: [...wrangler, "d1", "migrations", "apply", "gatehouse", "--local", ...persist],
    env: quietEnv(),
  });
}

/**
 * Migrates the local D1 and starts workerd; the build must exist.
 *
 * @returns when GET /readyz answers 200
 * @throws Error with its last lines, or with the codes of what keeps it from serving
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { port } = options;
  const stateDir = path.resolve(options.stateDir);
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  if (options.isMigrated !== true) await migrate(stateDir);
  const host = `localhost:${options.publicPort ?? port}`;
  const appOrigin = `http://${host}`;
  const approveOrigin = `http://approve.${host}`;
  const vars = { APP_ORIGIN: appOrigin, APPROVE_ORIGIN: approveOrigin, GATEWAY_DOMAIN: host, ...options.vars };
  const child = start({
    args: [path.join(root, "scripts/local-runtime.ts"), String(port), path.join(stateDir, "workerd"), JSON.stringify(vars)],
    env: { ...quietEnv(), GATEHOUSE_SECRET: await secret(stateDir) },
    endsWithParent: true,
    ...(options.onLine === undefined ? {} : { onLine: options.onLine }),
  });
  await untilHealthy(`http://127.0.0.1:${port}/healthz`, host, child);
  return { appOrigin, approveOrigin, port, child, stop: () => child.stop() };
}

const POLL_MS = 100;
const READY_WITHIN_MS = 60_000;

async function untilHealthy(url: string, host: string, child: Child): Promise<void> {
  const { request } = await import("node:http");
  const get = (path: string): Promise<{ readonly status: number; readonly text: string }> =>
    new Promise((resolve) => {
      const req = request(new URL(path, url), { headers: { host } }, (res) => {
        let text = "";
        res.setEncoding("utf8");
        res.on("data", (part: string) => (text += part));
        res.on("end", () => resolve({ status: res.statusCode ?? 0, text }));
      });
      req.on("error", () => resolve({ status: 0, text: "" }));
      req.end();
    });
  const deadline = Date.now() + READY_WITHIN_MS;
  while (Date.now() < deadline) {
    if ((await get("/healthz")).status === 200) {
      const ready = await get("/readyz");
      if (ready.status === 200) return;
      await child.stop();
      throw new Error(`The control plane runs and cannot serve: ${ready.text}`);
    }
    if (child.process.exitCode !== null) throw new Error(`The control plane ended while starting.\n${child.tail()}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  await child.stop();
  throw new Error(`The control plane did not answer within ${READY_WITHIN_MS / 1000} s.\n${child.tail()}`);
}
