import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { keyThumbprint } from "../../src/core/trust/digests.ts";
import { decodeClose } from "../../src/core/link/close-code.ts";
import { CLOSE_CUT, CLOSE_LINK_REFUSED, CLOSE_LINK_STALE, CLOSE_SUPERSEDED } from "../../src/protocol/close-codes.ts";
import { FLAG_FIN, FLAG_TEXT, FRAME_CLOSE, FRAME_DATA, FRAME_OPEN, FRAME_OPENED, FRAME_RESET } from "../../src/protocol/frame.ts";
import { utf8 } from "../../src/protocol/statement-encoding.ts";
import type { Room } from "../../src/worker/room/room.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { sealSessionCookie } from "../../src/worker/auth/session-cookie.ts";
import { grantBytes, newDevice } from "../support/fake-device.ts";
import { allowedDevice, ask, askOwner, config, env, grantFor, newGateway, newPerson } from "./world.ts";
import type { FakeConnector, GatewayWorld } from "./world.ts";
import { expectFailures } from "./expected-failures.ts";

const text = (frame: { payload: Uint8Array }): string => new TextDecoder().decode(frame.payload);

/** Puts a session into the room as an opened one, and opens a relayed WebSocket with its cookie. */
async function openStream(
  world: GatewayWorld,
  connector: FakeConnector,
  device: string,
  grant: string,
): Promise<{ ws: WebSocket; stream: number; closed: Promise<{ code: number; reason: string }>; next: () => Promise<string> }> {
  const session = `session-${crypto.randomUUID()}`;
  const expiresAtMs = Date.now() + 60_000;
  await runInDurableObject(world.room, (_room, state) => {
    new RoomStorage(state.storage).put("sessions", session, { id: session, device, grant, access: "full", expiresAtMs });
  });
  const sealed = await sealSessionCookie(env, { session, gateway: world.gateway, device, expiresAtMs }, Date.now());
  const answered = ask(`${world.origin}/`, {
    cookie: sealed.split(";", 1)[0] ?? "",
    headers: { upgrade: "websocket", "x-gatehouse-client-ip": "127.0.0.1", "x-gatehouse-access": "full" },
  });
  const open = await connector.nextFrame(FRAME_OPEN);
  expect(text(open)).not.toContain("127.0.0.1");
  expect(text(open)).not.toContain("__Host-gth");
  connector.frame(FRAME_OPENED, 0, open.streamId, utf8('{"status":101,"headers":[]}'));
  connector.frame(FRAME_DATA, FLAG_FIN | FLAG_TEXT, open.streamId, utf8("challenge"));
  const { webSocket: ws, status } = await answered;
  expect(status).toBe(101);
  if (ws === null) throw new Error("no socket");
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    ws.addEventListener("close", ({ code, reason }) => resolve({ code, reason })),
  );
  const inbox: string[] = [];
  const waiting: ((message: string) => void)[] = [];
  ws.addEventListener("message", ({ data }) => {
    const message = typeof data === "string" ? data : `binary:${(data as ArrayBuffer).byteLength}`;
    const take = waiting.shift();
    if (take === undefined) inbox.push(message);
    else take(message);
  });
  ws.binaryType = "arraybuffer";
  ws.accept();
  const next = (): Promise<string> => {
    const first = inbox.shift();
    return first === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(first);
  };
  expect(await next()).toBe("challenge");
  return { ws, stream: open.streamId, closed, next };
}

test("[LINK1] [LINK4] only the enrolled key opens the link", async () => {
  const world = await newGateway();
  const other = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  const refused = await world.connect({ signWith: other.privateKey });
  expect((await refused.closed).code).toBe(CLOSE_LINK_REFUSED);
});

test("[LINK2] a stranger replaces nobody; a proven newer link replaces the older, which is told why", async () => {
  const world = await newGateway();
  const first = await world.connect();
  const other = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  await (
    await world.connect({ signWith: other.privateKey })
  ).closed;
  expect(first.ws.readyState).toBe(WebSocket.OPEN);
  await world.connect();
  expect(await first.closed).toEqual({ code: CLOSE_SUPERSEDED, reason: "a newer connector took over" });
});

