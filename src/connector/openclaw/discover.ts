/** Finds the OpenClaw gateway beside the connector, and its secret, without asking a person. The secret never leaves this process. */
import { readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { GatewayTarget } from "./openclaw-port.ts";
import { AUTH_MODE_CURE, isSoundAuthMode } from "./settings.ts";

const DEFAULT_URL = "ws://127.0.0.1:18789";

export interface Discovered {
  readonly target: GatewayTarget;
  readonly secret: { readonly kind: "token" | "password"; readonly value: string } | null;
  /** Where the secret came from, for people. */
  readonly secretSource: string;
}

export class DiscoverError extends Error {
  override name = "DiscoverError";
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/**
 * Reads `OPENCLAW_URL`, `OPENCLAW_GATEWAY_TOKEN`, `OPENCLAW_GATEWAY_PASSWORD`, else OpenClaw's own config file.
 *
 * @throws DiscoverError for an address that is not loopback: the control leg would be no local client there (openclaw.md 1.4, A2)
 */
export function discoverGateway(env: NodeJS.ProcessEnv): Discovered {
  const text = env["OPENCLAW_URL"] ?? DEFAULT_URL;
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !["ws:", "http:"].includes(url.protocol)) throw new DiscoverError(`OPENCLAW_URL is not a ws:// address: ${text}`);
  if (!isLoopback(url.hostname)) {
    throw new DiscoverError(
      `OPENCLAW_URL must be on this machine's loopback, not ${url.hostname}. Run the connector in the gateway's own network namespace.`,
    );
  }
  const host = url.hostname === "localhost" ? "127.0.0.1" : url.hostname.replace(/^\[|\]$/g, "");
  const target = { host, port: Number(url.port || 80) };
  const token = env["OPENCLAW_GATEWAY_TOKEN"];
  const password = env["OPENCLAW_GATEWAY_PASSWORD"];
  if (token !== undefined && token !== "")
    return { target, secret: { kind: "token", value: token }, secretSource: "OPENCLAW_GATEWAY_TOKEN" };
  if (password !== undefined && password !== "")
    return { target, secret: { kind: "password", value: password }, secretSource: "OPENCLAW_GATEWAY_PASSWORD" };
  return { target, ...fromConfig(env) };
}

function configFile(env: NodeJS.ProcessEnv): string {
  if (env["OPENCLAW_CONFIG_PATH"] !== undefined) return env["OPENCLAW_CONFIG_PATH"];
  const home = env["HOME"] ?? os.homedir();
  return path.join(env["OPENCLAW_STATE_DIR"] ?? path.join(home, ".openclaw"), "openclaw.json");
}

interface ConfigShape {
  readonly gateway?: { readonly auth?: { readonly mode?: unknown; readonly token?: unknown; readonly password?: unknown } };
}

function fromConfig(env: NodeJS.ProcessEnv): Pick<Discovered, "secret" | "secretSource"> {
  const file = configFile(env);
  let config: ConfigShape;
  try {
    config = JSON.parse(readFileSync(file, "utf8")) as ConfigShape;
  } catch {
    return { secret: null, secretSource: `no readable JSON at ${file}; set OPENCLAW_GATEWAY_TOKEN` };
  }
  const auth = config.gateway?.auth;
  if (!isSoundAuthMode(config)) return { secret: null, secretSource: `${file}: ${AUTH_MODE_CURE}` };
  const kind = auth?.mode === "password" ? "password" : "token";
  const value = kind === "password" ? auth?.password : auth?.token;
  // A reference such as ${NAME} is resolved by OpenClaw only; guessing it would send a wrong secret in a loop.
  if (typeof value !== "string" || value === "" || value.includes("${"))
    return { secret: null, secretSource: `${file} holds no plain secret; set OPENCLAW_GATEWAY_TOKEN` };
  return { secret: { kind, value }, secretSource: file };
}
