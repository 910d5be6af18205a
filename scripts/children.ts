/** Child processes of the scripts: started, watched line by line, ended by id, never left behind. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { appendFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";

export const root = path.dirname(import.meta.dirname);
/** The project's own Node 24: what runs the sources, wrangler and OpenClaw. */
export const node24 = path.join(root, "node_modules/node/bin/node");

const KILL_AFTER_MS = 8_000;

export interface Child {
  readonly process: ChildProcess;
  /** Rejects with the last lines of output when the process ends first. */
  line(matches: (line: string) => boolean, what: string): Promise<string>;
  /** @returns the exit code, or null after a signal, once every line of output has been seen: a process ends before what it printed is read */
  ended(): Promise<number | null>;
  stop(): Promise<void>;
  /** Last lines, newest last. */
  tail(): string;
}

export interface StartOptions {
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Every line of both outputs. */
  readonly onLine?: (line: string) => void;
  readonly command?: string;
  /** Whether a Node process ends by itself, with SIGTERM, when this one is killed. */
  readonly endsWithParent?: boolean;
  /** A command that becomes the process and stands before it, such as the entry into a network namespace. */
  readonly through?: readonly string[];
  /** `inherit` lets a child talk to the terminal itself; then no lines are seen. */
  readonly stdio?: "lines" | "inherit";
}

/** Starts one process (Node 24 unless `command` says otherwise). With GATEHOUSE_RECORD_OUTPUT every line is also kept in that folder, a file a process. */
export function start(options: StartOptions): Child {
  const watch = options.endsWithParent === true ? ["--import", path.join(root, "scripts/ends-with-parent.mjs")] : [];
  const [program = node24, ...words] = [...(options.through ?? []), options.command ?? node24, ...watch, ...options.args];
  const child = spawn(program, words, {
    cwd: options.cwd ?? root,
    env: options.env ?? process.env,
    stdio: options.stdio === "inherit" ? "inherit" : ["ignore", "pipe", "pipe"],
  });
  const last: string[] = [];
  const recordDir = process.env["GATEHOUSE_RECORD_OUTPUT"];
  const waiting = new Set<(line: string) => void>();
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on("line", (line) => {
      last.push(line);
      if (last.length > 60) last.shift();
      if (recordDir !== undefined) appendFileSync(path.join(recordDir, `${child.pid ?? 0}.log`), `${line}\n`);
      options.onLine?.(line);
      for (const see of waiting) see(line);
    });
  }
  const exited = once(child, "exit");
  const closed = once(child, "close");
  return {
    process: child,
    tail: () => last.join("\n"),
    line: (matches, what) =>
      new Promise((resolve, reject) => {
        const seen = last.find(matches);
        if (seen !== undefined) return resolve(seen);
        const see = (line: string): void => {
          if (!matches(line)) return;
          waiting.delete(see);
          resolve(line);
        };
        waiting.add(see);
        void closed.then(() => reject(new Error(`${what}: the process ended first\n${last.join("\n")}`)));
      }),
    ended: async () => {
      await closed;
      return child.exitCode;
    },
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), KILL_AFTER_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** Runs a process to its end. @throws Error with its output when it fails */
export async function run(what: string, options: StartOptions): Promise<void> {
  const child = start(options);
  const [code] = (await once(child.process, "close")) as [number | null];
  if (code !== 0) throw new Error(`${what} failed (exit ${String(code)})\n${child.tail()}`);
}
