/** OpenClaw's own config: where it lies, how it is written, and what its references mean (PROTOCOL.md OC2, OC3). */
import { readFileSync, readdirSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseEnv } from "node:util";
import parseJson5 from "json5/lib/parse.js";
import { IncludeError, withIncludes } from "./config-includes.ts";

/** OpenClaw cannot be found as it is set up here; the message says what was looked at. */
export class DiscoverError extends Error {
  override name = "DiscoverError";
}

/** Several profiles are here, and none is the default one. */
export class SeveralProfilesError extends DiscoverError {
  override name = "SeveralProfilesError";
  readonly profiles: readonly string[];

  constructor(profiles: readonly string[]) {
    super(`Several OpenClaw profiles are here: ${profiles.join(", ")}. Say which: OPENCLAW_PROFILE=${profiles[0] ?? ""}`);
    this.profiles = profiles;
  }
}

/** What is read of the config; includes elsewhere are not opened. */
const NAMES = ["gateway", "env"] as const;

const CONFIG_NAME = "openclaw.json";

function home(env: NodeJS.ProcessEnv): string {
  return env["OPENCLAW_HOME"] ?? env["HOME"] ?? os.homedir();
}

function resolvePath(text: string, env: NodeJS.ProcessEnv): string {
  return path.resolve(text.startsWith("~") ? path.join(home(env), text.slice(1)) : text);
}

/** @returns whose files these processes may read, for people */
export function userName(): string {
  try {
    return os.userInfo().username;
  } catch {
    // A container's user id without a passwd entry.
    return String(process.getuid?.() ?? "unknown");
  }
}

/** @returns the content of a file that a person named or OpenClaw names. @throws DiscoverError naming file, user and cause */
export function readNamed(file: string, what: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unreadable";
    throw new DiscoverError(`${what} at ${file} cannot be read by user ${userName()} (${code}).`);
  }
}

/** OpenClaw's state folders below the home: the default one and each profile's. */
function profiles(env: NodeJS.ProcessEnv): string[] {
  try {
    const names = readdirSync(home(env)).filter((name) => /^\.openclaw(?:-[a-z0-9][a-z0-9_-]{0,63})?$/i.test(name));
    return names.filter((name) => readdirSync(path.join(home(env), name)).includes(CONFIG_NAME)).toSorted();
  } catch {
    return [];
  }
}

/** @throws DiscoverError for a profile without a name, or when several profiles could be meant */
function stateDir(env: NodeJS.ProcessEnv): string {
  const named = env["OPENCLAW_STATE_DIR"];
  if (named !== undefined && named !== "") return resolvePath(named, env);
  const profile = env["OPENCLAW_PROFILE"] ?? "";
  if (profile !== "") {
    if (!/^[a-z0-9][a-z0-9_-]{0,63}$/i.test(profile)) throw new DiscoverError(`OPENCLAW_PROFILE is no profile's name: "${profile}".`);
    return path.join(home(env), profile.toLowerCase() === "default" ? ".openclaw" : `.openclaw-${profile}`);
  }
  const found = profiles(env);
  const [only] = found;
  // As OpenClaw itself does without a profile.
  if (only === undefined || found.includes(".openclaw")) return path.join(home(env), ".openclaw");
  if (found.length === 1) return path.join(home(env), only);
  throw new SeveralProfilesError(found.map((each) => each.slice(".openclaw-".length)));
}

function readDotenv(file: string): NodeJS.Dict<string> {
  try {
    return parseEnv(readFileSync(file, "utf8"));
  } catch {
    return {};
  }
}

/** What a config value means here: a string, nothing, or a reference that only OpenClaw resolves. */
export type Resolved = { readonly value: string } | { readonly missing: string } | null;

export class OpenclawConfig {
  readonly file: string;
  readonly stateDir: string;
  /** Null when there is no such file. */
  readonly problem: string | null;
  /** Whether what is read stands in included files, too. */
  readonly hasIncludes: boolean = false;
  readonly #root: unknown;
  readonly #env: NodeJS.ProcessEnv;
  readonly #dotenv: NodeJS.Dict<string>;

