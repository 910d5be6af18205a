/** How a person starts this program again: after `npx` there is no `gatehouse` on the path. */
import { accessSync, constants, readFileSync, realpathSync } from "node:fs";
import path from "node:path";

export interface Started {
  /** As `process.argv[1]`. */
  readonly script: string;
  readonly node: string;
  /** As the variable PATH. */
  readonly path: string;
  /** What --state said. */
  readonly state?: string | undefined;
}

function realOf(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}

function onPath(name: string, folders: string): string | null {
  for (const folder of folders.split(path.delimiter).filter((each) => path.isAbsolute(each))) {
    const file = path.join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return realOf(file);
    } catch {
      // Not here.
    }
  }
  return null;
}

/** @returns the package that npx was given, which npm notes beside what it installed; null when npx did not start this */
function npxPackage(script: string): string | null {
  const [, folder] = /^(.*[\\/]_npx[\\/][^\\/]+)[\\/]node_modules[\\/]/.exec(script) ?? [];
  if (folder === undefined) return null;
  try {
    const { _npx } = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8")) as { _npx?: { packages?: unknown } };
    const [first] = Array.isArray(_npx?.packages) ? (_npx.packages as unknown[]) : [];
    return typeof first === "string" ? first : null;
  } catch {
    return null;
  }
}

/** @returns one word of a POSIX shell's command line */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./~-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** @returns the words that stand before a command's name, as this process was started */
export function programText(started: Started): string {
  const { script, node, state } = started;
  const real = realOf(script);
  const spec = npxPackage(real);
  const words =
    spec !== null
      ? ["npx", "-y", spec]
      : onPath("gatehouse", started.path) === real
        ? ["gatehouse"]
        : [onPath("node", started.path) === realOf(node) ? "node" : node, script];
  return [...words, ...(state === undefined ? [] : ["--state", state])].map(shellWord).join(" ");
}
