/** `$include` in OpenClaw's config, as OpenClaw reads it: other files in the place of an object (its docs, "Config includes"). */
import { realpathSync, statSync } from "node:fs";
import path from "node:path";

const KEY = "$include";
const MAX_DEPTH = 10;
const MAX_BYTES = 2 * 1024 * 1024;

/** An included file cannot be used; the message names it and says why. */
export class IncludeError extends Error {
  override name = "IncludeError";
}

type Tree = Readonly<Record<string, unknown>>;

function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Objects member by member, lists one after the other, else the later one. */
function merged(before: unknown, after: unknown): unknown {
  if (Array.isArray(before) && Array.isArray(after)) return [...(before as unknown[]), ...(after as unknown[])];
  if (!isTree(before) || !isTree(after)) return after;
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  const pick = (name: string): unknown =>
    !Object.hasOwn(after, name) ? before[name] : Object.hasOwn(before, name) ? merged(before[name], after[name]) : after[name];
  return Object.fromEntries([...names].map((name) => [name, pick(name)]));
}

function isInside(folder: string, file: string): boolean {
  const relative = path.relative(folder, file);
  return relative !== "" && relative !== ".." && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative);
}

export interface IncludeOptions {
  /** OpenClaw's own config file. */
  readonly file: string;
  /** `OPENCLAW_INCLUDE_ROOTS`: further folders whose files may be included, as a list of paths. */
  readonly roots: string | undefined;
  /** The first names that are wanted; includes below others are left alone. */
  readonly names: readonly string[];
  /** @returns a file's parsed content; throws naming the file */
  readonly read: (file: string) => unknown;
}

export interface Included {
  readonly value: unknown;
  /** Whether any file was included on the way to the wanted names. */
  readonly hasIncludes: boolean;
}

/**
 * Puts included files in their places.
 *
 * @param root parsed content of OpenClaw's own config file
 * @returns the wanted part of it, whole
 * @throws IncludeError for a file outside the allowed folders, too large, in a circle or nested too deeply; what `read` throws
 */
export function withIncludes(root: unknown, { file, roots, names, read }: IncludeOptions): Included {
  const allowed = [path.dirname(file), ...(roots ?? "").split(path.delimiter).filter((each) => path.isAbsolute(each))];
  let hasIncludes = false;

  const load = (from: string, name: unknown, chain: readonly string[]): unknown => {
    if (typeof name !== "string" || name.includes("\0")) throw new IncludeError(`$include in ${from} is no file's name.`);
    const target = path.resolve(path.dirname(from), name);
    if (chain.includes(target)) throw new IncludeError(`${target} includes itself.`);
    if (chain.length > MAX_DEPTH) throw new IncludeError(`${target} is included more than ${MAX_DEPTH} files deep.`);
    if (!allowed.some((folder) => isInside(folder, target)) || !isReallyInside(target))
      throw new IncludeError(
        `${target} is included in OpenClaw's config and lies outside its folder. OPENCLAW_INCLUDE_ROOTS allows others.`,
      );
    if ((statSync(target, { throwIfNoEntry: false })?.size ?? 0) > MAX_BYTES) throw new IncludeError(`${target} is too large.`);
    return resolve(read(target), target, [...chain, target], null);
  };

  const isReallyInside = (target: string): boolean => {
    try {
      const real = realpathSync(target);
      return allowed.some((folder) => isInside(realpathSync(folder), real));
    } catch {
      // Reading it says what is wrong.
      return true;
    }
  };

  const resolve = (value: unknown, from: string, chain: readonly string[], only: readonly string[] | null): unknown => {
    if (Array.isArray(value)) return value.map((each) => resolve(each, from, chain, null));
    if (!isTree(value)) return value;
    const rest = Object.keys(value).filter((name) => name !== KEY && (only === null || only.includes(name)));
    const own = Object.fromEntries(rest.map((name) => [name, resolve(value[name], from, chain, null)]));
    if (!Object.hasOwn(value, KEY)) return own;
    hasIncludes = true;
    const include = value[KEY];
    const included = Array.isArray(include)
      ? (include as unknown[]).map((name) => load(from, name, chain)).reduce(merged, {})
      : load(from, include, chain);
    if (rest.length === 0) return included;
    if (!isTree(included)) throw new IncludeError(`What ${from} includes is no object, and more stands beside it.`);
    return merged(included, own);
  };

  const value = resolve(root, file, [path.resolve(file)], names);
  return { value, hasIncludes };
}
