/** What the workerd tests share: the environment, an account with a passkey, a claimed gateway, a connector and a device of the test's own. */
import { runInDurableObject } from "cloudflare:test";
import { env as anyEnv } from "cloudflare:workers";
import { handle } from "../../src/worker/app.ts";
import { startSession } from "../../src/worker/auth/account-session.ts";
import type { Audience } from "../../src/worker/auth/account-session.ts";
import { sealed } from "../../src/worker/auth/passkey-seal.ts";
import { readConfig } from "../../src/worker/config.ts";
import { insertAccount } from "../../src/worker/db/account-queries.ts";
import type { Env } from "../../src/worker/env.ts";
import { saveConnector } from "../../src/worker/db/gateway-queries.ts";
import type { RoomResult } from "../../src/worker/room/rpc.ts";
import { createGateway } from "../../src/worker/services/gateway-views.ts";
import { deviceId, grantId, keyThumbprint } from "../../src/core/trust/digests.ts";
import { decodeFrame, encodeFrame } from "../../src/protocol/frame.ts";
import type { Frame, FrameType } from "../../src/protocol/frame.ts";
import { joined, tagged, toBase64url } from "../../src/protocol/statement-encoding.ts";
import type { ConnectorKey, SignedByOwner } from "../../src/protocol/statements.ts";
import { ROOM_PONG } from "../../src/protocol/words.ts";
import type { ToConnector, ToRoom } from "../../src/protocol/link-messages.ts";
import { newAuthenticator } from "../support/fake-authenticator.ts";
import type { Authenticator } from "../support/fake-authenticator.ts";
import { signedGenesis } from "../support/genesis.ts";
import { grantBytes, newDevice } from "../support/fake-device.ts";

export const env = anyEnv as unknown as Env;
export const config = readConfig(env);

export function randomId(): string {
  return toBase64url(crypto.getRandomValues(new Uint8Array(16))).toLowerCase().replace(/[^a-z2-7]/g, "a").padEnd(26, "a").slice(0, 26); // prettier-ignore
}

/** One request to the Worker, as a browser of that origin sends it unless `headers` say otherwise. */
export function ask(
  url: string,
  init: { method?: string; body?: object; cookie?: string; headers?: Record<string, string> } = {},
): Promise<Response> {
  const headers = new Headers({
    origin: new URL(url).origin,
    "content-type": "application/json",
    "cf-connecting-ip": randomAddress(),
    ...init.headers,
  });
  if (init.cookie !== undefined) headers.set("cookie", init.cookie);
  return handle(
    new Request(url, { method: init.method ?? "GET", headers, ...(init.body === undefined ? {} : { body: JSON.stringify(init.body) }) }),
    env,
  );
}

export interface Person {
  readonly id: string;
  readonly authenticator: Authenticator;
  cookie(audience: Audience): Promise<string>;
}

export async function newPerson(): Promise<Person> {
  const authenticator = await newAuthenticator(config.approveOrigin);
  const id = randomId();
  const { credentialId, key } = authenticator.ownerKey;
  const passkey = await sealed(env, {
    credentialId,
    accountId: id,
    name: "First passkey",
    coseKey: "AA",
    jwk: JSON.stringify(key),
    createdAtMs: 1,
    lastUsedAtMs: null,
  });
  await insertAccount(env.DB, { id, name: "Ada", userHandle: id, createdAtMs: 1 }, passkey, [`mac-${id}`]);
  return { id, authenticator, cookie: async (audience) => (await startSession(env, id, audience)).split(";", 1)[0] ?? "" };
}

/** A connector's end of the link, driven by the test. */
export interface FakeConnector {
  readonly ws: WebSocket;
  send(message: ToRoom): void;
  frame(type: FrameType, flags: number, stream: number, payload?: Uint8Array): void;
  raw(bytes: Uint8Array): void;
  next<T extends ToConnector["type"]>(type: T): Promise<Extract<ToConnector, { type: T }>>;
  nextFrame(type: FrameType): Promise<Frame>;
  readonly closed: Promise<{ code: number; reason: string }>;
}

