/** The real OpenClaw gateway: installed once per machine and version, run with an empty state of its own. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { node24, root, run, start } from "./children.ts";
import type { Child } from "./children.ts";

/** What everything is proved against. */
const PINNED_VERSION = "2026.9.6";

/** @returns the release that this process uses. @throws Error when `GATEHOUSE_OPENCLAW_VERSION` names none */
export function openclawVersion(env: NodeJS.ProcessEnv): string {
  const named = env["GATEHOUSE_OPENCLAW_VERSION"];
  if (named === undefined || named === "") return PINNED_VERSION;
  // It becomes the name of a folder.
  if (!/^\d{4}\.\d{1,2}\.\d{1,3}(?:-[\w.]{1,20})?$/.test(named))
    throw new Error(`GATEHOUSE_OPENCLAW_VERSION is no release: "${named}". Write one such as ${PINNED_VERSION}.`);
  return named;
}

/** `GATEHOUSE_OPENCLAW_VERSION` names another one for a whole run. */
export const OPENCLAW_VERSION = openclawVersion(process.env);

const POLL_MS = 200;
/** Ends what hangs: on an idle machine it takes ten seconds, on a busy one a dozen times as long. */
const READY_WITHIN_MS = 240_000;

function nodeFirst(): NodeJS.ProcessEnv {
  // OpenClaw's install and command line refuse other Node versions than the one that leads the PATH.
  return { ...process.env, PATH: `${path.dirname(node24)}${path.delimiter}${process.env["PATH"] ?? ""}` };
}

/** @returns the folder of one installed release, there or not */
export function openclawFolder(version: string): string {
  const cache = path.join(process.env["XDG_CACHE_HOME"] ?? path.join(os.homedir(), ".cache"), "gatehouse");
  return path.join(cache, `openclaw-${version}`);
}

/** Installs a release once (about 770 MB, under a minute). @returns the path of its command */
export async function installOpenclaw(say: (line: string) => void, version = OPENCLAW_VERSION): Promise<string> {
  const folder = openclawFolder(version);
  const cache = path.dirname(folder);
  const command = path.join(folder, "node_modules/openclaw/openclaw.mjs");
  if (existsSync(command)) return command;
  say(`Installing OpenClaw ${version} (about 770 MB, once) …`);
  await mkdir(cache, { recursive: true });
  const temporary = await mkdtemp(path.join(cache, "installing-"));
  await writeFile(path.join(temporary, "package.json"), JSON.stringify({ name: "openclaw-for-gatehouse", private: true }));
  const args = ["install", "--no-audit", "--no-fund", "--loglevel=error", `openclaw@${version}`];
  try {
    await run("Installing OpenClaw", { command: "npm", args, cwd: temporary, env: nodeFirst() });
  } catch (error) {
    // Hundreds of megabytes that nothing would ever use.
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
  await rm(folder, { recursive: true, force: true });
  await rename(temporary, folder);
  return command;
}

export interface RunningOpenclaw {
  readonly port: number;
  readonly token: string;
  readonly stateDir: string;
  stop(): Promise<void>;
  /** Ends the process and starts it again on the same state and port. */
  restart(): Promise<void>;
  start(): Promise<void>;
}

async function untilReady(port: number, child: Child): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  while (Date.now() < deadline) {
    const text = await fetch(`http://127.0.0.1:${port}/readyz`).then((answer) => answer.text(), () => ""); // prettier-ignore
    if (text.includes('"ready":true')) return;
    if (child.process.exitCode !== null) throw new Error(`OpenClaw ended while starting.\n${child.tail()}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`OpenClaw was not ready within ${READY_WITHIN_MS / 1000} s.\n${child.tail()}`);
}

/** Runs the installed gateway on loopback with token authentication. @returns once `/readyz` says so */
export async function runOpenclaw(options: {
  readonly command: string;
  readonly port: number;
  readonly stateDir: string;
  readonly gateway?: object;
  /** Its secret; a random one, kept in the state folder, unless given. */
  readonly token?: string;
  /** As in `StartOptions`; its port must lead there from this process's loopback. */
  readonly through?: readonly string[];
}): Promise<RunningOpenclaw> {
  const { through = [], command, port, stateDir } = options;
  const home = path.join(stateDir, "home");
  const config = path.join(stateDir, "openclaw.json");
  const tokenFile = path.join(stateDir, "token");
  await mkdir(home, { recursive: true, mode: 0o700 });
  const { readFile } = await import("node:fs/promises");
  const token = options.token ?? (existsSync(tokenFile) ? await readFile(tokenFile, "utf8") : randomBytes(24).toString("base64url"));
  await writeFile(tokenFile, token, { mode: 0o600 });
  if (!existsSync(config)) {
    const gateway = { mode: "local", bind: "loopback", auth: { mode: "token", token }, ...options.gateway };
    await writeFile(config, JSON.stringify({ gateway }, null, 2), { mode: 0o600 });
  }
  const env = {
    ...nodeFirst(),
    HOME: home,
    OPENCLAW_STATE_DIR: path.join(stateDir, "state"),
    OPENCLAW_CONFIG_PATH: config,
    OPENCLAW_NO_RESPAWN: "1",
    NO_COLOR: "1",
  };
  let child: Child | null = null;
  const begin = async (): Promise<void> => {
    child = start({ args: [command, "gateway", "run", "--port", String(port)], cwd: root, env, endsWithParent: true, through });
    await untilReady(port, child);
  };
  await begin();
  const stop = async (): Promise<void> => child?.stop();
  return {
    port,
    token,
    stateDir,
    stop,
    start: begin,
    restart: async () => {
      await stop();
      await begin();
    },
  };
}
