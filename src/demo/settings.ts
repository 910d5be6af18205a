/** The demo gateway's settings: `config.get` and `config.patch` as OpenClaw answers them (openclaw.md 1.3). In memory only. */
import { Refusal } from "./refusal.ts";

export interface GatewaySettings {
  readonly trustedProxies?: readonly string[];
  readonly controlUi?: { readonly allowedOrigins?: readonly string[] };
  readonly nodes?: { readonly pairing?: { readonly autoApproveLocal?: boolean } };
}

/** Stands where the secret is: no answer ever holds it. */
const REDACTED = "__OPENCLAW_REDACTED__";

/** Objects merge, everything else is replaced, null removes. */
function merge(before: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const out: Record<string, unknown> = typeof before === "object" && before !== null && !Array.isArray(before) ? { ...before } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete out[key];
    else out[key] = merge(out[key], value);
  }
  return out;
}

function entries(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
}

/** Dotted paths of arrays that lose entries between two configs. */
function shrunkArrays(before: unknown, after: unknown, path = ""): string[] {
  if (Array.isArray(before)) {
    const kept = Array.isArray(after) ? after.map((each) => JSON.stringify(each)) : [];
    return before.every((each) => kept.includes(JSON.stringify(each))) ? [] : [path];
  }
  const next = Object.fromEntries(entries(after));
  return entries(before).flatMap(([key, value]) => shrunkArrays(value, next[key], path === "" ? key : `${path}.${key}`));
}

export class Settings {
  #config: { readonly gateway: GatewaySettings };
  #revision = 1;

  constructor(gateway: GatewaySettings) {
    this.#config = merge({ gateway: { mode: "local", bind: "loopback", auth: { mode: "token", token: REDACTED } } }, { gateway }) as {
      gateway: GatewaySettings;
    };
  }

  get gateway(): GatewaySettings {
    return this.#config.gateway;
  }

  /** @returns the answer of `config.get` */
  read(): { readonly config: object; readonly hash: string } {
    return { config: this.#config, hash: `demo:${this.#revision}` };
  }

  /**
   * Applies one `config.patch`.
   *
   * @returns its answer, and whether the trusted proxies changed: then every socket's right is judged anew
   * @throws Refusal for text that is no JSON, a missing or stale hash, and array entries dropped without `replacePaths`
   */
  patch(params: Readonly<Record<string, unknown>>): {
    readonly answer: object;
    readonly isChange: boolean;
    readonly changesTrust: boolean;
  } {
    const before = this.#config;
    const { baseHash, replacePaths } = params;
    let patch: unknown;
    try {
      patch = JSON.parse(String(params["raw"]));
    } catch {
      throw new Refusal("INVALID_REQUEST", "config.patch: raw is no JSON");
    }
    const after = merge(before, patch) as typeof before;
    const isChange = JSON.stringify(after) !== JSON.stringify(before);
    if (baseHash !== undefined && baseHash !== `demo:${this.#revision}`)
      throw new Refusal("INVALID_REQUEST", "config.patch: the config changed since that hash");
    if (!isChange) return { answer: { ok: true, noop: true, changedPaths: [], config: before }, isChange, changesTrust: false };
    if (baseHash === undefined) throw new Refusal("INVALID_REQUEST", "config.patch: baseHash is required");
    const named: unknown[] = Array.isArray(replacePaths) ? replacePaths : [];
    const dropped = shrunkArrays(before, after).filter((path) => !named.includes(path));
    if (dropped.length > 0)
      throw new Refusal("INVALID_REQUEST", `config.patch: entries of ${dropped.join(", ")} would go; name it in replacePaths`);
    this.#config = after;
    this.#revision += 1;
    const changesTrust = JSON.stringify(after.gateway.trustedProxies) !== JSON.stringify(before.gateway.trustedProxies);
    return { answer: { ok: true, ...this.read() }, isChange, changesTrust };
  }
}
