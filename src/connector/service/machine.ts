/** This machine, as `install` sees it. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Machine } from "./places.ts";

/** The home folder of who called sudo; OpenClaw's config and the state to move are there. */
function homeOf(user: string | undefined): string | null {
  if (user === undefined || user === "root") return null;
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((each) => each.startsWith(`${user}:`));
  return line?.split(":")[5] ?? null;
}

/** @throws Error naming the command and what it said last */
function run(command: string, words: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  if (error === undefined && status === 0) return stdout;
  const why = error === undefined ? ((stderr.trim() || stdout.trim()).split("\n").at(-1) ?? "") : error.message;
  throw new Error(`${[command, ...words].join(" ")} failed: ${why}`);
}

export function thisMachine(env: NodeJS.ProcessEnv = process.env): Machine {
  const uid = process.getuid?.() ?? -1;
  const home = (uid === 0 ? homeOf(env["SUDO_USER"]) : null) ?? env["HOME"] ?? os.homedir();
  return {
    root: "",
    uid,
    env: { ...env, HOME: home },
    home,
    node: process.execPath,
    programDir: import.meta.dirname,
    hasSystemd: existsSync("/run/systemd/system"),
    run,
  };
}

/** @returns the state folder that a person's own connector has there */
export function stateOf({ home }: Pick<Machine, "home">): string {
  return path.join(home, ".gatehouse");
}
