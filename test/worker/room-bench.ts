/** A room with a connector and allowed devices, without the ways in: relay tests start where admission ends. */
import { runInDurableObject } from "cloudflare:test";
import { env as bindings } from "cloudflare:workers";
import { deviceId } from "../../src/core/trust/digests.ts";
import { SESSION_MS } from "../../src/protocol/limits.ts";
import { toBase64url } from "../../src/protocol/statement-encoding.ts";
import { SESSION_COOKIE } from "../../src/protocol/words.ts";
import type { Access } from "../../src/protocol/words.ts";
import { handle } from "../../src/worker/app.ts";
import { mintGatewayId } from "../../src/worker/auth/gateway-id.ts";
import { sealSessionCookie } from "../../src/worker/auth/session-cookie.ts";
import { readConfig } from "../../src/worker/config.ts";
import type { Env } from "../../src/worker/env.ts";
import { newAuthenticator } from "../support/fake-authenticator.ts";
import { claimAs } from "./world.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import type { SessionRow } from "../../src/worker/room/storage/rows.ts";
import { Arrivals, FakeConnector, newConnectorIdentity } from "./fake-connector.ts";
import type { ConnectorIdentity, FakeStream } from "./fake-connector.ts";

export const env = bindings as unknown as Env;
export const ACCOUNT = "account-of-the-owner";

export interface Bench {
  readonly gateway: string;
  readonly origin: string;
  readonly identity: ConnectorIdentity;
  readonly room: ReturnType<Env["ROOM"]["getByName"]>;
}

/** A claimed gateway with a fresh room. */
export async function newBench(): Promise<Bench> {
  const gateway = await mintGatewayId(env, crypto.getRandomValues(new Uint8Array(10)));
  const identity = await newConnectorIdentity();
  const room = env.ROOM.getByName(gateway);
  await claimAs(room, { gateway, account: ACCOUNT, connectorKey: identity.key, by: await newAuthenticator(readConfig(env).approveOrigin) });
  return { gateway, origin: readConfig(env).gatewayOrigin(gateway), identity, room };
}

export interface AllowedDevice {
  readonly device: string;
  readonly cookie: string;
}

/** Puts a session into the room, as admission does after a grant. */
export async function allowDevice(bench: Bench, options: { access?: Access; expiresAtMs?: number } = {}): Promise<AllowedDevice> {
  const key = { kty: "OKP", crv: "Ed25519", x: toBase64url(crypto.getRandomValues(new Uint8Array(32))) } as const;
  const device = await deviceId(bench.gateway, key);
  const expiresAtMs = options.expiresAtMs ?? Date.now() + SESSION_MS;
  const session = toBase64url(crypto.getRandomValues(new Uint8Array(16)));
  const row: SessionRow = { id: session, device, grant: "g".repeat(26), access: options.access ?? "full", expiresAtMs };
  await runInDurableObject(bench.room, (_room, state) => new RoomStorage(state.storage).put("sessions", session, row));
  const sealed = await sealSessionCookie(env, { session, gateway: bench.gateway, device, expiresAtMs }, Date.now());
  return { device, cookie: `${SESSION_COOKIE}=${sealed.slice(sealed.indexOf("=") + 1, sealed.indexOf(";"))}` };
}

/** Makes a device one of the owner's own, as a same-device grant does. */
export async function makeOwners(bench: Bench, { device }: AllowedDevice): Promise<void> {
  const key = { kty: "OKP", crv: "Ed25519", x: "A".repeat(43) } as const;
  const row = { id: device, key, name: "Mine", platform: "", browser: "", access: "full" as const, kind: "owner" as const, grant: "g".repeat(26), state: "allowed" as const, createdAtMs: 1, lastSeenMs: null, notAfterMs: Number.MAX_SAFE_INTEGER, token: null, activation: null }; // prettier-ignore
  await runInDurableObject(bench.room, (_room, state) => new RoomStorage(state.storage).put("devices", device, row));
}

/** Any request of a device to the gateway's origin, as its browser sends it. */
export function visit(bench: Bench, device: AllowedDevice | null, path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (device !== null) headers.set("cookie", device.cookie);
  return handle(new Request(`${bench.origin}${path}`, { redirect: "manual", ...init, headers }), env);
}

export function upgrade(bench: Bench, device: AllowedDevice | null, path = "/", more: Record<string, string> = {}): Promise<Response> {
  return visit(bench, device, path, { headers: { upgrade: "websocket", origin: bench.origin, ...more } });
}

/** A browser's socket that reads what it is sent. */
export class FakeBrowser {
  readonly ws: WebSocket;
  readonly messages = new Arrivals<string | ArrayBuffer>();
  readonly closed: Promise<{ code: number; reason: string }>;

  /** @param response 101 of an upgrade */
  constructor(response: Response) {
    if (response.webSocket === null) throw new Error(`upgrade answered ${response.status}`);
    this.ws = response.webSocket;
    this.ws.binaryType = "arraybuffer";
    this.closed = new Promise((resolve) => {
      this.ws.addEventListener("close", (event) => resolve({ code: event.code, reason: event.reason }));
    });
    this.ws.addEventListener("message", (event) => this.messages.put(event.data as string | ArrayBuffer));
    this.ws.accept();
  }
}

/** A room with its connector up and one allowed device. */
export async function connected() {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const device = await allowDevice(bench);
  return { bench, connector, device };
}

/** Both ends of one WebSocket stream. */
export interface OpenStream {
  readonly browser: FakeBrowser;
  readonly stream: FakeStream;
}

/** A stream that the gateway accepted. */
export async function openStream(bench: Bench, connector: FakeConnector, device: AllowedDevice, path = "/"): Promise<OpenStream> {
  const answer = upgrade(bench, device, path);
  const stream = await connector.streams.next();
  stream.opened();
  return { browser: new FakeBrowser(await answer), stream };
}
