/** A new secret of OpenClaw: made here, written through its own RPC, shown to nobody (PROTOCOL.md SA9, SA10). */
import { randomBytes } from "node:crypto";
import { realpathSync } from "node:fs";
import path from "node:path";
import * as z from "zod";
import type { LocalActOutcome } from "../../protocol/words.ts";
import { OpenclawConfig } from "./config-file.ts";
import type { ControlLeg } from "./rpc-client.ts";
import { GatewayRefusedError } from "./rpc-client.ts";
import { discoverGateway } from "./discover.ts";
import type { Discovered } from "./discover.ts";
import { withGateway } from "./one-call.ts";
import { GatewayAwayError } from "./openclaw-port.ts";
import type { StaleTokenStore } from "./openclaw-port.ts";
import { readPaired } from "./paired-list.ts";

const SECRET_BYTES = 32;
const TRIED_WITHIN_MS = 10_000;

const authSchema = z.object({ gateway: z.object({ auth: z.record(z.string(), z.unknown()) }) });
/** `parsed` is the file as it is written; a secret in it is redacted, and so may be a `${NAME}` in its place. */
const configSchema = z.object({ hash: z.string(), parsed: z.unknown(), path: z.string().optional() });
type ConfigAnswer = z.infer<typeof configSchema>;

/** What came of it. */
export type RotateOutcome = Extract<
  LocalActOutcome,
  "done" | "from-environment" | "secret-reference" | "source-unknown" | "gateway-away" | "not-taken" | "internal"
>;

type Elsewhere = Extract<RotateOutcome, "from-environment" | "secret-reference" | "source-unknown">;

function placeOf(written: unknown): Elsewhere | null {
  if (typeof written === "object" && written !== null) return "secret-reference";
  return typeof written !== "string" || written.includes("${") ? "from-environment" : null;
}

/** Whether this process reads the file that OpenClaw reads, or the copy of it that the service manager hands over. */
function isItsFile(file: string, named: string | undefined, env: NodeJS.ProcessEnv): boolean {
  if (path.dirname(file) === env["CREDENTIALS_DIRECTORY"]) return true;
  try {
    return named !== undefined && realpathSync(file) === realpathSync(named);
  } catch {
    return false;
  }
}

/** Where the secret stands, when that is no plain text of OpenClaw's config, or cannot be seen to be. */
function elsewhere(env: NodeJS.ProcessEnv, { parsed, path: named }: ConfigAnswer, kind: string): Elsewhere | null {
  const variables = ["TOKEN", "PASSWORD", "TOKEN_FILE", "PASSWORD_FILE"].map((name) => env[`OPENCLAW_GATEWAY_${name}`] ?? "");
  if (variables.some((each) => each !== "")) return "from-environment";
  const config = new OpenclawConfig(env);
  const auth = authSchema.safeParse(parsed);
  const shown = auth.success ? auth.data.gateway.auth[kind] : undefined;
  if (config.problem !== null || !isItsFile(config.file, named, env)) return placeOf(shown) ?? "source-unknown";
  // What an included file holds is not shown; a change would go to another file.
  return placeOf(config.at(`gateway.auth.${kind}`)) ?? (shown === undefined ? "source-unknown" : placeOf(shown));
}

/** Finds OpenClaw, with the secret that this process gave it: the service's copy of the config stays as it was until the service starts again. */
export class SecretSource {
  readonly #env: NodeJS.ProcessEnv;
  #rotated: { readonly before: string; readonly after: string } | null = null;

  constructor(env: NodeJS.ProcessEnv) {
    this.#env = env;
  }

  /** @throws DiscoverError as `discoverGateway` does */
  discover(): Discovered {
    const found = discoverGateway(this.#env);
    if (this.#rotated === null || found.secret?.value !== this.#rotated.before) return found;
    return { ...found, secret: { kind: found.secret.kind, value: this.#rotated.after } };
  }

  /** From here on `value` is OpenClaw's secret wherever the present one is still read. */
  replace(value: string): void {
    const before = discoverGateway(this.#env).secret?.value;
    // Read from the file that OpenClaw just wrote: there is nothing to put in its place.
    if (before !== undefined && before !== value) this.#rotated = { before, after: value };
  }
}

/** Whether OpenClaw takes a secret: it is tried on a connection of its own. */
async function takes(env: NodeJS.ProcessEnv, kind: "token" | "password", value: string): Promise<boolean> {
  const tried = { ...env, [`OPENCLAW_GATEWAY_${kind.toUpperCase()}`]: value };
  const seen = await withGateway(tried, { withinMs: TRIED_WITHIN_MS, isPatient: false }, () => Promise.resolve(true));
  return "value" in seen;
}

/**
 * Changes OpenClaw's secret. Devices that were let in come back: what OpenClaw gave them before is marked as stale first.
 *
 * @param env where this connector finds the secret
 * @param source is told the new one
 * @returns what came of it; nothing is changed unless it is `done`
 */
export async function rotateSecret(
  leg: Pick<ControlLeg, "request">,
  env: NodeJS.ProcessEnv,
  staleTokens: Pick<StaleTokenStore, "add">,
  source: SecretSource = new SecretSource(env),
): Promise<RotateOutcome> {
  const kind = source.discover().secret?.kind;
  if (kind === undefined) return "gateway-away";
  const value = randomBytes(SECRET_BYTES).toString("base64url");
  try {
    const config = configSchema.parse(await leg.request("config.get", {}));
    const place = elsewhere(env, config, kind);
    if (place !== null) return place;
    for (const { id } of readPaired(await leg.request("device.pair.list", {}))) staleTokens.add(id);
    await leg.request("config.patch", { raw: JSON.stringify({ gateway: { auth: { [kind]: value } } }), baseHash: config.hash });
    source.replace(value);
    return "done";
  } catch (error) {
    if (error instanceof GatewayRefusedError) return "not-taken";
    if (!(error instanceof GatewayAwayError)) return "internal";
    // OpenClaw closes the connection of the old secret, sometimes before its answer is read.
    if (discoverGateway(env).secret?.value !== value && !(await takes(env, kind, value))) return "gateway-away";
    source.replace(value);
    return "done";
  }
}
