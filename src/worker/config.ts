/** What the bindings mean: origins, and which of the three kinds of host a request came to. */
import { readOneIn } from "../core/log-sampling.ts";
import type { Env } from "./env.ts";

export interface Config {
  readonly appOrigin: string;
  readonly approveOrigin: string;
  /** Host of the approval origin without port: the passkeys' rpId. */
  readonly rpId: string;
  readonly signUp: "open" | "invite" | "first";
  /** @param gateway gateway id @returns its exact origin */
  gatewayOrigin(gateway: string): string;
}

export type HostKind =
  | { readonly kind: "app" }
  | { readonly kind: "approve" }
  | { readonly kind: "gateway"; readonly label: string }
  | { readonly kind: "other" };

/** @throws Error when a variable is missing or malformed: a deployment mistake, reported at the first request */
export function readConfig(env: Env): Config {
  const app = new URL(env.APP_ORIGIN);
  const approve = new URL(env.APPROVE_ORIGIN);
  const signUp = env.SIGN_UP;
  if (signUp !== "open" && signUp !== "invite" && signUp !== "first") throw new Error("SIGN_UP must be open, invite or first");
  if (readOneIn(env.LOG_SAMPLE) === null) throw new Error("LOG_SAMPLE must be a whole number");
  return {
    appOrigin: app.origin,
    approveOrigin: approve.origin,
    rpId: approve.hostname,
    signUp,
    gatewayOrigin: (gateway) => `${app.protocol}//${gateway}.${env.GATEWAY_DOMAIN}`,
  };
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
