/** What the figures depend on: the machine, its load, and the memory of processes. Reads /proc where there is one (Linux); elsewhere null. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import os from "node:os";
import path from "node:path";

const MIB = 1024 * 1024;

/** @returns the process and all below it, by process id */
export function processTree(pid: number): number[] {
  const tasks = `/proc/${pid}/task`;
  if (!existsSync(tasks)) return [pid];
  try {
    // A process may be started by any thread of its parent.
    const texts = readdirSync(tasks).map((task) => readFileSync(path.join(tasks, task, "children"), "utf8"));
    const below = texts.flatMap((text) => text.split(" ")).filter((text) => text !== "").map(Number); // prettier-ignore
    return [pid, ...below.flatMap(processTree)];
  } catch {
    return [pid];
  }
}

/** @returns those of a process and all below it that are workerd; all of them where the system does not tell names */
export function workerdPids(pid: number): number[] {
  const all = processTree(pid);
  const found = all.filter((each) => nameOf(each).startsWith("workerd"));
  return found.length === 0 ? all : found;
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8");
  } catch {
    return "";
  }
}

/** @returns open files that this process may have, as text */
export function fileLimit(): string {
  try {
    return /Max open files\s+(\S+)/.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? "unknown";
  } catch {
    return "unknown";
  }
}

/** @returns milliseconds that the main threads of these processes have run, to the microsecond, or null where the system does not tell (Linux does) */
export function threadMs(pids: readonly number[]): number | null {
  let sum = 0;
  for (const pid of pids) {
    const file = `/proc/${pid}/schedstat`;
    if (!existsSync(file)) return null;
    sum += Number(readFileSync(file, "utf8").split(" ", 1)[0]) / 1e6;
  }
  return sum;
}

/** @returns resident MiB of these processes and their children together, or null where the system does not tell */
export function residentMib(pids: readonly number[]): number | null {
  let bytes = 0;
  for (const pid of pids.flatMap(processTree)) {
    const file = `/proc/${pid}/status`;
    if (!existsSync(file)) continue;
    bytes += Number(/VmRSS:\s+(\d+)/.exec(readFileSync(file, "utf8"))?.[1] ?? 0) * 1024;
  }
  return bytes === 0 ? null : bytes / MIB;
}

/** Highest resident memory of some processes since it was made, looked at ten times a second until it is asked. */
export class PeakMemory {
  readonly #pids: readonly number[];
  readonly #timer: NodeJS.Timeout;
  #peak: number | null = null;

  constructor(pids: readonly number[]) {
    this.#pids = pids;
    this.#look();
    this.#timer = setInterval(() => this.#look(), 100);
  }

  #look(): void {
    const now = residentMib(this.#pids);
    if (now !== null) this.#peak = Math.max(this.#peak ?? 0, now);
  }

  /** Looks no more. @returns MiB, or null where the system does not tell */
  end(): number | null {
    this.#look();
    clearInterval(this.#timer);
    return this.#peak;
  }
}

/** @returns milliseconds of CPU that these processes and their children have used so far, in steps of 10 a process; null where the system does not tell */
export function cpuMs(pids: readonly number[]): number | null {
  const all = pids.flatMap(processTree).filter((pid) => existsSync(`/proc/${pid}/stat`));
  return all.length === 0 ? null : all.reduce((sum, pid) => sum + ownCpuMs(pid), 0);
}

function ownCpuMs(pid: number): number {
  // Fields 14 to 17 of proc_pid_stat(5), counted after the name in parentheses, which may hold spaces: user, system, ended children's.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * 10;
}

interface CpuTimes {
  readonly busyMs: number;
  readonly ownMs: number;
}

function cpuTimes(): CpuTimes {
  const busyMs = os.cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
  return { busyMs, ownMs: cpuMs([process.pid]) ?? 0 };
}

/** Cores that processes other than this one and its children kept busy; made before, asked after. */
export class ForeignLoad {
  readonly #before = cpuTimes();
  readonly #startedAt = performance.now();

  /** @returns cores, 0 and up */
  cores(): number {
    const after = cpuTimes();
    const foreignMs = after.busyMs - this.#before.busyMs - (after.ownMs - this.#before.ownMs);
    return Math.max(0, foreignMs / (performance.now() - this.#startedAt));
  }
}

/** @returns the full path of a command, also in the folders of daemons, or null */
export function commandPath(name: string): string | null {
  const folders = [...(process.env["PATH"] ?? "").split(path.delimiter), "/usr/sbin", "/sbin", "/usr/local/sbin"];
  return folders.map((folder) => path.join(folder, name)).find((file) => existsSync(file)) ?? null;
}

/** @returns one line about where the figures come from */
export function machineLine(): string {
  const model = os.cpus()[0]?.model ?? "unknown processor";
  const workerd = JSON.parse(readFileSync(path.join(import.meta.dirname, "../../node_modules/workerd/package.json"), "utf8")) as {
    version: string;
  };
  let system = `${os.type()} ${os.release()}`;
  try {
    system = /PRETTY_NAME="(.*)"/.exec(execFileSync("cat", ["/etc/os-release"], { encoding: "utf8" }))?.[1] ?? system;
  } catch {
    // Not a Linux distribution.
  }
  return `${os.availableParallelism()} cores (${model}), ${Math.round(os.totalmem() / MIB / 1024)} GiB, ${system}, Node ${process.version}, workerd ${workerd.version}`;
}