test("[LINK3] a stale generation is refused", async () => {
  const world = await newGateway();
  for (let i = 0; i < 3; i += 1) await world.connect();
  await expect
    .poll(async () => runInDurableObject(world.room, (_room, state) => new RoomStorage(state.storage).meta()?.acknowledged))
    .toBe(3);
  const stale = await world.connect({ generation: 1 });
  expect((await stale.closed).code).toBe(CLOSE_LINK_STALE);
});

test("[FR2] [case 22] a broken frame of the connector closes the link with 1002", async () => {
  const world = await newGateway();
  const connector = await world.connect();
  connector.raw(Uint8Array.of(99, 0, 0, 0, 0, 0, 0, 1));
  expect((await connector.closed).code).toBe(1002);
});

test("[ST2] [ST3] [ST5] messages, kinds, order and the close arrive as sent, also across an eviction", async () => {
  const world = await newGateway();
  const connector = await world.connect();
  const { id, grant } = await allowedDevice(world);
  const { ws, stream, closed, next } = await openStream(world, connector, id, grant);
  ws.send("hello");
  expect(text(await connector.nextFrame(FRAME_DATA))).toBe("hello");
  await evictDurableObject(world.room);
  ws.send("after sleep");
  const frame = await connector.nextFrame(FRAME_DATA);
  expect([frame.streamId, frame.flags, text(frame)]).toEqual([stream, FLAG_FIN | FLAG_TEXT, "after sleep"]);
  connector.frame(FRAME_DATA, 0, stream, new Uint8Array(100));
  connector.frame(FRAME_DATA, FLAG_FIN, stream, new Uint8Array(50));
  expect(await next()).toBe("binary:150");
  connector.frame(FRAME_CLOSE, 0, stream, Uint8Array.of(0x03, 0xf0, ...utf8("pairing required")));
  expect(await closed).toEqual({ code: 1008, reason: "pairing required" });
});

test("[ST6] a room that slept in the middle of a message ends that stream cleanly", async () => {
  const world = await newGateway();
  const connector = await world.connect();
  const { id, grant } = await allowedDevice(world);
  const { closed, stream } = await openStream(world, connector, id, grant);
  connector.frame(FRAME_DATA, 0, stream, new Uint8Array(100));
  await expect
    .poll(async () =>
      runInDurableObject(world.room, (_room, state) =>
        state.getWebSockets("stream").map((ws) => (ws.deserializeAttachment() as { holding: boolean }).holding),
      ),
    )
    .toEqual([true]);
  await evictDurableObject(world.room);
  connector.frame(FRAME_DATA, FLAG_FIN, stream, new Uint8Array(100));
  expect(await closed).toEqual({ code: 4502, reason: "device-room: room restarted" });
});

test("[CUT1] [ST7] a cut device's frames are dropped even if it ignores the close, and its streams end", async () => {
  const world = await newGateway();
  const connector = await world.connect();
  const { id, grant } = await allowedDevice(world);
  const { closed, stream } = await openStream(world, connector, id, grant);
  const receipt = await runInDurableObject(world.room, async (room, state) => {
    const [server] = state.getWebSockets("stream");
    const result = await (room as unknown as Room).cut({ account: world.person.id, device: id });
    // What a client that ignores the close would still get through: the handler, with this socket.
    if (server !== undefined) await (room as unknown as Room).webSocketMessage(server, "still here");
    return result;
  });
  expect(receipt).toMatchObject({
    ok: true,
    value: { edge: { socketsClosed: 1 }, gateway: { state: "done", entriesRemoved: 1, tookMs: 3 } },
  });
  const reset = await connector.nextFrame(FRAME_RESET);
  expect([reset.streamId, decodeClose(reset.payload)?.code]).toEqual([stream, CLOSE_CUT]);
  expect((await closed).code).toBe(CLOSE_CUT);
  // The link is in order: had the frame crossed, it would stand before this stream's.
  const other = await allowedDevice(world);
  const neighbour = await openStream(world, connector, other.id, other.grant);
  neighbour.ws.send("neighbour");
  expect(text(await connector.nextFrame(FRAME_DATA))).toBe("neighbour");
  connector.frame(FRAME_DATA, FLAG_FIN, stream, utf8("to a cut device"));
  expect(decodeClose((await connector.nextFrame(FRAME_RESET)).payload)?.reason).toBe("unknown stream");
});