function mailbox<T>() {
  const items: T[] = [];
  const waiting: { matches: (item: T) => boolean; resolve: (item: T) => void }[] = [];
  return {
    put(item: T): void {
      const at = waiting.findIndex((each) => each.matches(item));
      if (at >= 0) waiting.splice(at, 1)[0]?.resolve(item);
      else items.push(item);
    },
    take(matches: (item: T) => boolean): Promise<T> {
      const at = items.findIndex(matches);
      const found = at >= 0 ? items.splice(at, 1)[0] : undefined;
      return found !== undefined ? Promise.resolve(found) : new Promise((resolve) => waiting.push({ matches, resolve }));
    },
    count: () => items.length,
  };
}

/** Commands that a fake connector says yes to; a cut has an answer of its own. */
const ANSWERED = new Set(["grant", "session", "owner-key", "owner-remove", "recovery-key", "recover", "proposal", "remove-entry"]);

export interface GatewayWorld {
  readonly gateway: string;
  readonly origin: string;
  readonly person: Person;
  readonly room: ReturnType<Env["ROOM"]["getByName"]>;
  readonly key: ConnectorKey;
  /** Dials, proves the key, acknowledges; answers grants, cuts and sessions with yes unless told otherwise. */
  connect(options?: { signWith?: CryptoKey; generation?: number; answer?: boolean; state?: "online" | "offline" }): Promise<FakeConnector>;
}

/** The machine with this key becomes the gateway's connector, as after a claim by the person's passkey. */
export function enrol(
  world: Pick<GatewayWorld, "gateway" | "person" | "room">,
  connectorKey: ConnectorKey,
  options: { readonly by?: Authenticator; readonly recovery?: SignedByOwner } = {},
): Promise<RoomResult<null>> {
  const { gateway, person, room } = world;
  const { by = person.authenticator, recovery = null } = options;
  return claimAs(room, { gateway, account: person.id, connectorKey, by, recovery });
}

/** @returns the room's answer to a genesis that this authenticator signs for that account */
export async function claimAs(
  room: GatewayWorld["room"],
  input: { gateway: string; account: string; connectorKey: ConnectorKey; by: Authenticator; recovery?: SignedByOwner | null },
): Promise<RoomResult<null>> {
  const { gateway, account, recovery = null } = input;
  return room.enrol({ account, gateway, name: "Home", genesis: await genesisFor(input), recovery });
}

/** Two claims of one machine are two ceremonies. */
export function genesisFor(input: {
  gateway: string;
  account: string;
  connectorKey: ConnectorKey;
  by: Authenticator;
}): Promise<SignedByOwner> {
  const { gateway, account, connectorKey, by } = input;
  const { approveOrigin, appOrigin } = config;
  const origins = { approveOrigin, appOrigin, gatewayOrigin: config.gatewayOrigin(gateway) };
  const ceremony = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
  return signedGenesis(by, { gateway, account, connectorKey, ...origins }, { ceremony });
}