  /** Reads it as OpenClaw does: JSON5. @throws DiscoverError when several profiles could be meant */
  constructor(env: NodeJS.ProcessEnv) {
    const named = env["OPENCLAW_CONFIG_PATH"] ?? "";
    const isNamedAlone = named !== "" && (env["OPENCLAW_STATE_DIR"] ?? "") === "" && (env["OPENCLAW_PROFILE"] ?? "") === "";
    this.#env = env;
    this.stateDir = isNamedAlone ? path.dirname(resolvePath(named, env)) : stateDir(env);
    this.file = named === "" ? path.join(this.stateDir, CONFIG_NAME) : resolvePath(named, env);
    this.#dotenv = readDotenv(path.join(this.stateDir, ".env"));
    let problem: string | null = null;
    const parse = (file: string, what: string): unknown => {
      const text = readNamed(file, what);
      try {
        return parseJson5(text);
      } catch {
        throw new DiscoverError(`${what} at ${file} is no JSON5.`);
      }
    };
    try {
      const own = parse(this.file, "OpenClaw's config");
      const roots = env["OPENCLAW_INCLUDE_ROOTS"];
      const read = (file: string): unknown => parse(file, "A part of OpenClaw's config");
      ({ value: this.#root, hasIncludes: this.hasIncludes } = withIncludes(own, { file: this.file, roots, names: NAMES, read }));
    } catch (error) {
      if (!(error instanceof DiscoverError || error instanceof IncludeError)) throw error;
      problem = error.message;
    }
    this.problem = problem;
  }

  /** @param dotted path below the root @returns what stands there */
  at(dotted: string): unknown {
    let value = this.#root;
    for (const part of dotted.split("."))
      value = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[part] : undefined;
    return value;
  }

  /** A variable as OpenClaw sees it: of the process, of the state folder's `.env`, of the config's own `env.vars`. */
  variable(name: string): string | undefined {
    const inline = this.at("env.vars");
    const own = typeof inline === "object" && inline !== null ? (inline as Record<string, unknown>)[name] : undefined;
    const candidates = [this.#env[name], this.#dotenv[name], typeof own === "string" ? own : undefined];
    return candidates.find((each) => each !== undefined && each !== "");
  }

  /** A path in the config. */
  path(dotted: string): string | null {
    const value = this.at(dotted);
    return typeof value === "string" && value !== "" ? resolvePath(value, this.#env) : null;
  }

  /** @returns the string at a path, with `${NAME}` and references to the environment resolved; null when nothing stands there */
  text(dotted: string): Resolved {
    const value = this.at(dotted);
    if (value === undefined || value === null || value === "") return null;
    if (typeof value === "string") return this.#substituted(value, dotted);
    const { source, provider, id } = value as { source?: unknown; provider?: unknown; id?: unknown };
    if (source === "env" && typeof id === "string") return this.#substituted(`\${${id}}`, dotted);
    const which = `source "${typeof source === "string" ? source : "unknown"}", provider "${typeof provider === "string" ? provider : "default"}"`;
    return {
      missing: `${dotted} in ${this.file} is a secret reference (${which}) that only OpenClaw resolves. Write the secret to a file and set OPENCLAW_GATEWAY_TOKEN_FILE.`,
    };
  }

  #substituted(text: string, dotted: string): Resolved {
    let unknown: string | null = null;
    const value = text.replaceAll(/(\$?)\$\{([A-Z_][A-Z0-9_]*)\}/g, (whole, escape: string, name: string) => {
      if (escape !== "") return whole.slice(1);
      const found = this.variable(name);
      if (found === undefined) unknown = name;
      return found ?? whole;
    });
    if (unknown === null) return { value };
    return {
      missing: `${dotted} in ${this.file} is \${${unknown as string}}, which is neither set here nor in ${path.join(this.stateDir, ".env")}. Set it, or OPENCLAW_GATEWAY_TOKEN_FILE.`,
    };
  }
}
