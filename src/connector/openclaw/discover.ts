/** Finds the OpenClaw gateway beside the connector, and its secret, as OpenClaw finds them itself. The secret never leaves this process. */
import { X509Certificate } from "node:crypto";
import path from "node:path";
import { DiscoverError, OpenclawConfig, readNamed } from "./config-file.ts";
import type { GatewayTarget } from "./openclaw-port.ts";
import { AUTH_MODE_CURE, isSoundAuthMode } from "./auth-mode.ts";

export { DiscoverError } from "./config-file.ts";

const DEFAULT_PORT = 18789;
/** OpenClaw listens on both, or on one of them. */
const LOOPBACK = ["127.0.0.1", "::1"];

export interface Discovered {
  readonly target: GatewayTarget;
  /** Where the same gateway may listen instead: the other loopback address. */
  readonly other: GatewayTarget | null;
  readonly secret: { readonly kind: "token" | "password"; readonly value: string } | null;
  /** Where the secret came from, or why there is none, for people. */
  readonly secretSource: string;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

interface Address {
  readonly hosts: readonly string[];
  readonly port: number;
  readonly isTls: boolean;
}

/** @throws DiscoverError for an address that is not loopback: the control leg would be no local client there (openclaw.md 1.4, A2) */
function namedAddress(text: string): Address {
  // A bare host and port is a URL whose scheme is the host.
  const whole = /^[a-z]+:\/\//i.test(text) ? text : `ws://${text}`;
  const url = URL.canParse(whole) ? new URL(whole) : null;
  if (url === null || !["ws:", "wss:", "http:", "https:"].includes(url.protocol))
    throw new DiscoverError(`OPENCLAW_URL is no address such as ws://127.0.0.1:18789: ${text}`);
  if (!isLoopback(url.hostname)) {
    throw new DiscoverError(
      `OPENCLAW_URL must be on this machine's loopback, not ${url.hostname}. Run the connector in the gateway's own network namespace.`,
    );
  }
  const isTls = ["wss:", "https:"].includes(url.protocol);
  const hosts = url.hostname === "localhost" ? LOOPBACK : [url.hostname.replace(/^\[|\]$/g, "")];
  return { hosts, port: Number(url.port || (isTls ? 443 : 80)), isTls };
}

function readPort(text: unknown): number | null {
  const port = typeof text === "string" && /^\d{1,5}$/.test(text) ? Number(text) : text;
  return typeof port === "number" && Number.isInteger(port) && port > 0 && port < 65_536 ? port : null;
}

/** OpenClaw's own order; its `--port` is seen by nobody but itself. */
function ownAddress(config: OpenclawConfig): Address {
  const port = readPort(config.variable("OPENCLAW_GATEWAY_PORT")) ?? readPort(config.at("gateway.port")) ?? DEFAULT_PORT;
  return { hosts: LOOPBACK, port, isTls: config.at("gateway.tls.enabled") === true };
}

/** The gateway's own certificate is the only one that is taken: other programs listen on loopback, too. @throws DiscoverError */
function pinned(config: OpenclawConfig): NonNullable<GatewayTarget["tls"]> {
  const file = config.path("gateway.tls.certPath") ?? path.join(config.stateDir, "gateway/tls/gateway-cert.pem");
  const pem = readNamed(file, "OpenClaw's TLS certificate");
  try {
    return { certificate: pem, fingerprint: new X509Certificate(pem).fingerprint256 };
  } catch {
    throw new DiscoverError(`OpenClaw's TLS certificate at ${file} is none.`);
  }
}

/**
 * Reads `OPENCLAW_URL`, else what OpenClaw's config says, and the secret from `OPENCLAW_GATEWAY_TOKEN`, `_PASSWORD`, `_TOKEN_FILE`, `_PASSWORD_FILE`
 * or that config (PROTOCOL.md OC2 to OC5).
 *
 * @throws DiscoverError for an address or a certificate that cannot be used, and where several profiles could be meant
 */
export function discoverGateway(env: NodeJS.ProcessEnv): Discovered {
  const config = new OpenclawConfig(env);
  const named = env["OPENCLAW_URL"] ?? "";
  const { hosts, port, isTls } = named === "" ? ownAddress(config) : namedAddress(named);
  const tls = isTls ? { tls: pinned(config) } : {};
  const [host = "127.0.0.1", other] = hosts;
  return { target: { host, port, ...tls }, other: other === undefined ? null : { host: other, port, ...tls }, ...findSecret(env, config) };
}

type Secret = Pick<Discovered, "secret" | "secretSource">;

function findSecret(env: NodeJS.ProcessEnv, config: OpenclawConfig): Secret {
  for (const kind of ["token", "password"] as const) {
    const name = `OPENCLAW_GATEWAY_${kind.toUpperCase()}`;
    const value = env[name] ?? "";
    if (value !== "") return { secret: { kind, value }, secretSource: name };
    const file = env[`${name}_FILE`] ?? "";
    if (file !== "") return fromFile(kind, file, `${name}_FILE`);
  }
  return fromConfig(config);
}

function fromFile(kind: "token" | "password", file: string, name: string): Secret {
  try {
    const value = readNamed(file, name).trim();
    return value === "" ? { secret: null, secretSource: `${name} at ${file} is empty.` } : { secret: { kind, value }, secretSource: file };
  } catch (error) {
    if (!(error instanceof DiscoverError)) throw error;
    return { secret: null, secretSource: error.message };
  }
}

function fromConfig(config: OpenclawConfig): Secret {
  const { file, problem } = config;
  if (problem !== null)
    return { secret: null, secretSource: `${problem} Name it with --openclaw-config, or set OPENCLAW_GATEWAY_TOKEN_FILE.` };
  const auth = { gateway: { auth: { mode: config.at("gateway.auth.mode") } } };
  if (!isSoundAuthMode(auth)) return { secret: null, secretSource: `${file}: ${AUTH_MODE_CURE}` };
  const kind = auth.gateway.auth.mode === "password" ? "password" : "token";
  const written = config.text(`gateway.auth.${kind}`);
  if (written !== null && "missing" in written) return { secret: null, secretSource: written.missing };
  if (written !== null) return { secret: { kind, value: written.value }, secretSource: file };
  const value = config.variable(`OPENCLAW_GATEWAY_${kind.toUpperCase()}`);
  if (value !== undefined) return { secret: { kind, value }, secretSource: path.join(config.stateDir, ".env") };
  return { secret: null, secretSource: `${file} holds no secret at gateway.auth.${kind}. Set OPENCLAW_GATEWAY_TOKEN_FILE.` };
}