test("[RQ1] [MC1] one request per key, three per gateway, all codes different; the fourth is told busy", async () => {
  const world = await newGateway();
  await world.connect();
  const three = [await askOwner(world), await askOwner(world), await askOwner(world)];
  for (const { digits, request } of three)
    expect([digits, request]).toEqual([expect.stringMatching(/^\d{4}$/), expect.stringMatching(/^[a-z2-7]{26}$/)]);
  expect(new Set(three.map((each) => each.digits)).size).toBe(3);
  const fourth = await askOwner(world);
  expect(await fourth.next("busy")).toEqual({ type: "busy", limit: "gateway" });
});

test("[RQ3] a page that comes back with the same key takes its request up again, also after an eviction", async () => {
  const world = await newGateway();
  await world.connect();
  const first = await askOwner(world);
  first.ws.close();
  await evictDurableObject(world.room);
  const again = await askOwner(world, first.device);
  expect([again.request, again.digits]).toEqual([first.request, first.digits]);
});

test("[RQ2] a request ends five minutes after its page fell silent, by alarm, once", async () => {
  const world = await newGateway();
  await world.connect();
  const waiting = await askOwner(world);
  await runInDurableObject(world.room, (_room, state) => {
    const storage = new RoomStorage(state.storage);
    const row = storage.get<{ lastSeenMs: number }>("requests", waiting.request);
    storage.put("requests", waiting.request, { ...row, lastSeenMs: Date.now() - 300_001 });
    void state.storage.setAlarm(Date.now());
  });
  await runDurableObjectAlarm(world.room);
  expect(await waiting.next("ended")).toEqual({ type: "ended", why: "expired" });
  await runDurableObjectAlarm(world.room);
  expect(await world.room.request({ account: world.person.id, request: waiting.request })).toEqual({ ok: false, failure: "request-over" });
});

test("[MC2] [case 34] the third wrong code ends the request", async () => {
  const world = await newGateway();
  await world.connect();
  const waiting = await askOwner(world);
  const wrong = waiting.digits === "1234" ? "4321" : "1234";
  const input = { account: world.person.id, request: waiting.request, code: wrong };
  expect(await world.room.checkMatchCode(input)).toMatchObject({ failure: "match-code-wrong", triesLeft: 2 });
  expect(await world.room.checkMatchCode(input)).toMatchObject({ triesLeft: 1 });
  expect(await world.room.checkMatchCode(input)).toMatchObject({ triesLeft: 0 });
  expect(await waiting.next("ended")).toEqual({ type: "ended", why: "wrong-code" });
  expect(await world.room.checkMatchCode({ ...input, code: waiting.digits })).toMatchObject({ failure: "request-over" });
});

test("[GR2] a grant for another key, another request, wider access, or signed for another purpose is refused and changes nothing", async () => {
  const world = await newGateway();
  await world.connect();
  const waiting = await askOwner(world);
  const other = await newDevice();
  const good = await grantFor(world, waiting);
  const stranger = await newPerson();
  const attacks = [
    (await world.person.authenticator.sign("grant", await grantBytes(world.gateway, other.key, Date.now(), { request: waiting.request }))),
    (await grantFor(world, waiting, { request: "b".repeat(26) })).signed,
    (await grantFor(world, waiting, { kind: "owner", request: null, activation: "A".repeat(43) })).signed,
    await world.person.authenticator.sign("login", good.bytes),
    await world.person.authenticator.sign("grant", good.bytes, { origin: config.appOrigin }),
    await stranger.authenticator.sign("grant", good.bytes),
  ]; // prettier-ignore
  for (const signed of attacks) {
    expect(await world.room.allow({ account: world.person.id, request: waiting.request, code: waiting.digits, signed })).toEqual({
      ok: false,
      failure: "grant-refused",
    });
  }
  expect(await world.room.allow({ account: stranger.id, request: waiting.request, code: waiting.digits, signed: good.signed })).toEqual({
    ok: false,
    failure: "not-found",
  });
  expect(await world.room.snapshot({ account: world.person.id })).toMatchObject({ value: { devices: [], waitingCount: 1 } });
  expect(
    await world.room.allow({ account: world.person.id, request: waiting.request, code: waiting.digits, signed: good.signed }),
  ).toMatchObject({ ok: true, value: { outcome: "applied" } });
});

