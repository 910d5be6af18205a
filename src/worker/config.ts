/** What the bindings mean: whether they can be served with, origins, and which of the three kinds of host a request came to. */
import { readOneIn } from "../core/measure/log-sampling.ts";
import { readServerSecret } from "../core/trust/server-secret.ts";
import type { SecretProblem } from "../core/trust/server-secret.ts";
import { MAX_GATEWAYS_PER_ACCOUNT } from "../protocol/limits.ts";
import type { Env } from "./env.ts";

export interface Config {
  readonly appOrigin: string;
  readonly approveOrigin: string;
  /** Host of the approval origin without port: the passkeys' rpId. */
  readonly rpId: string;
  readonly signUp: "open" | "invite" | "first";
  /** What the operator allows at most. */
  readonly maxGateways: number;
  /** Of one gateway and day, whoever causes it, in millionths of a dollar; null: only the owner's budget holds. */
  readonly maxMicroUsd: number | null;
  /** @param gateway gateway id @returns its exact origin */
  gatewayOrigin(gateway: string): string;
}

export type HostKind =
  | { readonly kind: "app" }
  | { readonly kind: "approve" }
  | { readonly kind: "gateway"; readonly label: string }
  | { readonly kind: "other" };

/** Why nothing can be served. `/readyz` and the log name it; texts of variables never leave. */
export type ConfigProblem =
  | `secret-${SecretProblem}`
  | `old-secret-${SecretProblem}`
  | `id-secret-${SecretProblem}`
  | "app-origin"
  | "approve-origin"
  | "gateway-domain"
  | "origins-mixed"
  | "origins-equal"
  | "sign-up"
  | "log-sample"
  | "max-gateways"
  | "max-usd";

export class ConfigError extends Error {
  override name = "ConfigError";
  readonly code: ConfigProblem;

  constructor(code: ConfigProblem) {
    super(code);
    this.code = code;
  }
}

const SIGN_UPS: readonly string[] = ["open", "invite", "first"];

/** @returns the origin that a variable holds, or null when it holds anything else */
function originOf(text: unknown): URL | null {
  if (typeof text !== "string" || !URL.canParse(text)) return null;
  const url = new URL(text);
  return /^https?:$/.test(url.protocol) && (text === url.origin || text === `${url.origin}/`) ? url : null;
}

function isDomain(text: unknown, protocol: string): boolean {
  if (typeof text !== "string" || text === "") return false;
  const url = `${protocol}//x.${text}`;
  return URL.canParse(url) && new URL(url).origin === url;
}

function isCeiling(text: string | undefined): boolean {
  return text === undefined || /^[1-9]\d{0,5}$/.test(text);
}

function secretProblem(env: Env): ConfigProblem | null {
  const secret = readServerSecret(env.GATEHOUSE_SECRET);
  if (typeof secret === "string") return `secret-${secret}`;
  // One that is set and empty would let anybody make MACs that verify.
  const old = env.GATEHOUSE_SECRET_OLD === undefined ? null : readServerSecret(env.GATEHOUSE_SECRET_OLD);
  if (typeof old === "string") return `old-secret-${old}`;
  const id = env.GATEHOUSE_ID_SECRET === undefined ? null : readServerSecret(env.GATEHOUSE_ID_SECRET);
  return typeof id === "string" ? `id-secret-${id}` : null;
}

function findProblem(env: Env): ConfigProblem | null {
  const problem = secretProblem(env);
  if (problem !== null) return problem;
  const app = originOf(env.APP_ORIGIN);
  if (app === null) return "app-origin";
  const approve = originOf(env.APPROVE_ORIGIN);
  if (approve === null) return "approve-origin";
  if (approve.protocol !== app.protocol) return "origins-mixed";
  if (!isDomain(env.GATEWAY_DOMAIN, app.protocol)) return "gateway-domain";
  // On one machine the app's host is also the gateways' domain; the approval page's never is.
  if (app.host === approve.host || approve.host === env.GATEWAY_DOMAIN) return "origins-equal";
  if (!SIGN_UPS.includes(env.SIGN_UP)) return "sign-up";
  if (readOneIn(env.LOG_SAMPLE) === null) return "log-sample";
  if (!isCeiling(env.MAX_GATEWAYS_PER_ACCOUNT)) return "max-gateways";
  return isCeiling(env.MAX_GATEWAY_USD_PER_DAY) ? null : "max-usd";
}

const checked = new WeakMap<Env, ConfigProblem | null>();

/**
 * Judges the bindings once for each isolate (PROTOCOL.md OP1).
 *
 * @returns why nothing may be served with them, or null
 */
export function configProblem(env: Env): ConfigProblem | null {
  let problem = checked.get(env);
  if (problem === undefined) {
    problem = findProblem(env);
    checked.set(env, problem);
  }
  return problem;
}

/** @returns what the bindings mean @throws ConfigError when they cannot be served with */
export function readConfig(env: Env): Config {
  const problem = configProblem(env);
  if (problem !== null) throw new ConfigError(problem);
  const app = new URL(env.APP_ORIGIN);
  const approve = new URL(env.APPROVE_ORIGIN);
  return {
    appOrigin: app.origin,
    approveOrigin: approve.origin,
    rpId: approve.hostname,
    maxGateways: Math.min(MAX_GATEWAYS_PER_ACCOUNT, Number(env.MAX_GATEWAYS_PER_ACCOUNT ?? MAX_GATEWAYS_PER_ACCOUNT)),
    maxMicroUsd: env.MAX_GATEWAY_USD_PER_DAY === undefined ? null : Number(env.MAX_GATEWAY_USD_PER_DAY) * 1_000_000,
    signUp: env.SIGN_UP as Config["signUp"],
    gatewayOrigin: (gateway) => `${app.protocol}//${gateway}.${env.GATEWAY_DOMAIN}`,
  };
}

/** @returns whether visitors must come over TLS: the deployment's own origins are https */
export function isHttpsOnly(env: Env): boolean {
  return env.APP_ORIGIN.startsWith("https:");
}

/** @returns whether what is served there is on the machine of whoever looks at it */
export function isLocalOrigin(origin: string): boolean {
  const { hostname } = new URL(origin);
  return hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "127.0.0.1";
}

/**
 * Which of our hosts a request names.
 *
 * @param host host with port as in the request's URL
 */
export function hostKind(env: Env, host: string): HostKind {
  if (host === new URL(env.APP_ORIGIN).host) return { kind: "app" };
  if (host === new URL(env.APPROVE_ORIGIN).host) return { kind: "approve" };
  const suffix = `.${env.GATEWAY_DOMAIN}`;
  if (host.endsWith(suffix)) {
    const label = host.slice(0, -suffix.length);
    if (label !== "" && !label.includes(".")) return { kind: "gateway", label };
  }
  return { kind: "other" };
}