export async function newGateway(person?: Person): Promise<GatewayWorld> {
  const owner = person ?? (await newPerson());
  const row = await createGateway(env, owner.id, "Home");
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  const { x = "" } = (await crypto.subtle.exportKey("jwk", pair.publicKey)) as { x?: string };
  const key: ConnectorKey = { kty: "OKP", crv: "Ed25519", x };
  const room = env.ROOM.getByName(row.id);
  await enrol({ gateway: row.id, person: owner, room }, key);
  await saveConnector(env.DB, { gatewayId: row.id, publicKey: JSON.stringify(key), machine: "box", platform: "Linux", enrolledAtMs: 1 });
  let acknowledged = 0;
  return {
    gateway: row.id,
    origin: config.gatewayOrigin(row.id),
    person: owner,
    room,
    key,
    connect: async (options = {}) => {
      const response = await handle(
        new Request(`${config.appOrigin}/link/${row.id}`, { headers: { upgrade: "websocket", "cf-connecting-ip": randomAddress() } }),
        env,
      );
      const ws = response.webSocket;
      if (ws === null) throw new Error(`link refused: ${response.status}`);
      const messages = mailbox<ToConnector>();
      const frames = mailbox<Frame>();
      ws.binaryType = "arraybuffer";
      const send = (message: ToRoom): void => ws.send(JSON.stringify(message));
      const closed = new Promise<{ code: number; reason: string }>((resolve) =>
        ws.addEventListener("close", ({ code, reason }) => resolve({ code, reason })),
      );
      ws.addEventListener("message", ({ data }) => {
        if (typeof data !== "string") {
          const frame = decodeFrame(new Uint8Array(data as ArrayBuffer));
          if (typeof frame !== "string") frames.put(frame);
          return;
        }
        if (data === ROOM_PONG) return;
        const message = JSON.parse(data) as ToConnector;
        if (options.answer !== false) {
          if (message.type === "nonce-request")
            send({
              type: "nonce",
              id: message.id,
              nonce: toBase64url(crypto.getRandomValues(new Uint8Array(32))),
              connectorKey: "A".repeat(43),
            });
          if (ANSWERED.has(message.type) && "id" in message) send({ type: "result", id: message.id, ok: true });
          if (message.type === "cut")
            send({ type: "result", id: message.id, ok: true, cut: { streamsClosed: 0, removed: 1, done: true, atMs: 5, tookMs: 3 } });
        }
        messages.put(message);
      });
      ws.accept();
      const fake: FakeConnector = {
        ws,
        send,
        frame: (type, flags, stream, payload) => ws.send(encodeFrame(type, flags, stream, payload)),
        raw: (bytes) => ws.send(bytes),
        next: <T extends ToConnector["type"]>(type: T) =>
          messages.take((message) => message.type === type) as Promise<Extract<ToConnector, { type: T }>>,
        nextFrame: (type) => frames.take((frame) => frame.type === type),
        closed,
      };
      const challenge = await fake.next("challenge");
      const generation = options.generation ?? acknowledged;
      const connectorNonce = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
      const bytes = tagged("link", joined([row.id, challenge.nonce, connectorNonce, String(generation), "1"]));
      const signature = toBase64url(new Uint8Array(await crypto.subtle.sign("Ed25519", options.signWith ?? pair.privateKey, bytes)));
      send({
        type: "hello",
        protocol: 1,
        version: "0.1.0",
        gateway: row.id,
        key,
        connectorNonce,
        generation,
        signature,
        report: { state: options.state ?? "online", version: "2026.9.6" },
      });
      const welcome = await Promise.race([fake.next("welcome"), closed.then(() => null)]);
      if (welcome !== null) {
        acknowledged = welcome.generation;
        send({ type: "ack", generation: welcome.generation });
      }
      return fake;
    },
  };
}

