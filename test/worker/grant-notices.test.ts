/** What the owner's devices hear of grants, and what a grant's way through the gateway's machine looks like at the door and in the dashboard. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { activationHash, deviceId, grantId } from "../../src/core/trust/digests.ts";
import type { Decided } from "../../src/worker/room/rpc.ts";
import type { InboxMessage, Notice } from "../../src/protocol/api.ts";
import { ACTIVATION_MS, PROPOSAL_WAIT_MS } from "../../src/protocol/limits.ts";
import type { LinkResult } from "../../src/protocol/link-messages.ts";
import { grantBytes, newDevice } from "../support/fake-device.ts";
import { allowedDevice, ask, askOwner, config, dump, env, grantFor, newGateway, newPerson, openSession } from "./world.ts";
import type { FakeConnector, GatewayWorld, WaitingDevice } from "./world.ts";

afterEach(() => {
  vi.useRealTimers();
});

/** A dashboard of the account that is open. */
async function dashboard(world: GatewayWorld) {
  const cookie = await world.person.cookie("app");
  const answered = await ask(`${config.appOrigin}/api/inbox`, { cookie, headers: { upgrade: "websocket" } });
  const ws = answered.webSocket;
  if (ws === null) throw new Error(`inbox refused: ${answered.status}`);
  const seen: InboxMessage[] = [];
  const waiting: (() => void)[] = [];
  ws.addEventListener("message", ({ data }) => {
    seen.push(JSON.parse(String(data)) as InboxMessage);
    for (const wake of waiting.splice(0)) wake();
  });
  ws.accept();
  const next = async <T extends InboxMessage["type"]>(type: T): Promise<Extract<InboxMessage, { type: T }>> => {
    for (;;) {
      const at = seen.findIndex((message) => message.type === type);
      if (at >= 0) return seen.splice(at, 1)[0] as Extract<InboxMessage, { type: T }>;
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  };
  return { cookie, next };
}

async function noticesOf(world: GatewayWorld): Promise<readonly Notice[]> {
  const cookie = await world.person.cookie("app");
  return (await (await ask(`${config.appOrigin}/api/requests`, { cookie })).json<{ notices: Notice[] }>()).notices;
}

async function gatewayView(world: GatewayWorld) {
  const cookie = await world.person.cookie("app");
  const answered = await ask(`${config.appOrigin}/api/gateways/${world.gateway}`, { cookie });
  return answered.json<{
    gateway: { alarm: unknown; clockAheadMs: number | null; machineFaults: string[] };
    devices: { id: string; state: string; needsHost: boolean }[];
  }>();
}

/** The owner's decision over HTTP, with the connector's answer to it. */
async function decide(
  world: GatewayWorld,
  connector: FakeConnector,
  waiting: WaitingDevice,
  result: Partial<LinkResult>,
): Promise<Decided> {
  const grant = await grantFor(world, waiting);
  const url = `${config.approveOrigin}/api/decisions/${world.gateway}/requests/${waiting.request}/allow`;
  const body = { code: waiting.digits, signed: grant.signed };
  const answered = ask(url, { method: "POST", cookie: await world.person.cookie("approve"), body });
  const message = await connector.next("grant");
  connector.send({ type: "result", id: message.id, ok: true, ...result });
  return (await answered).json<Decided>();
}

test("[NT1] every open dashboard hears of a grant, with the name of the passkey; it stays in the inbox for those that are closed", async () => {
  const world = await newGateway();
  const connector = await world.connect({ answer: false });
  const boards = await Promise.all([dashboard(world), dashboard(world)]);
  const stranger = await newGateway();
  const waiting = await askOwner(world);
  expect((await decide(world, connector, waiting, {})).outcome).toBe("applied");
  const device = await deviceId(world.gateway, waiting.device.key);
  const expected = { device, name: "Phone", access: "full", kind: "ask", state: "granted", by: "First passkey", gatewayName: "Home" };
  for (const board of boards) expect((await board.next("notice")).notice).toMatchObject(expected);
  expect(await noticesOf(world)).toEqual([expect.objectContaining(expected)]);
  expect(await noticesOf(stranger)).toEqual([]);
});

test("[NT1] a grant on the owner's own device is told as well, and an inbox that missed it hears of it at the next look", async () => {
  const world = await newGateway();
  const { key } = await newDevice();
  const bytes = await grantBytes(world.gateway, key, Date.now(), { kind: "owner", request: null, activation: await activationHash("c") });
  const signed = await world.person.authenticator.sign("grant", bytes);
  await ask(`${config.approveOrigin}/api/decisions/${world.gateway}/owner`, { method: "POST", cookie: await world.person.cookie("approve"), body: { signed } }); // prettier-ignore
  const [notice] = await noticesOf(world);
  expect(notice).toMatchObject({ id: await grantId(bytes), kind: "owner", state: "granted", by: "First passkey" });
  await runInDurableObject(env.INBOX.getByName(world.person.id), (_inbox, state) => state.storage.sql.exec("DELETE FROM notices"));
  expect(await noticesOf(world)).toEqual([]);
  const board = await dashboard(world);
  await gatewayView(world);
  expect((await board.next("notice")).notice).toEqual(notice);
});

test("[NT2] Keep answers everywhere and is recorded; access was there before and stays", async () => {
  const world = await newGateway();
  await world.connect();
  const board = await dashboard(world);
  const allowed = await allowedDevice(world);
  await board.next("notice");
  expect((await openSession(world, allowed)).status).toBe(200);
  const keep = `${config.appOrigin}/api/gateways/${world.gateway}/devices/${allowed.id}/keep`;
  expect((await ask(keep, { method: "POST", cookie: board.cookie })).status).toBe(200);
  expect(await board.next("notice-gone")).toMatchObject({ gateway: world.gateway, id: allowed.grant });
  expect(await noticesOf(world)).toEqual([]);
  // A second press, or one on a page that is behind.
  expect((await ask(keep, { method: "POST", cookie: board.cookie })).status).toBe(200);
  const lines = await world.room.auditLines({ account: world.person.id, from: 0, isExport: false });
  if (!lines.ok) throw new Error("no audit");
  expect(lines.value.filter((line) => line.includes('"device-kept"'))).toHaveLength(1);
  expect((await gatewayView(world)).devices[0]?.state).toBe("allowed");
});

test("[NT2] cutting the device is the other answer; a new grant asks anew", async () => {
  const world = await newGateway();
  await world.connect();
  const allowed = await allowedDevice(world);
  await world.room.cut({ account: world.person.id, device: allowed.id });
  expect(await noticesOf(world)).toEqual([]);
  const waiting = await askOwner(world, allowed.device);
  const again = await grantFor(world, waiting, { access: "look" });
  await world.room.allow({ account: world.person.id, request: waiting.request, code: waiting.digits, signed: again.signed });
  expect(await noticesOf(world)).toEqual([expect.objectContaining({ id: again.id, access: "look" })]);
});

test("[NT2] unanswered, the question stays after a day; it goes with the device's access", async () => {
  const world = await newGateway();
  await world.connect();
  const dayMs = 86_400_000;
  const waiting = await askOwner(world);
  const grant = await grantFor(world, waiting, { notAfterMs: Date.now() + 3 * dayMs });
  await world.room.allow({ account: world.person.id, request: waiting.request, code: waiting.digits, signed: grant.signed });
  await runDurableObjectAlarm(world.room);
  vi.useFakeTimers({ now: Date.now() + 2 * dayMs, toFake: ["Date"] });
  await runDurableObjectAlarm(world.room);
  expect(await noticesOf(world)).toHaveLength(1);
  expect((await gatewayView(world)).devices[0]?.state).toBe("allowed");
  vi.setSystemTime(Date.now() + dayMs);
  await runDurableObjectAlarm(world.room);
  expect(await noticesOf(world)).toEqual([]);
});

test("[NT2] [case 40] nobody else answers for a device, nor from another origin", async () => {
  const world = await newGateway();
  await world.connect();
  const allowed = await allowedDevice(world);
  await runDurableObjectAlarm(world.room);
  const [own, theirs] = [await world.person.cookie("app"), await (await newPerson()).cookie("app")];
  const keep = `${config.appOrigin}/api/gateways/${world.gateway}/devices/${allowed.id}/keep`;
  const before = await dump(world.room);
  expect((await ask(keep, { method: "POST", cookie: theirs })).status).toBe(404);
  expect((await ask(keep, { method: "POST" })).status).toBe(401);
  for (const origin of [world.origin, config.approveOrigin, "null"])
    expect((await ask(keep, { method: "POST", cookie: own, headers: { origin } })).status).toBe(403);
  expect(await dump(world.room)).toBe(before);
  expect(await noticesOf(world)).toHaveLength(1);
});

test("[NT3] [GR2] [case 48] an approval link made with somebody else's key: never opens, is over in two minutes on both sides, the owner is told", async () => {
  const world = await newGateway();
  const connector = await world.connect();
  const attacker = await newDevice();
  const device = await deviceId(world.gateway, attacker.key);
  const bytes = await grantBytes(world.gateway, attacker.key, Date.now(), { kind: "owner", request: null, activation: await activationHash("victim's code") }); // prettier-ignore
  const signed = await world.person.authenticator.sign("grant", bytes);
  expect(await world.room.ownerGrant({ account: world.person.id, signed })).toMatchObject({ ok: true, value: { outcome: "applied" } });
  const theirs = { id: device, grant: await grantId(bytes), device: attacker };
  expect(await openSession(world, theirs)).toMatchObject({ status: 403, code: "not-allowed", session: null });
  expect((await openSession(world, theirs, { activationCode: "guessed" })).status).toBe(403);
  const board = await dashboard(world);
  vi.useFakeTimers({ now: Date.now() + ACTIVATION_MS, toFake: ["Date"] });
  await runDurableObjectAlarm(world.room);
  expect(await connector.next("cut")).toMatchObject({ device });
  expect((await board.next("notice")).notice).toMatchObject({ device, state: "lapsed" });
  expect((await gatewayView(world)).devices).toEqual([expect.objectContaining({ id: device, state: "cut" })]);
  // Even with the right code: too late.
  expect((await openSession(world, theirs, { activationCode: "victim's code" })).status).toBe(403);
  expect(await noticesOf(world)).toHaveLength(1);
  expect(await world.room.keepDevice({ account: world.person.id, device })).toEqual({ ok: true, value: null });
  expect(await noticesOf(world)).toEqual([]);
});

test("[NT3] a same-device grant whose code came in time goes on", async () => {
  const world = await newGateway();
  await world.connect();
  const own = await newDevice();
  const bytes = await grantBytes(world.gateway, own.key, Date.now(), { kind: "owner", request: null, activation: await activationHash("code") }); // prettier-ignore
  await world.room.ownerGrant({ account: world.person.id, signed: await world.person.authenticator.sign("grant", bytes) });
  const device = { id: await deviceId(world.gateway, own.key), grant: await grantId(bytes), device: own };
  expect((await openSession(world, device, { activationCode: "code" })).status).toBe(200);
  vi.useFakeTimers({ now: Date.now() + ACTIVATION_MS, toFake: ["Date"] });
  await runDurableObjectAlarm(world.room);
  expect((await gatewayView(world)).devices[0]?.state).toBe("allowed");
});

test.each(["over-ceiling", "stale-head", "alarm", "bad-statement"] as const)(
  "[KL3] [KL4] [KL6] a grant that the machine refuses (%s): owner, other owner devices and door each learn why",
  async (refusal) => {
    const world = await newGateway();
    const connector = await world.connect({ answer: false });
    const waiting = await askOwner(world);
    const shown = refusal === "bad-statement" ? "other" : refusal;
    expect(await decide(world, connector, waiting, { ok: false, refusal })).toMatchObject({ outcome: "refused", refusal: shown });
    expect(await waiting.next("ended")).toEqual({ type: "ended", why: shown === "other" ? "grant-refused" : shown });
    expect(await noticesOf(world)).toEqual([expect.objectContaining({ state: "refused", refusal: shown })]);
    expect((await gatewayView(world)).devices).toEqual([]);
  },
);

test("[KL6] [LP7] [case 29] an alarm taken back without a resume stands for a day", async () => {
  const world = await newGateway();
  const connector = await world.connect();
  const board = await dashboard(world);
  expect((await gatewayView(world)).gateway.alarm).toBe(null);
  for (let i = 0; i < 2; i += 1) connector.send({ type: "alarm", alarm: "fork", atMs: 5 });
  await board.next("gateway");
  expect((await gatewayView(world)).gateway.alarm).toEqual({ kind: "fork", atMs: 5 });
  connector.send({ type: "alarm-over" });
  // A report that follows is handled after it.
  connector.send({ type: "report", report: { state: "offline" } });
  await board.next("gateway");
  expect((await gatewayView(world)).gateway.alarm).toEqual({ kind: "fork", atMs: 5 });
  vi.useFakeTimers({ now: Date.now() + PROPOSAL_WAIT_MS, toFake: ["Date"] });
  await runDurableObjectAlarm(world.room);
  expect((await gatewayView(world)).gateway.alarm).toBe(null);
  const lines = await world.room.auditLines({ account: world.person.id, from: 0, isExport: false });
  if (!lines.ok) throw new Error("no audit");
  expect(lines.value.filter((line) => line.includes('"alarm-fork"'))).toHaveLength(1);
  expect(lines.value.filter((line) => line.includes('"alarm-settled"'))).toHaveLength(1);
});

test("[KL6] the owner takes the key log out as JSON Lines; nobody else does", async () => {
  const world = await newGateway();
  const lines = Array.from({ length: 450 }, (_, seq) => JSON.stringify({ seq }));
  await runInDurableObject(world.room, (_room, state) => {
    for (const [seq, line] of lines.entries())
      state.storage.sql.exec("INSERT INTO key_log (seq, hash, line, grant_id) VALUES (?, ?, ?, NULL)", seq, `h${seq}`, line);
  });
  const url = `${config.appOrigin}/api/gateways/${world.gateway}/key-log.jsonl`;
  const answered = await ask(url, { cookie: await world.person.cookie("app") });
  expect(answered.headers.get("content-disposition")).toBe(`attachment; filename="gatehouse-key-log-${world.gateway}.jsonl"`);
  expect(answered.headers.get("cache-control")).toBe("no-store");
  expect(await answered.text()).toBe(`${lines.join("\n")}\n`);
  expect((await ask(url, { cookie: await (await newPerson()).cookie("app") })).status).toBe(404);
  expect((await ask(url)).status).toBe(401);
});

test("[case 17] a machine whose clock is off says so in the dashboard, until it is right again", async () => {
  const world = await newGateway();
  const connector = await world.connect();
  const shown = async (): Promise<number | null> => (await gatewayView(world)).gateway.clockAheadMs;
  expect(await shown()).toBe(null);
  connector.send({ type: "report", report: { state: "online", clockAheadMs: 86_400_000 } });
  await expect.poll(shown).toBe(86_400_000);
  connector.send({ type: "report", report: { state: "online" } });
  await expect.poll(shown).toBe(null);
});

test("[MA6] the owner's page gets the faults of the machine, as codes", async () => {
  const world = await newGateway();
  const connector = await world.connect();
  const shown = async (): Promise<string[]> => (await gatewayView(world)).gateway.machineFaults;
  expect(await shown()).toEqual([]);
  // A word of a later version is left out.
  connector.send({ type: "report", report: { state: "online", machine: ["disk-full", "too-hot" as never] } });
  await expect.poll(shown).toEqual(["disk-full"]);
  connector.send({ type: "report", report: { state: "online" } });
  await expect.poll(shown).toEqual([]);
});
