/** Sessions and device tokens over HTTP, as a door page and as whoever holds a copy of something. */
import { runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { CLOSE_CUT } from "../../src/protocol/close-codes.ts";
import { FRAME_OPEN, FRAME_OPENED } from "../../src/protocol/frame.ts";
import { ACTIVATION_MS, NONCE_MS, TOKEN_OVERLAP_MS } from "../../src/protocol/limits.ts";
import { toBase64url, utf8 } from "../../src/protocol/statement-encoding.ts";
import { activationHash } from "../../src/core/trust/digests.ts";
import { handle } from "../../src/worker/app.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import type { DeviceRow, SessionRow } from "../../src/worker/room/storage/rows.ts";
import { newDevice, grantBytes } from "../support/fake-device.ts";
import { allowedDevice, ask, askOwner, dump, env, grantFor, newGateway, openSession, randomAddress, sendSession } from "./world.ts";
import type { FakeConnector, GatewayWorld } from "./world.ts";
import { passTime } from "./room-clock.ts";

afterEach(() => {
  vi.useRealTimers();
});

async function allowed() {
  const world = await newGateway();
  const connector = await world.connect();
  return { world, connector, device: await allowedDevice(world) };
}

function stored<T>(world: GatewayWorld, work: (storage: RoomStorage) => T): Promise<T> {
  return runInDurableObject(world.room, (_room, state) => work(new RoomStorage(state.storage)));
}

const sessionsOf = (world: GatewayWorld): Promise<SessionRow[]> => stored(world, (storage) => storage.all<SessionRow>("sessions"));

/** A relayed socket with a session's cookie. */
async function stream(world: GatewayWorld, connector: FakeConnector, cookie: string) {
  const answered = ask(`${world.origin}/`, { cookie, headers: { upgrade: "websocket" } });
  const open = await connector.nextFrame(FRAME_OPEN);
  connector.frame(FRAME_OPENED, 0, open.streamId, utf8('{"status":101,"headers":[]}'));
  const { webSocket } = await answered;
  if (webSocket === null) throw new Error("no socket");
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    webSocket.addEventListener("close", ({ code, reason }) => resolve({ code, reason })),
  );
  webSocket.accept();
  return { closed };
}

const status = async (world: GatewayWorld, cookie: string | null): Promise<number> =>
  (await ask(`${world.origin}/x`, { cookie: cookie ?? "", headers: { "sec-fetch-mode": "no-cors" } })).status;

test("[TK1] every renewal gives another token, and each opens the next session", async () => {
  const { world, device } = await allowed();
  const seen = new Set<string>();
  let token: string | null = null;
  for (let i = 0; i < 5; i += 1) {
    const opened = await openSession(world, device, { token });
    expect(opened.status).toBe(200);
    seen.add(opened.token ?? "");
    ({ token } = opened);
  }
  expect(seen.size).toBe(5);
});

test("[TK1] without its token, with garbage, and with another device's token no session opens and nothing changes", async () => {
  const { world, device } = await allowed();
  const other = await allowedDevice(world);
  await openSession(world, device);
  const { token: foreign } = await openSession(world, other);
  const before = await stored(world, (storage) => storage.get<DeviceRow>("devices", device.id)?.token);
  for (const token of [null, "__Host-gth_d=gthd_nonsense", "__Host-gth_d=", foreign]) {
    expect(await openSession(world, device, { token })).toMatchObject({ status: 403, code: "token-missing", session: null, token: null });
  }
  expect(await stored(world, (storage) => storage.get<DeviceRow>("devices", device.id)?.token)).toEqual(before);
});

test("[TK2] a lost reply: the token before gives the very same successor again, until that one is used", async () => {
  const { world, device } = await allowed();
  const { token: first } = await openSession(world, device);
  const { token: second } = await openSession(world, device, { token: first });
  const again = await openSession(world, device, { token: first });
  expect([again.status, again.token]).toEqual([200, second]);
  expect((await openSession(world, device, { token: second })).status).toBe(200);
});

test("[TK2] the token before is good for ten minutes and no longer", async () => {
  const { world, device } = await allowed();
  const { token: first } = await openSession(world, device);
  await openSession(world, device, { token: first });
  passTime(TOKEN_OVERLAP_MS - 1_000);
  await world.connect();
  expect((await openSession(world, device, { token: first })).status).toBe(200);
  passTime(2_000);
  expect(await openSession(world, device, { token: first })).toMatchObject({ status: 403, code: "token-missing" });
});