export interface WaitingDevice {
  readonly ws: WebSocket;
  readonly request: string;
  readonly digits: string;
  readonly device: Awaited<ReturnType<typeof newDevice>>;
  next(type: string): Promise<Record<string, unknown>>;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** A public address that no other test uses, so that limits per address do not meet by accident. */
export function randomAddress(): string {
  const [a = 0, b = 0, c = 0] = crypto.getRandomValues(new Uint8Array(3));
  return `81.${a}.${b}.${c}`;
}

/** Opens the door's socket and asks. @param known an old device comes back with its key @param address where the edge sees it */
export async function askOwner(world: GatewayWorld, known?: WaitingDevice["device"], address = randomAddress()): Promise<WaitingDevice> {
  const device = known ?? (await newDevice());
  const response = await ask(`${world.origin}/.gatehouse/wait`, { headers: { upgrade: "websocket", "cf-connecting-ip": address } });
  const ws = response.webSocket;
  if (ws === null) throw new Error(`wait refused: ${response.status}`);
  const messages = mailbox<Record<string, unknown>>();
  ws.addEventListener("message", ({ data }) => messages.put(JSON.parse(String(data)) as Record<string, unknown>));
  ws.accept();
  const next = (type: string): Promise<Record<string, unknown>> => messages.take((message) => message["type"] === type);
  const hello = await next("hello");
  const signed = await device.ask({ gateway: world.gateway, origin: world.origin, roomNonce: String(hello["roomNonce"]) });
  ws.send(JSON.stringify({ type: "ask", signed, claims: { name: "Phone", platform: "Test", browser: "Test" } }));
  const answer = await messages.take((message) => ["waiting", "busy", "refused", "allowed", "error"].includes(String(message["type"])));
  messages.put(answer);
  return { ws, request: textOf(answer["request"]), digits: textOf(answer["matchCode"]), device, next };
}

/** The owner's signed grant for a waiting device. */
export async function grantFor(world: GatewayWorld, waiting: WaitingDevice, changes: Parameters<typeof grantBytes>[3] = {}) {
  const bytes = await grantBytes(world.gateway, waiting.device.key, Date.now(), { request: waiting.request, ...changes });
  return { bytes, id: await grantId(bytes), signed: await world.person.authenticator.sign("grant", bytes) };
}

/** Asks, allows and opens a session. @returns the cookies of an allowed device */
export async function allowedDevice(world: GatewayWorld) {
  const waiting = await askOwner(world);
  const grant = await grantFor(world, waiting);
  await world.room.allow({ account: world.person.id, request: waiting.request, code: waiting.digits, signed: grant.signed });
  const id = await deviceId(world.gateway, waiting.device.key);
  return { waiting, grant: grant.id, id, device: waiting.device };
}

export interface Opened {
  readonly status: number;
  /** Error code of a refusal, else null. */
  readonly code: string | null;
  readonly retryAfter: string | null;
  /** `name=value` of the cookies that came. */
  readonly session: string | null;
  readonly token: string | null;
}

export interface SessionAttempt {
  /** `name=value` of the device token's cookie. */
  readonly token?: string | null;
  /** Members of the signed statement that differ. */
  readonly changes?: Readonly<Record<string, unknown>>;
  /** Signs in the place of the device. */
  readonly signer?: Awaited<ReturnType<typeof newDevice>>;
  readonly activationCode?: string;
}

/** What the door page does to open a session: challenge, sign, ask. */
export async function openSession(
  world: GatewayWorld,
  allowed: { readonly id: string; readonly grant: string; readonly device: Awaited<ReturnType<typeof newDevice>> },
  attempt: SessionAttempt = {},
): Promise<Opened> {
  const answered = await ask(`${world.origin}/.gatehouse/api/challenge`, { method: "POST", body: { key: allowed.device.key } });
  const challenge: { roomNonce: string; serverTimeMs: number } = await answered.json();
  const signed = await (attempt.signer ?? allowed.device).session({
    gateway: world.gateway,
    device: allowed.id,
    grant: allowed.grant,
    origin: world.origin,
    roomNonce: challenge.roomNonce,
    connectorNonce: "A".repeat(43),
    connectorKey: await keyThumbprint(world.key),
    iatMs: challenge.serverTimeMs,
    expMs: challenge.serverTimeMs + 60_000,
    ...attempt.changes,
  });
  return sendSession(
    world,
    { signed, ...(attempt.activationCode === undefined ? {} : { activationCode: attempt.activationCode }) },
    attempt.token,
  );
}

/** Sends a signed session statement. @param token `name=value` of the device token's cookie */
export async function sendSession(world: GatewayWorld, body: object, token?: string | null): Promise<Opened> {
  const response = await ask(`${world.origin}/.gatehouse/api/session`, {
    method: "POST",
    body,
    ...(token === undefined || token === null ? {} : { cookie: token }),
  });
  const cookies = response.headers.getSetCookie().map((cookie) => cookie.split(";", 1)[0] ?? "");
  const json: { error?: { code: string } } = await response.json();
  return {
    status: response.status,
    code: json.error?.code ?? null,
    retryAfter: response.headers.get("retry-after"),
    session: cookies.find((cookie) => cookie.startsWith("__Host-gth_s=")) ?? null,
    token: cookies.find((cookie) => cookie.startsWith("__Host-gth_d=")) ?? null,
  };
}

/** Every row of D1 and of a room's storage, as text: what no refused request may change. */
export async function dump(room: GatewayWorld["room"]): Promise<string> {
  const rows: unknown[] = [];
  const tables = await env.DB.prepare(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\' ORDER BY name",
  ).all<{ name: string }>();
  for (const { name } of tables.results) rows.push(name, (await env.DB.prepare(`SELECT * FROM "${name}"`).all()).results);
  const stored = await runInDurableObject(room, (_room, state) => {
    const { sql } = state.storage;
    const names = sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\' ORDER BY name").toArray(); // prettier-ignore
    return names.map(({ name }) => [name, sql.exec(`SELECT * FROM "${name}"`).toArray()]);
  });
  return JSON.stringify([rows, stored], null, 1);
}
