/** Devices at the door: who may wait, how long, and what a flood of them cannot do. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { deviceId } from "../../src/core/trust/digests.ts";
import {
  MAX_NEW_REQUESTS_PER_ADDRESS,
  MAX_UNPROVEN_PER_ADDRESS,
  MAX_UNPROVEN_WAITS,
  NEW_REQUESTS_MS,
  REQUEST_SILENCE_MS,
  WAIT_PROOF_MS,
} from "../../src/protocol/limits.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import type { RequestRow } from "../../src/worker/room/storage/rows.ts";
import { newDevice } from "../support/fake-device.ts";
import { allowedDevice, ask, askOwner, config, env, grantFor, newGateway, openSession, randomAddress } from "./world.ts";
import type { GatewayWorld } from "./world.ts";
import { passTime } from "./room-clock.ts";

afterEach(() => {
  vi.useRealTimers();
});

async function arrive(world: GatewayWorld, address = randomAddress()): Promise<{ ws: WebSocket | null; response: Response }> {
  const response = await ask(`${world.origin}/.gatehouse/wait`, { headers: { upgrade: "websocket", "cf-connecting-ip": address } });
  response.webSocket?.accept();
  return { ws: response.webSocket, response };
}

function closing(ws: WebSocket | null): Promise<{ code: number; reason: string }> {
  return new Promise((resolve) => ws?.addEventListener("close", ({ code, reason }) => resolve({ code, reason })));
}

async function cards(world: GatewayWorld): Promise<{ id: string; device: string }[]> {
  const answered = await ask(`${new URL(world.origin).protocol}//localhost:8787/api/requests`, {
    cookie: await world.person.cookie("app"),
  });
  const { requests }: { requests: { id: string; device: string; gateway: string }[] } = await answered.json();
  return requests.filter((card) => card.gateway === world.gateway);
}

const requestsOf = (world: GatewayWorld): Promise<RequestRow[]> =>
  runInDurableObject(world.room, (_room, state) => new RoomStorage(state.storage).all<RequestRow>("requests"));

test("[RQ5] [case 25] an upgrade and then silence: closed at five seconds by the alarm, and the place is free again", async () => {
  const world = await newGateway();
  const silent = [];
  for (let i = 0; i < MAX_UNPROVEN_WAITS; i += 1) silent.push((await arrive(world)).ws);
  const refused = await arrive(world);
  expect([refused.response.status, Number(refused.response.headers.get("retry-after")) > 0]).toEqual([429, true]);
  passTime(WAIT_PROOF_MS - 1_000);
  await runDurableObjectAlarm(world.room);
  expect(silent.every((ws) => ws?.readyState === WebSocket.OPEN)).toBe(true);
  const ended = silent.map(closing);
  passTime(WAIT_PROOF_MS);
  await runDurableObjectAlarm(world.room);
  for (const each of await Promise.all(ended)) expect(each).toEqual({ code: 1008, reason: "no proof in time" });
  expect((await askOwner(world)).digits).toMatch(/^\d{4}$/);
});

test("[RQ5] four silent sockets from one address or /64 leave room for everybody else", async () => {
  const world = await newGateway();
  for (let i = 1; i <= MAX_UNPROVEN_PER_ADDRESS; i += 1) expect((await arrive(world, `2a00:1450:4001:830::${i}`)).ws).not.toBe(null);
  expect((await arrive(world, "2a00:1450:4001:830:ffff::1")).response.status).toBe(429);
  expect((await arrive(world, "2a00:1450:4001:831::1")).ws).not.toBe(null);
});

test("[RQ5] two messages without a proof, and none that overtakes its check", async () => {
  const world = await newGateway();
  const garbage = await arrive(world);
  const over = closing(garbage.ws);
  garbage.ws?.send("{}");
  expect(await over).toEqual({ code: 1008, reason: "bad message" });
  const device = await newDevice();
  const wrong = { type: "ask", signed: await device.ask({ gateway: world.gateway, origin: world.origin, roomNonce: "A".repeat(43) }), claims: { name: "", platform: "", browser: "" } }; // prettier-ignore
  const guessing = await arrive(world);
  const ended = closing(guessing.ws);
  for (let i = 0; i < 3; i += 1) guessing.ws?.send(JSON.stringify(wrong));
  expect(await ended).toEqual({ code: 1008, reason: "too many messages" });
  expect(await requestsOf(world)).toEqual([]);
});

test("[RQ1] two of the three places from one address or /64; a neighbour elsewhere still gets the third", async () => {
  const world = await newGateway();
  const [a, b] = [await askOwner(world, undefined, "2a00:1:2:3::1"), await askOwner(world, undefined, "2a00:1:2:3::2")];
  const third = await askOwner(world, undefined, "2a00:1:2:3::3");
  expect(await third.next("busy")).toEqual({ type: "busy", limit: "address" });
  const elsewhere = await askOwner(world, undefined, "2a00:1:2:4::1");
  expect((await requestsOf(world)).map((row) => row.id)).toEqual([a.request, b.request, elsewhere.request]);
});

test("[RQ1] [case 35] ten thousand keys, each proven: three cards, in the order of their arrival, whoever refreshes; the owner hears of three", async () => {
  const world = await newGateway();
  const dashboard = await ask(`${config.appOrigin}/api/inbox`, {
    cookie: await world.person.cookie("app"),
    headers: { upgrade: "websocket" },
  });
  const announced = new Set<string>();
  dashboard.webSocket?.addEventListener("message", ({ data }) => {
    const message = JSON.parse(String(data)) as { type: string; request?: { id: string } };
    if (message.type === "request" && message.request !== undefined) announced.add(message.request.id);
  });
  dashboard.webSocket?.accept();
  const three = [await askOwner(world), await askOwner(world), await askOwner(world)];
  const order = three.map((each) => each.request);
  const strangers = 10_000;
  // The socket layer is left out: what a proven key reaches is the room's own handler.
  const answers = await runInDurableObject(world.room, async (room, state) => {
    const told = new Map<string, number>();
    const inside = room as unknown as { webSocketMessage(ws: WebSocket, data: string): Promise<void> };
    for (let i = 0; i < strangers; i += 1) {
      const { 0: client, 1: server } = new WebSocketPair();
      state.acceptWebSocket(server, ["wait"]);
      const nonce = "A".repeat(43);
      server.serializeAttachment({ kind: "wait", nonce, acceptedAtMs: Date.now(), address: randomAddress(), country: null, device: null, request: null, messages: 0 }); // prettier-ignore
      client.accept();
      const heard = new Promise<string>((resolve) =>
        client.addEventListener("message", ({ data }) => resolve((JSON.parse(String(data)) as { type: string }).type)),
      );
      const signed = await (await newDevice()).ask({ gateway: world.gateway, origin: world.origin, roomNonce: nonce });
      await inside.webSocketMessage(server, JSON.stringify({ type: "ask", signed, claims: { name: "n", platform: "p", browser: "b" } }));
      const type = await heard;
      told.set(type, (told.get(type) ?? 0) + 1);
      server.close(1000);
    }
    return [...told];
  });
  expect(answers).toEqual([["busy", strangers]]);
  const again = await askOwner(world, three[1]?.device);
  expect(again.request).toBe(order[1]);
  expect((await requestsOf(world)).map((row) => row.id)).toEqual(order);
  await expect.poll(async () => (await cards(world)).map((card) => card.id)).toEqual(order);
  await expect.poll(() => [...announced]).toEqual(order);
  // Allowing one admits that one.
  const [first] = three;
  if (first === undefined) throw new Error("no device");
  const grant = await grantFor(world, first);
  await world.room.allow({ account: world.person.id, request: first.request, code: first.digits, signed: grant.signed });
  const snapshot = await world.room.snapshot({ account: world.person.id });
  expect(snapshot.ok && snapshot.value.devices.map((device) => device.id)).toEqual([await deviceId(world.gateway, first.device.key)]);
}, 300_000);

test("[RQ1] [case 35] who asks, withdraws and asks again is told busy within the hour, and the history ends there; another address still asks", async () => {
  const world = await newGateway();
  const events = async (): Promise<number> =>
    runInDurableObject(world.room, (_room, state) => state.storage.sql.exec<{ n: number }>("SELECT count(*) AS n FROM audit").one().n);
  const again = async (): Promise<boolean> => {
    const waiting = await askOwner(world, undefined, "2a00:1:2:3::1");
    const gone = closing(waiting.ws);
    if (waiting.request === "") waiting.ws.close(1000);
    else waiting.ws.send(JSON.stringify({ type: "withdraw" }));
    await gone;
    return waiting.request !== "";
  };
  for (let i = 0; i < MAX_NEW_REQUESTS_PER_ADDRESS; i += 1) expect(await again()).toBe(true);
  const before = await events();
  for (let i = 0; i < 5; i += 1) expect(await again()).toBe(false);
  expect(await events()).toBe(before);
  expect((await askOwner(world)).digits).toMatch(/^\d{4}$/);
  passTime(NEW_REQUESTS_MS + 1);
  expect(await again()).toBe(true);
});

test("[RQ2] [case 16] the alarm twice, ten minutes late, after an eviction: the request ends once, and only the silent one", async () => {
  const world = await newGateway();
  const gone = await askOwner(world);
  gone.ws.close();
  await expect.poll(async () => (await cards(world)).length).toBe(1);
  passTime(REQUEST_SILENCE_MS + 10 * 60_000);
  await evictDurableObject(world.room);
  const later = await askOwner(world);
  await runInDurableObject(world.room, (_room, state) => state.storage.setAlarm(Date.now()));
  await runDurableObjectAlarm(world.room);
  await runInDurableObject(world.room, (_room, state) => state.storage.setAlarm(Date.now()));
  await runDurableObjectAlarm(world.room);
  expect((await requestsOf(world)).map((row) => row.id)).toEqual([later.request]);
  const { results } = await env.DB.prepare("SELECT outcome FROM pairing_requests WHERE id = ?").bind(gone.request).all(); // prettier-ignore
  expect(results).toEqual([{ outcome: "expired" }]);
});

test("[RQ4] a blocked key asks for nothing more, and what it had open ends", async () => {
  const world = await newGateway();
  await world.connect();
  const device = await allowedDevice(world);
  const { session } = await openSession(world, device);
  const waiting = await askOwner(world, device.device);
  expect(await world.room.deny({ account: world.person.id, request: waiting.request, block: true })).toMatchObject({ ok: true });
  const end = { why: "blocked", atMs: expect.any(Number) as number, untilMs: expect.any(Number) as number };
  expect(await waiting.next("refused")).toEqual({ type: "refused", end });
  expect((await ask(`${world.origin}/x`, { cookie: session ?? "", headers: { "sec-fetch-mode": "no-cors" } })).status).toBe(401);
  const again = await askOwner(world, device.device);
  expect(await again.next("refused")).toEqual({ type: "refused", end });
  expect(await requestsOf(world)).toEqual([]);
  const owner = await world.room.ownerGrant({ account: world.person.id, signed: (await grantFor(world, waiting)).signed });
  expect(owner).toEqual({ ok: false, failure: "grant-refused" });
  expect((await openSession(world, device)).status).toBe(403);
});

test("[MC2] [case 36] a code typed for another device's request is a wrong try there and allows nobody", async () => {
  const world = await newGateway();
  await world.connect();
  const [a, b] = [await askOwner(world), await askOwner(world)];
  const grant = await grantFor(world, b);
  expect(await world.room.allow({ account: world.person.id, request: b.request, code: a.digits, signed: grant.signed })).toEqual({
    ok: false,
    failure: "match-code-wrong",
    triesLeft: 2,
  });
  const forB = await grantFor(world, b);
  expect(await world.room.allow({ account: world.person.id, request: a.request, code: a.digits, signed: forB.signed })).toEqual({
    ok: false,
    failure: "grant-refused",
  });
  expect(await world.room.snapshot({ account: world.person.id })).toMatchObject({ value: { devices: [], waitingCount: 2 } });
});

test("[ID2] [case 36] the same key with other access is another request: an approval of the old one is void", async () => {
  const world = await newGateway();
  await world.connect();
  const device = await newDevice();
  const look = { ...device, ask: (body: Parameters<typeof device.ask>[0]) => device.ask({ ...body, access: "look" }) };
  const narrow = await askOwner(world, look);
  const signed = await grantFor(world, narrow, { access: "look" });
  const wide = await askOwner(world, device);
  expect(wide.request).not.toBe(narrow.request);
  expect(await narrow.next("ended")).toEqual({ type: "ended", why: "replaced" });
  const input = { account: world.person.id, request: narrow.request, code: narrow.digits, signed: signed.signed };
  expect(await world.room.allow(input)).toEqual({ ok: false, failure: "request-over" });
  // And a narrow request never yields a wide grant.
  const other = await newDevice();
  const third = await askOwner(world, { ...other, ask: (body) => other.ask({ ...body, access: "look" }) });
  const wider = await grantFor(world, third, { access: "full" });
  expect(await world.room.allow({ account: world.person.id, request: third.request, code: third.digits, signed: wider.signed })).toEqual({
    ok: false,
    failure: "grant-refused",
  });
});

test("[GR2] sixty owners' tabs press Allow at once: one decision, one grant, one line of history", async () => {
  const world = await newGateway();
  await world.connect();
  const waiting = await askOwner(world);
  const grant = await grantFor(world, waiting);
  const input = { account: world.person.id, request: waiting.request, code: waiting.digits, signed: grant.signed };
  const results = await Promise.all(Array.from({ length: 60 }, () => world.room.allow(input)));
  expect(results.filter((result) => result.ok)).toHaveLength(1);
  for (const result of results) if (!result.ok) expect(result.failure).toBe("request-over");
  await runDurableObjectAlarm(world.room);
  const audit = await env.DB.prepare("SELECT count(*) AS n FROM audit_events WHERE gateway_id = ? AND action = 'allow'").bind(world.gateway).first(); // prettier-ignore
  expect(audit).toEqual({ n: 1 });
});

test("[RQ1] a device has at most four waiting pages, all with its one request", async () => {
  const world = await newGateway();
  const first = await askOwner(world);
  for (let i = 0; i < 3; i += 1) expect((await askOwner(world, first.device)).request).toBe(first.request);
  expect(await (await askOwner(world, first.device)).next("error")).toEqual({ type: "error", code: "too-many" });
});