test("[TK3] [case 38] a spent token freezes the device: sockets end, sessions open nothing more, no token helps until the owner allows it again", async () => {
  const { world, connector, device } = await allowed();
  const { token: first } = await openSession(world, device);
  const { token: second } = await openSession(world, device, { token: first });
  const { token: third, session } = await openSession(world, device, { token: second });
  const { closed } = await stream(world, connector, session ?? "");
  expect(await openSession(world, device, { token: first })).toMatchObject({ status: 403, code: "token-frozen" });
  expect((await closed).code).toBe(CLOSE_CUT);
  expect(await sessionsOf(world)).toEqual([]);
  expect(await status(world, session)).toBe(401);
  expect(await openSession(world, device, { token: third })).toMatchObject({ status: 403, code: "token-frozen" });
  const waiting = await askOwner(world, device.device);
  const grant = await grantFor(world, waiting);
  await world.room.allow({ account: world.person.id, request: waiting.request, code: waiting.digits, signed: grant.signed });
  expect((await openSession(world, { ...device, grant: grant.id })).status).toBe(200);
});

test("[TK3] a session that was under way when the device froze does not open, nor thaw it", async () => {
  const world = await newGateway();
  const connector = await world.connect();
  const device = await allowedDevice(world);
  const { token: first } = await openSession(world, device);
  const { token: second } = await openSession(world, device, { token: first });
  const { token: third } = await openSession(world, device, { token: second });
  // From here on the test answers for the connector.
  const slow = await world.connect({ answer: false });
  await connector.closed;
  const answerNonces = async (): Promise<void> => {
    const { id } = await slow.next("nonce-request");
    slow.send({ type: "nonce", id, nonce: "A".repeat(43), connectorKey: "A".repeat(43) });
  };
  const underWay = openSession(world, device, { token: third });
  await answerNonces();
  const command = await slow.next("session");
  const [frozen] = await Promise.all([openSession(world, device, { token: first }), answerNonces()]);
  expect(frozen.code).toBe("token-frozen");
  slow.send({ type: "result", id: command.id, ok: true });
  expect(await underWay).toMatchObject({ status: 403, code: "token-frozen", session: null });
  expect(await stored(world, (storage) => storage.get<DeviceRow>("devices", device.id)?.token?.isFrozen)).toBe(true);
});

test("[TK2] two pages that open the first session side by side both get in, with one token", async () => {
  const { world, device } = await allowed();
  const both = await Promise.all([openSession(world, device), openSession(world, device)]);
  expect(both.map((each) => each.status)).toEqual([200, 200]);
  expect(both[0].token).toBe(both[1].token);
  expect((await openSession(world, device, { token: both[0].token })).status).toBe(200);
});

test("[SE1] a statement signed by another key, for another gateway, origin, grant or connector, or too long opens nothing and changes nothing", async () => {
  const { world, device } = await allowed();
  const other = await newGateway();
  await openSession(world, device);
  const before = await dump(world.room);
  const hour = 3_600_000;
  const attacks = [
    { signer: await newDevice() },
    { changes: { gateway: other.gateway } },
    { changes: { origin: other.origin } },
    { changes: { grant: "b".repeat(26) } },
    { changes: { device: "b".repeat(26) } },
    { changes: { connectorKey: "B".repeat(43) } },
    { changes: { roomNonce: toBase64url(crypto.getRandomValues(new Uint8Array(32))) } },
    { changes: { expMs: Date.now() + 13 * hour } },
    { changes: { iatMs: Date.now() - hour } },
    { changes: { iatMs: Date.now() + hour, expMs: Date.now() + 2 * hour } },
  ];
  for (const attack of attacks) {
    const refused = await openSession(world, device, attack);
    expect([400, 403, 429], JSON.stringify(attack.changes)).toContain(refused.status);
    expect([refused.session, refused.token]).toEqual([null, null]);
  }
  expect(await dump(world.room)).toBe(before);
});

test("[SE1] a room's nonce is good at its own gateway only, once, and for five minutes", async () => {
  const { world, device } = await allowed();
  const other = await newGateway();
  const answered = await ask(`${other.origin}/.gatehouse/api/challenge`, { method: "POST", body: { key: device.device.key } });
  const foreign: { roomNonce: string } = await answered.json();
  expect(await openSession(world, device, { changes: { roomNonce: foreign.roomNonce } })).toMatchObject({ status: 400 });
  const own: { roomNonce: string } = await (await ask(`${world.origin}/.gatehouse/api/challenge`, { method: "POST", body: { key: device.device.key } })).json(); // prettier-ignore
  const { token } = await openSession(world, device, { changes: { roomNonce: own.roomNonce } });
  expect(token).not.toBe(null);
  expect(await openSession(world, device, { token, changes: { roomNonce: own.roomNonce } })).toMatchObject({ status: 400 });
  const late: { roomNonce: string } = await (await ask(`${world.origin}/.gatehouse/api/challenge`, { method: "POST", body: { key: device.device.key } })).json(); // prettier-ignore
  passTime(NONCE_MS + 1);
  await world.connect();
  expect(await openSession(world, device, { token, changes: { roomNonce: late.roomNonce } })).toMatchObject({ status: 400 });
});