test("[GR4] [LINK7] [case 28] a decision without a link waits, and is sent when the connector has acknowledged", async () => {
  const world = await newGateway();
  const waiting = await askOwner(world);
  const grant = await grantFor(world, waiting);
  expect(
    await world.room.allow({ account: world.person.id, request: waiting.request, code: waiting.digits, signed: grant.signed }),
  ).toMatchObject({ ok: true, value: { outcome: "waiting" } });
  const connector = await world.connect();
  expect((await connector.next("grant")).grant).toBe(grant.id);
  expect(await waiting.next("allowed")).toEqual({ type: "allowed", live: false });
  expect(await waiting.next("allowed")).toEqual({ type: "allowed", live: true });
});

test("[SE1] a nonce opens one session only, and the wrong device none", async () => {
  const world = await newGateway();
  await world.connect();
  const { device, id, grant } = await allowedDevice(world);
  const answered = await ask(`${world.origin}/.gatehouse/api/challenge`, { method: "POST", body: { key: device.key } });
  const challenge: { standing: string; roomNonce: string; serverTimeMs: number } = await answered.json();
  expect(challenge.standing).toBe("allowed");
  const key = await runInDurableObject(world.room, (_room, state) => new RoomStorage(state.storage).meta()?.key ?? null);
  if (key === null) throw new Error("no key");
  const body = {
    gateway: world.gateway,
    device: id,
    grant,
    origin: world.origin,
    roomNonce: challenge.roomNonce,
    connectorNonce: "A".repeat(43),
    connectorKey: await keyThumbprint(key),
    iatMs: challenge.serverTimeMs,
    expMs: challenge.serverTimeMs + 60_000,
  };
  const signed = await device.session(body);
  const open = (what: object): Promise<Response> => ask(`${world.origin}/.gatehouse/api/session`, { method: "POST", body: what });
  const results = await Promise.all(Array.from({ length: 10 }, () => open({ signed })));
  expect(results.map((result) => result.status).toSorted((a, b) => a - b)).toEqual([200, ...Array.from({ length: 9 }, () => 400)]);
  const cookies = results.find((result) => result.status === 200)?.headers.getSetCookie() ?? [];
  expect(cookies).toHaveLength(2);
  for (const cookie of cookies) expect(cookie).toMatch(/^__Host-gth_[sd]=[^;]+; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=\d+$/);
});

test("[case 13] D1 down: decisions and cuts commit in the room, and the outbox drains once when it is back", async () => {
  expectFailures("outbox");
  const world = await newGateway();
  await world.connect();
  await env.DB.exec("ALTER TABLE devices RENAME TO devices_away");
  const { id } = await allowedDevice(world);
  await world.room.cut({ account: world.person.id, device: id });
  await runDurableObjectAlarm(world.room);
  await env.DB.exec("ALTER TABLE devices_away RENAME TO devices");
  const rows = () => env.DB.prepare("SELECT state FROM devices WHERE id = ?").bind(id).all<{ state: string }>();
  expect((await rows()).results).toEqual([]);
  await runInDurableObject(world.room, (_room, state) => state.storage.setAlarm(Date.now()));
  await runDurableObjectAlarm(world.room);
  await runDurableObjectAlarm(world.room);
  expect((await rows()).results).toEqual([{ state: "cut" }]);
  const audits = await env.DB.prepare("SELECT count(*) AS n FROM audit_events WHERE device_id = ? AND action = 'cut'")
    .bind(id)
    .first<{ n: number }>();
  expect(audits?.n).toBe(1);
});
