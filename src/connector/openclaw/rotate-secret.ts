/** A new secret of OpenClaw: made here, written through its own RPC, shown to nobody (PROTOCOL.md SA9, SA10). */
import { randomBytes } from "node:crypto";
import * as z from "zod";
import type { LocalActOutcome } from "../../protocol/words.ts";
import type { ControlLeg } from "./control-leg.ts";
import { GatewayRefusedError } from "./control-leg.ts";
import { discoverGateway } from "./discover.ts";
import { GatewayAwayError } from "./openclaw-port.ts";
import type { StaleTokenStore } from "./openclaw-port.ts";
import { readPaired } from "./paired-list.ts";

const SECRET_BYTES = 32;

const authSchema = z.object({ gateway: z.object({ auth: z.record(z.string(), z.unknown()) }) });
/** `parsed` is the file as it is written; what is plain there is redacted, a reference is not. */
const configSchema = z.object({ hash: z.string(), parsed: z.unknown() });

/** What came of it. */
export type RotateOutcome = Extract<
  LocalActOutcome,
  "done" | "from-environment" | "secret-reference" | "gateway-away" | "not-taken" | "internal"
>;

/** Where the secret stands, when that is no plain text of OpenClaw's config. */
function elsewhere(env: NodeJS.ProcessEnv, parsed: unknown, kind: string): "from-environment" | "secret-reference" | null {
  const named = ["TOKEN", "PASSWORD", "TOKEN_FILE", "PASSWORD_FILE"].map((name) => env[`OPENCLAW_GATEWAY_${name}`] ?? "");
  if (named.some((each) => each !== "")) return "from-environment";
  const auth = authSchema.safeParse(parsed);
  const written = auth.success ? auth.data.gateway.auth[kind] : undefined;
  if (typeof written === "object" && written !== null) return "secret-reference";
  return typeof written !== "string" || written.includes("${") ? "from-environment" : null;
}

/**
 * Changes OpenClaw's secret. Devices that were let in come back: what OpenClaw gave them before is marked as stale first.
 *
 * @param env where this connector finds the secret
 * @returns what came of it; nothing is changed unless it is `done`
 */
export async function rotateSecret(
  leg: Pick<ControlLeg, "request">,
  env: NodeJS.ProcessEnv,
  staleTokens: Pick<StaleTokenStore, "add">,
): Promise<RotateOutcome> {
  const kind = discoverGateway(env).secret?.kind;
  if (kind === undefined) return "gateway-away";
  const value = randomBytes(SECRET_BYTES).toString("base64url");
  try {
    const { hash, parsed } = configSchema.parse(await leg.request("config.get", {}));
    const place = elsewhere(env, parsed, kind);
    if (place !== null) return place;
    for (const { id } of readPaired(await leg.request("device.pair.list", {}))) staleTokens.add(id);
    await leg.request("config.patch", { raw: JSON.stringify({ gateway: { auth: { [kind]: value } } }), baseHash: hash });
    return "done";
  } catch (error) {
    if (error instanceof GatewayRefusedError) return "not-taken";
    if (!(error instanceof GatewayAwayError)) return "internal";
    // OpenClaw closes the connection of the old secret, sometimes before its answer is read.
    return discoverGateway(env).secret?.value === value ? "done" : "gateway-away";
  }
}
