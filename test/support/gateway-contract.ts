/** Both gateways that Gatehouse is proved against, with what a visitor and the control client do at them (openclaw.md 1–3, 6, 10). */
import { expect } from "vitest";
import { freePort } from "../../scripts/control-plane.ts";
import { OPENCLAW_VERSION, installOpenclaw, runOpenclaw } from "../../scripts/real-openclaw.ts";
import { DEMO_VERSION, startDemoGateway } from "../../src/demo/gateway.ts";
import { GatewayClient, UpgradeRefused, newKey } from "./gateway-client.ts";
import type { Connecting, Frame, OpenclawKey } from "./gateway-client.ts";
import { canary, scratch } from "./stack.ts";

export const SECRET = canary();
export const ORIGIN = "https://abc.gw.example";
/** The settings of openclaw.md 1.3, as the gateway has them before each group of tests. */
export const SETTINGS = {
  trustedProxies: ["127.0.0.1", "::1"],
  controlUi: { allowedOrigins: [ORIGIN] },
  nodes: { pairing: { autoApproveLocal: false } },
};
export const CONTROL = {
  client: { id: "gateway-client", mode: "backend" },
  scopes: ["operator.pairing", "operator.admin", "operator.read"],
  auth: { token: SECRET },
};
export const NOT_ATTRIBUTED = { error: { type: "proxy_attribution_required" } };

/** @returns of a connect that must be paired first; empty when the answer names none */
export function requestIdOf(answer: Frame): string {
  const id = answer.error?.details?.["requestId"];
  return typeof id === "string" ? id : "";
}

/** Headers of one visitor as the connector sets them. */
export function visitor(ip = "203.0.113.7", more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { origin: ORIGIN, "x-forwarded-for": ip, "x-forwarded-proto": "https", "x-forwarded-host": "abc.gw.example", ...more };
}

export interface Gateway {
  readonly port: number;
  stop(): Promise<void>;
}

export interface Config {
  readonly hash: string;
  readonly config: { readonly gateway: Readonly<Record<string, unknown>> };
}

export interface Device {
  readonly deviceId: string;
  readonly publicKey: string;
  readonly scopes: readonly string[];
  readonly roles: readonly string[];
  readonly approvedVia: string;
  readonly connected?: boolean;
  readonly operatorLabel?: string;
}

interface Pending {
  readonly requestId: string;
  readonly deviceId: string;
  readonly publicKey: string;
  readonly remoteIp?: string;
}

/** OpenClaw as it is installed, with these settings. */
export const startReal = async (): Promise<Gateway> =>
  runOpenclaw({
    command: await installOpenclaw(() => undefined),
    port: await freePort(),
    stateDir: await scratch(),
    token: SECRET,
    gateway: SETTINGS,
  });

/** Both, with the version that each says. */
export const GATEWAYS: readonly { readonly name: string; readonly version: string; readonly start: () => Promise<Gateway> }[] = [
  { name: "the demo gateway", version: DEMO_VERSION, start: () => startDemoGateway({ port: 0, token: SECRET, gateway: SETTINGS }) },
  { name: `OpenClaw ${OPENCLAW_VERSION}`, version: OPENCLAW_VERSION, start: startReal },
];

async function dialControl(port: number, connecting: Connecting, headers: Readonly<Record<string, string>>): Promise<GatewayClient> {
  const client = await GatewayClient.dial(port, headers);
  const answer = await client.connect(connecting);
  expect(answer.error).toBe(undefined);
  return client;
}

/** One gateway, its control client, and what visitors and that client do at it. */
export class ContractWorld {
  readonly #gateway: Gateway;
  /** The device-less client on the gateway's machine; another one after a change that ends every socket. */
  control: GatewayClient;

  private constructor(gateway: Gateway, control: GatewayClient) {
    this.#gateway = gateway;
    this.control = control;
  }

  static async start(start: () => Promise<Gateway>): Promise<ContractWorld> {
    const gateway = await start();
    const control = await dialControl(gateway.port, CONTROL, {}).catch(async (error: unknown) => {
      await gateway.stop();
      throw error;
    });
    return new ContractWorld(gateway, control);
  }

  get port(): number {
    return this.#gateway.port;
  }

  stop(): Promise<void> {
    return this.#gateway.stop();
  }

  /** One more client of the kind that may do what it asks for. */
  connectControl(connecting: Connecting = CONTROL, headers: Readonly<Record<string, string>> = {}): Promise<GatewayClient> {
    return dialControl(this.#gateway.port, connecting, headers);
  }

  /** One connect as a visitor, with the password that the connector adds. */
  async attempt(connecting: Connecting, headers = visitor()): Promise<{ client: GatewayClient; answer: Frame }> {
    const client = await GatewayClient.dial(this.#gateway.port, headers);
    return { client, answer: await client.connect({ auth: { password: SECRET }, ...connecting }) };
  }

  /** A connect that is refused. @returns the two codes, the close, and the request's id when there is one */
  async refused(connecting: Connecting, headers = visitor()) {
    const { client, answer } = await this.attempt(connecting, headers);
    expect(answer.ok).toBe(false);
    const { code, reason } = await client.closed;
    return {
      code: answer.error?.code,
      details: answer.error?.details?.["code"],
      why: answer.error?.details?.["reason"],
      requestId: requestIdOf(answer),
      close: code,
      reason,
    };
  }

  /** A connect that is accepted. @returns how, and what it got */
  async admitted(connecting: Connecting, headers = visitor()) {
    const { client, answer } = await this.attempt(connecting, headers);
    expect(answer.error).toBe(undefined);
    const { auth } = answer.payload as { auth: { method: string; role: string; scopes: string[]; deviceToken: string } };
    return { client, ...auth };
  }

  list(): Promise<{ pending: Pending[]; paired: Device[] }> {
    return this.control.call("device.pair.list");
  }

  /** @returns a new key that was approved for these scopes */
  async pairedKey(scopes: readonly string[] = ["operator.read"]): Promise<OpenclawKey> {
    const key = newKey();
    const { requestId } = await this.refused({ key, scopes });
    await this.control.call("device.pair.approve", { requestId });
    return key;
  }

  /** Writes settings; a change of trusted proxies also ends the control socket, so it is made anew. */
  async patch(change: object, replacePaths: readonly string[] = []): Promise<void> {
    this.control.frames.length = 0;
    const { hash } = await this.control.call<Config>("config.get");
    await this.control.call("config.patch", { raw: JSON.stringify({ gateway: change }), baseHash: hash, replacePaths });
    if (!("trustedProxies" in change)) return void (await this.control.event("config.changed"));
    expect(await this.control.closed).toEqual({ code: 4001, reason: "gateway policy changed" });
    this.control = await this.connectControl();
  }

  /** An upgrade that is refused. @returns its status, and its body, JSON where it is that */
  async refusedUpgrade(headers: Readonly<Record<string, string>>): Promise<{ status: number; body: unknown }> {
    const error: unknown = await GatewayClient.dial(this.#gateway.port, headers).then(() => null, (reason: unknown) => reason); // prettier-ignore
    if (!(error instanceof UpgradeRefused)) throw new Error("the upgrade was not refused");
    return { status: error.status, body: error.body.startsWith("{") ? JSON.parse(error.body) : error.body };
  }
}
