/** What ends by time, what is owed, and what a room does when D1, its alarm or its gateway fails it. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { CLOSE_SESSION_OVER } from "../../src/protocol/close-codes.ts";
import { FLAG_FIN, FLAG_TEXT, FRAME_DATA, FRAME_OPEN, FRAME_OPENED, FRAME_RESET } from "../../src/protocol/frame.ts";
import { LINK_SILENCE_MS, REQUEST_SILENCE_MS } from "../../src/protocol/limits.ts";
import { OWNER_KEY_KEYS, encodeBody, utf8 } from "../../src/protocol/statement-encoding.ts";
import type { Room } from "../../src/worker/room/room.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import type { DeviceRow } from "../../src/worker/room/storage/rows.ts";
import { newAuthenticator } from "../support/fake-authenticator.ts";
import { allowedDevice, ask, askOwner, config, enrol, env, grantFor, newGateway, openSession } from "./world.ts";
import type { FakeConnector, GatewayWorld } from "./world.ts";
import { passTime } from "./room-clock.ts";
import { expectFailures } from "./expected-failures.ts";

afterEach(() => {
  vi.useRealTimers();
});

function stored<T>(world: GatewayWorld, work: (storage: RoomStorage, state: DurableObjectState) => T): Promise<T> {
  return runInDurableObject(world.room, (_room, state) => work(new RoomStorage(state.storage), state));
}

async function alarm(world: GatewayWorld): Promise<void> {
  await stored(world, (_storage, state) => state.storage.setAlarm(Date.now()));
  await runDurableObjectAlarm(world.room);
}

async function stream(world: GatewayWorld, connector: FakeConnector, cookie: string) {
  const answered = ask(`${world.origin}/`, { cookie, headers: { upgrade: "websocket" } });
  const open = await connector.nextFrame(FRAME_OPEN);
  connector.frame(FRAME_OPENED, 0, open.streamId, utf8('{"status":101,"headers":[]}'));
  const { webSocket: ws } = await answered;
  if (ws === null) throw new Error("no socket");
  const messages: unknown[] = [];
  ws.addEventListener("message", ({ data }) => messages.push(data));
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    ws.addEventListener("close", ({ code, reason }) => resolve({ code, reason })),
  );
  ws.accept();
  return { ws, id: open.streamId, closed, messages };
}

test.each(["the session", "the grant"])(
  "[ST7] [case 26] when %s is over mid-stream: 4401 by the alarm, and no further frame either way",
  async (what) => {
    const world = await newGateway();
    const connector = await world.connect();
    const waiting = await askOwner(world);
    const endMs = Date.now() + 59_000;
    const grant = await grantFor(world, waiting, what === "the grant" ? { notAfterMs: endMs } : {});
    await world.room.allow({ account: world.person.id, request: waiting.request, code: waiting.digits, signed: grant.signed });
    const device = await stored(world, (storage) => storage.all<DeviceRow>("devices")[0]?.id ?? "");
    const { session } = await openSession(world, { id: device, grant: grant.id, device: waiting.device }, { changes: { expMs: endMs } });
    const { ws, id, closed, messages } = await stream(world, connector, session ?? "");
    passTime(60_001);
    await runInDurableObject(world.room, async (room, state) => {
      const [server] = state.getWebSockets("stream");
      // The frame that comes before the alarm, from a browser that does not know the time.
      if (server !== undefined) await (room as unknown as Room).webSocketMessage(server, "late");
    });
    connector.frame(FRAME_DATA, FLAG_FIN | FLAG_TEXT, id, utf8("late"));
    await runDurableObjectAlarm(world.room);
    expect((await closed).code).toBe(CLOSE_SESSION_OVER);
    expect((await connector.nextFrame(FRAME_RESET)).streamId).toBe(id);
    expect(messages).toEqual([]);
    expect(ws.readyState).not.toBe(WebSocket.OPEN);
    expect((await ask(`${world.origin}/x`, { cookie: session ?? "", headers: { "sec-fetch-mode": "no-cors" } })).status).toBe(401);
  },
);

test("[GR3] when a grant is over its device is expired for the owner and unknown at the door, whatever its token", async () => {
  const world = await newGateway();
  await world.connect();
  const device = await allowedDevice(world);
  const { token } = await openSession(world, device);
  passTime(3_600_001);
  await world.connect();
  expect(await openSession(world, device, { token })).toMatchObject({ status: 403, session: null });
  expect(await world.room.snapshot({ account: world.person.id })).toMatchObject({ value: { devices: [{ state: "expired" }] } });
  const answered = await ask(`${world.origin}/.gatehouse/api/challenge`, { method: "POST", body: { key: device.device.key } });
  expect(await answered.json()).toMatchObject({ standing: "unknown", grant: null, connector: null });
});

test("[case 15] an alarm that fails, again and again: it is armed again, and what does not fail happens all the same", async () => {
  expectFailures("alarm-expiry");
  const world = await newGateway();
  const connector = await world.connect();
  const device = await allowedDevice(world);
  const { session } = await openSession(world, device);
  const { closed } = await stream(world, connector, session ?? "");
  await stored(world, (_storage, state) => state.storage.sql.exec("ALTER TABLE requests RENAME TO requests_away"));
  passTime(60_001);
  for (let i = 0; i < 7; i += 1) {
    await alarm(world);
    expect(await stored(world, (_storage, state) => state.storage.getAlarm())).not.toBe(null);
  }
  expect((await closed).code).toBe(CLOSE_SESSION_OVER);
  await stored(world, (_storage, state) => {
    state.storage.sql.exec("DROP TABLE IF EXISTS requests");
    state.storage.sql.exec("ALTER TABLE requests_away RENAME TO requests");
  });
  const waiting = await askOwner(world);
  passTime(REQUEST_SILENCE_MS + 60_001);
  waiting.ws.close();
  await stored(world, (storage) =>
    storage.put("requests", waiting.request, { ...storage.get<object>("requests", waiting.request), lastSeenMs: 0 }),
  );
  await alarm(world);
  expect(await stored(world, (storage) => storage.all("requests"))).toEqual([]);
});

test("[case 16] the alarm twice at the same time, and with nothing to do, changes nothing twice", async () => {
  const world = await newGateway();
  await world.connect();
  const device = await allowedDevice(world);
  await Promise.all([alarm(world), alarm(world)]);
  await alarm(world);
  const rows = await env.DB.prepare("SELECT action, count(*) AS n FROM audit_events WHERE device_id = ? GROUP BY action HAVING n > 1").bind(device.id).all(); // prettier-ignore
  expect(rows.results).toEqual([]);
  expect(await stored(world, (storage) => storage.outbox(10))).toEqual([]);
});

test("[CUT1] a removed gateway: sockets end, the waiting page hears it, the card goes, storage and alarm are empty, nothing answers", async () => {
  const world = await newGateway();
  const connector = await world.connect();
  const device = await allowedDevice(world);
  const { session } = await openSession(world, device);
  const { closed } = await stream(world, connector, session ?? "");
  const waiting = await askOwner(world);
  const cookie = await world.person.cookie("app");
  const waits = async (): Promise<number> => {
    const answered = await ask(`${config.appOrigin}/api/requests`, { cookie });
    return (await answered.json<{ requests: unknown[] }>()).requests.length;
  };
  await expect.poll(waits).toBe(1);
  expect((await ask(`${config.appOrigin}/api/gateways/${world.gateway}`, { method: "DELETE", cookie })).status).toBe(200);
  expect(await waiting.next("ended")).toEqual({ type: "ended", why: "withdrawn" });
  expect([4403, 4502]).toContain((await closed).code);
  expect((await connector.closed).code).toBe(4410);
  await expect.poll(waits).toBe(0);
  expect(await runInDurableObject(world.room, (_room, state) => state.storage.getAlarm())).toBe(null);
  expect(await world.room.snapshot({ account: world.person.id })).toEqual({ ok: false, failure: "not-found" });
  expect(await enrol(world, world.key)).toMatchObject({ ok: false });
  expect((await ask(`${world.origin}/x`, { cookie: session ?? "", headers: { "sec-fetch-mode": "no-cors" } })).status).toBe(404);
  expect((await ask(`${world.origin}/.gatehouse/wait`, { headers: { upgrade: "websocket" } })).status).toBe(404);
  for (const table of ["gateways", "devices", "device_tokens", "grants", "connectors"]) {
    const column = table === "gateways" ? "id" : "gateway_id";
    expect((await env.DB.prepare(`SELECT * FROM ${table} WHERE ${column} = ?`).bind(world.gateway).all()).results, table).toEqual([]);
  }
  const told = await env.DB.prepare("SELECT action FROM audit_events WHERE gateway_id = ? AND action = 'gateway-removed'").bind(world.gateway).all(); // prettier-ignore
  expect(told.results).toHaveLength(1);
  expect((await ask(`${config.appOrigin}/api/gateways/${world.gateway}`, { method: "DELETE", cookie })).status).toBe(404);
});

test("[LINK7] what is owed is sent after every ack until its result came, in the order of the decisions, and applied once", async () => {
  const world = await newGateway();
  const [a, b] = [await askOwner(world), await askOwner(world)];
  const grants = [await grantFor(world, a), await grantFor(world, b)];
  await world.room.allow({ account: world.person.id, request: a.request, code: a.digits, signed: grants[0]?.signed ?? never() });
  await world.room.allow({ account: world.person.id, request: b.request, code: b.digits, signed: grants[1]?.signed ?? never() });
  for (let i = 0; i < 2; i += 1) {
    const silent = await world.connect({ answer: false });
    expect([(await silent.next("grant")).grant, (await silent.next("grant")).grant]).toEqual(grants.map((grant) => grant.id));
    silent.ws.close(1001);
    await silent.closed;
  }
  const connector = await world.connect();
  expect([(await connector.next("grant")).grant, (await connector.next("grant")).grant]).toEqual(grants.map((grant) => grant.id));
  await expect.poll(() => stored(world, (storage) => storage.owed())).toEqual([]);
  await alarm(world);
  const audits = await env.DB.prepare("SELECT count(*) AS n FROM audit_events WHERE gateway_id = ? AND action = 'grant-applied'").bind(world.gateway).first(); // prettier-ignore
  expect(audits).toEqual({ n: 2 });
  const after = await world.connect({ answer: false });
  after.send({ type: "report", report: { state: "online" } });
  await expect
    .poll(() => stored(world, (storage) => storage.all<DeviceRow>("devices").map((row) => row.state)))
    .toEqual(["allowed", "allowed"]);
});

function never(): never {
  throw new Error("unreachable");
}

test("[LINK7] a result that comes after the room slept settles what was owed", async () => {
  const world = await newGateway();
  const waiting = await askOwner(world);
  const grant = await grantFor(world, waiting);
  await world.room.allow({ account: world.person.id, request: waiting.request, code: waiting.digits, signed: grant.signed });
  const connector = await world.connect({ answer: false });
  const { id } = await connector.next("grant");
  await evictDurableObject(world.room);
  connector.send({ type: "result", id, ok: true });
  await expect
    .poll(() => stored(world, (storage) => [storage.owed().length, storage.all<DeviceRow>("devices")[0]?.state]))
    .toEqual([0, "allowed"]);
});

test("[LINK7] [CUT2] a cut that the connector could not do stays owed; both who ask for it at once are answered", async () => {
  const world = await newGateway();
  const first = await world.connect();
  const device = await allowedDevice(world);
  const connector = await world.connect({ answer: false });
  await first.closed;
  const both = [
    world.room.cut({ account: world.person.id, device: device.id }),
    world.room.cut({ account: world.person.id, device: device.id }),
  ];
  const { id } = await connector.next("cut");
  await connector.next("cut");
  connector.send({ type: "result", id, ok: false, refusal: "internal" });
  for (const receipt of await Promise.all(both)) expect(receipt).toMatchObject({ ok: true, value: { gateway: { state: "pending" } } });
  expect(await stored(world, (storage) => storage.owed().map((each) => each.type))).toEqual(["cut"]);
  const again = await world.connect();
  expect((await again.next("cut")).device).toBe(device.id);
  await expect
    .poll(() => world.room.receipt({ account: world.person.id, device: device.id }))
    .toMatchObject({ value: { gateway: { state: "done" } } });
});

test("[LINK7] [OS1] one more owner key: only with a pinned key's signature, owed to a gateway that is away, and it decides from then on", async () => {
  const world = await newGateway();
  const [second, stranger] = [await newAuthenticator(config.approveOrigin), await newAuthenticator(config.approveOrigin)];
  const body = (account: string, key = second.ownerKey): Uint8Array<ArrayBuffer> =>
    encodeBody({ v: 1, account, ...key, issuedAtMs: Date.now() }, OWNER_KEY_KEYS);
  const account = world.person.id;
  for (const signed of [
    await stranger.sign("owner-key", body(account)),
    await second.sign("owner-key", body(account)),
    await world.person.authenticator.sign("login", body(account)),
    await world.person.authenticator.sign("owner-key", body("a".repeat(26))),
  ])
    expect(await world.room.addOwnerKey({ account, signed })).toEqual({ ok: false, failure: "grant-refused" });
  expect(await stored(world, (storage) => [storage.ownerKeys().length, storage.owed().length])).toEqual([1, 0]);
  await world.room.addOwnerKey({ account, signed: await world.person.authenticator.sign("owner-key", body(account)) });
  expect(await stored(world, (storage) => [storage.ownerKeys().length, storage.owed().length])).toEqual([2, 1]);
  const connector = await world.connect();
  await connector.next("owner-key");
  await expect.poll(() => stored(world, (storage) => storage.owed().length)).toBe(0);
  const waiting = await askOwner(world);
  const { bytes } = await grantFor(world, waiting);
  const signed = await second.sign("grant", bytes);
  expect(await world.room.allow({ account, request: waiting.request, code: waiting.digits, signed })).toMatchObject({
    ok: true,
    value: { outcome: "applied" },
  });
});

test("[GR4] [case 13] [case 14] with D1 away for good, allowed devices renew, decisions commit, cuts cut; afterwards everything arrives once and in order", async () => {
  expectFailures("outbox");
  const world = await newGateway();
  const connector = await world.connect();
  const device = await allowedDevice(world);
  await alarm(world);
  const { results: tables } = await env.DB.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('devices', 'grants', 'device_tokens', 'audit_events', 'pairing_requests', 'gateways', 'passkeys')").all<{ name: string }>(); // prettier-ignore
  expect(tables).toHaveLength(7);
  for (const { name } of tables) await env.DB.exec(`ALTER TABLE ${name} RENAME TO ${name}_away`);
  const { token, session } = await openSession(world, device);
  const { ws } = await stream(world, connector, session ?? "");
  ws.send("still here");
  await connector.nextFrame(FRAME_DATA);
  const other = await allowedDevice(world);
  await alarm(world);
  expect((await openSession(world, device, { token })).status).toBe(200);
  expect(await world.room.cut({ account: world.person.id, device: other.id })).toMatchObject({
    ok: true,
    value: { gateway: { state: "done" } },
  });
  expect(await stored(world, (storage) => storage.outbox(100).length)).toBeGreaterThan(5);
  for (const { name } of tables) await env.DB.exec(`ALTER TABLE ${name}_away RENAME TO ${name}`);
  await alarm(world);
  await alarm(world);
  expect(await stored(world, (storage) => storage.outbox(100))).toEqual([]);
  const states = await env.DB.prepare("SELECT id, state FROM devices WHERE gateway_id = ? ORDER BY created_at_ms").bind(world.gateway).all(); // prettier-ignore
  expect(states.results).toEqual([{ id: device.id, state: "allowed" }, { id: other.id, state: "cut" }]); // prettier-ignore
  const { results: history } = await env.DB.prepare("SELECT action FROM audit_events WHERE device_id = ? ORDER BY rowid").bind(other.id).all<{ action: string }>(); // prettier-ignore
  expect(history.map((each) => each.action)).toEqual(["asked", "allow", "request-allowed", "grant-applied", "cut", "cut-done-on-gateway"]); // prettier-ignore
});

test("[LINK5] a connector that says nothing to a question is gone: the page is told, the link ends", async () => {
  const world = await newGateway();
  const first = await world.connect();
  const device = await allowedDevice(world);
  const mute = await world.connect({ answer: false });
  await first.closed;
  const answered = ask(`${world.origin}/.gatehouse/api/challenge`, { method: "POST", body: { key: device.device.key } });
  await mute.next("nonce-request");
  passTime(LINK_SILENCE_MS + 1);
  await runDurableObjectAlarm(world.room);
  expect(await (await answered).json()).toMatchObject({ gatewayState: "no-link", connector: null });
  expect((await mute.closed).code).toBe(4502);
});