test("[SE1] a flood of challenges by strangers stores nothing, asks the connector nothing, and keeps no allowed device out", async () => {
  const { world, connector, device } = await allowed();
  const before = await dump(world.room);
  for (let i = 0; i < 600; i += 1) {
    const { key } = device.device;
    const x = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
    await runInDurableObject(world.room, (room) =>
      room.fetch(
        new Request(`${world.origin}/.gatehouse/api/challenge`, {
          method: "POST",
          body: JSON.stringify({ key: { ...key, x } }),
          headers: { "x-gatehouse-kind": "challenge" },
        }),
      ),
    );
  }
  expect(await dump(world.room)).toBe(before);
  expect((await openSession(world, device)).status).toBe(200);
  // One nonce, for the one device that may open a session.
  expect((await connector.next("nonce-request")).type).toBe("nonce-request");
  connector.ws.send(JSON.stringify({ type: "report", report: { state: "online" } }));
  expect(await Promise.race([connector.next("nonce-request"), (async () => (await askOwner(world), null))()])).toBe(null);
});

test("[SE1] wrong proofs are told to come back later, with Retry-After; the right one is never refused for them", async () => {
  const { world, device } = await allowed();
  const thief = await newDevice();
  const answers = [];
  for (let i = 0; i < 8; i += 1) answers.push(await openSession(world, device, { signer: thief }));
  expect(answers.map((each) => each.status)).toEqual([403, 403, 403, 403, 403, 429, 429, 429]);
  expect(Number(answers.at(-1)?.retryAfter)).toBeGreaterThan(0);
  expect((await openSession(world, device)).status).toBe(200);
});

test("[GR2] [case 48] a same-device grant opens for nobody without its code, and not after two minutes", async () => {
  const world = await newGateway();
  await world.connect();
  const device = await newDevice();
  const code = "the-code-in-the-owners-browser";
  const body = { kind: "owner", request: null, activation: await activationHash(code) } as const;
  const bytes = await grantBytes(world.gateway, device.key, Date.now(), body);
  const signed = await world.person.authenticator.sign("grant", bytes);
  const result = await world.room.ownerGrant({ account: world.person.id, signed });
  if (!result.ok) throw new Error(result.failure);
  const grant: string = (await stored(world, (storage) => storage.get<DeviceRow>("devices", result.value.device)?.grant)) ?? "";
  const own = { id: result.value.device, grant, device };
  expect((await openSession(world, own)).status).toBe(403);
  expect((await openSession(world, own, { activationCode: "another" })).status).toBe(403);
  passTime(ACTIVATION_MS + 1_000);
  await world.connect();
  expect((await openSession(world, own, { activationCode: code })).status).toBe(403);
  vi.useRealTimers();
  expect((await openSession(world, own, { activationCode: code })).status).toBe(200);
  // Used: from here on the device token is asked for.
  expect(await openSession(world, own, { activationCode: code })).toMatchObject({ status: 403, code: "token-missing" });
});

test("[GR2] allowed anew with less access: what the wider grant opened ends", async () => {
  const { world, connector, device } = await allowed();
  const { session } = await openSession(world, device);
  const { closed } = await stream(world, connector, session ?? "");
  const waiting = await askOwner(world, device.device);
  const grant = await grantFor(world, waiting, { access: "look" });
  await world.room.allow({ account: world.person.id, request: waiting.request, code: waiting.digits, signed: grant.signed });
  expect((await closed).code).toBe(4401);
  expect(await status(world, session)).toBe(401);
  const opened = await openSession(world, { ...device, grant: grant.id });
  expect(opened.status).toBe(200);
  expect((await sessionsOf(world)).map((row) => row.access)).toEqual(["look"]);
});

test("[SE1] a body without a length that goes on and on is not read on", async () => {
  const { world } = await allowed();
  let pulled = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled += 1;
      controller.enqueue(new Uint8Array(64 * 1024));
      if (pulled > 1_000) controller.close();
    },
  });
  for (const path of ["api/challenge", "api/session"]) {
    pulled = 0;
    const request = new Request(`${world.origin}/.gatehouse/${path}`, { method: "POST", body: path === "api/challenge" ? endless : new Blob(["x".repeat(20_000)]).stream(), headers: { origin: world.origin, "cf-connecting-ip": randomAddress() } }); // prettier-ignore
    expect((await handle(request, env)).status).toBe(413);
    expect(pulled).toBeLessThan(10);
  }
  expect(await sendSession(world, { signed: { statement: "A".repeat(20_000), signature: "A".repeat(86) } })).toMatchObject({ status: 413 });
});
