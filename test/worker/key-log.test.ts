/** The room's copy of the key log, in workerd: heads, resync, restore from an old copy, versions of the link. */
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, expect, test } from "vitest";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import type { DeviceRow, GrantRow } from "../../src/worker/room/storage/rows.ts";
import { CLOSE_LINK_REFUSED, CLOSE_LINK_VERSION } from "../../src/protocol/close-codes.ts";
import { fromBase64url } from "../../src/protocol/statement-encoding.ts";
import { grantId } from "../../src/core/trust/digests.ts";
import { LINK_PROTOCOL, MIN_LINK_PROTOCOL } from "../../src/protocol/version.ts";
import { TestKeyLog, newLogKey } from "../support/test-key-log.ts";
import type { LogKey } from "../support/test-key-log.ts";
import { FakeConnector } from "./fake-connector.ts";
import type { ConnectorIdentity } from "./fake-connector.ts";
import { allowedDevice, ask, askOwner, config, enrol, env, grantFor, newGateway, newPerson } from "./world.ts";
import type { GatewayWorld } from "./world.ts";

const NOW = Date.now();

let world: GatewayWorld;
let key: LogKey;
let identity: ConnectorIdentity;
let log: TestKeyLog;

beforeEach(async () => {
  world = await newGateway();
  key = await newLogKey();
  identity = { key: key.key, sign: (data) => key.sign(data) };
  await enrol(world, key.key);
  log = await TestKeyLog.start({
    gateway: world.gateway,
    owner: world.person.authenticator,
    approveOrigin: config.approveOrigin,
    atMs: NOW,
    signer: key,
  });
});

function up(generation = 0): Promise<FakeConnector> {
  return FakeConnector.up(env, world.gateway, identity, generation);
}

async function acked(connector: FakeConnector): Promise<unknown> {
  for (;;) {
    const message = await connector.control.next();
    if (message.type === "log-ack") return message.head;
  }
}

/** @returns what the callback sees of the room's storage */
function inRoom<T>(look: (storage: RoomStorage) => T): Promise<T> {
  return runInDurableObject(world.room, (_room, state) => look(new RoomStorage(state.storage)));
}

async function auditActions(): Promise<string[]> {
  return inRoom((storage) => storage.outbox(1000).flatMap(({ event }) => (event.kind === "audit" ? [event.row.action] : [])));
}

test("[KL6] the room keeps what the connector wrote, says how far it came, and names that head at the next link", async () => {
  const connector = await up();
  await log.add({ type: "revoke-all", by: "host" }, NOW);
  connector.say({ type: "log", lines: log.lines });
  expect(await acked(connector)).toEqual(log.state.head);
  const next = await FakeConnector.dial(env, world.gateway);
  await next.hello(world.gateway, identity, { generation: connector.generation });
  expect((await next.welcome()).head).toEqual(log.state.head);
  const kept = await world.room.keyLog({ account: world.person.id, from: 0 });
  expect(kept).toEqual({ ok: true, value: log.lines });
});

test("[KL6] the same entries again change nothing; entries sent at once keep their order", async () => {
  const connector = await up();
  await log.add({ type: "revoke-all", by: "host" }, NOW);
  for (const line of log.lines) connector.say({ type: "log", lines: [line] });
  connector.say({ type: "log", lines: log.lines });
  for (let i = 0; i < 3; i += 1) await acked(connector);
  expect(await inRoom((storage) => storage.keyLogLines(0, 10))).toEqual(log.lines);
});

test("[KL2] [KL6] an entry of another key, gateway or place is not kept, and the owner hears of a fork", async () => {
  const connector = await up();
  connector.say({ type: "log", lines: log.lines });
  await acked(connector);
  const stranger = await TestKeyLog.start({
    gateway: world.gateway,
    owner: world.person.authenticator,
    approveOrigin: config.approveOrigin,
    atMs: NOW,
  });
  await stranger.add({ type: "revoke-all", by: "host" }, NOW);
  const forked = await TestKeyLog.start({
    gateway: world.gateway,
    owner: world.person.authenticator,
    approveOrigin: config.approveOrigin,
    atMs: NOW + 1,
    signer: key,
  });
  await forked.add({ type: "revoke-all", by: "host" }, NOW + 1);
  for (const line of [stranger.lines[1] ?? "", forked.lines[0] ?? "", forked.lines[1] ?? "", "no entry"])
    connector.say({ type: "log", lines: [line] });
  await log.add({ type: "revoke-all", by: "host" }, NOW);
  connector.say({ type: "log", lines: log.lines });
  expect(await acked(connector)).toEqual(log.state.head);
  expect((await auditActions()).filter((action) => action === "alarm-fork")).toHaveLength(4);
  expect(await inRoom((storage) => storage.keyLogLines(0, 10))).toEqual(log.lines);
});

test("[KL6] [case 46] a room restored from an old copy cuts again what the machine had revoked", async () => {
  const { id, grant } = await allowedDevice(world);
  const signed = await inRoom((storage) => storage.get<GrantRow>("grants", grant)?.signed);
  if (signed === undefined) throw new Error("no grant");
  expect(await grantId(fromBase64url(signed.statement) ?? new Uint8Array())).toBe(grant);
  await log.add({ type: "grant", signed }, NOW);
  const before = await up();
  before.say({ type: "log", lines: log.lines });
  await acked(before);
  await log.add({ type: "revoke", device: id, by: "relay" }, NOW);
  // Here the room's cut is lost with a day of its storage; the machine's log is not.
  const after = await up(before.generation);
  expect(await inRoom((storage) => storage.get<DeviceRow>("devices", id)?.state)).toBe("waiting");
  after.say({ type: "log", lines: log.lines.slice(-1) });
  await acked(after);
  expect(await inRoom((storage) => storage.get<DeviceRow>("devices", id)?.state)).toBe("cut");
});

test("[KL6] a revocation from before a device's present grant does not end it", async () => {
  const { id } = await allowedDevice(world);
  const connector = await up();
  await log.add({ type: "revoke", device: id, by: "relay" }, NOW);
  connector.say({ type: "log", lines: log.lines });
  await acked(connector);
  expect(await inRoom((storage) => storage.get<DeviceRow>("devices", id)?.state)).toBe("waiting");
});

test("[KL5] an owner passkey that the machine took out counts no more in the room", async () => {
  const second = (await newPerson()).authenticator.ownerKey;
  await log.widen({ kind: "owner-add", key: second, role: { kind: "owner" } }, world.person.authenticator, NOW);
  const connector = await up();
  connector.say({ type: "log", lines: log.lines });
  await acked(connector);
  expect(await inRoom((storage) => storage.ownerKeys())).toContainEqual(second);
  await log.add({ type: "owner-remove", credentialId: second.credentialId, authority: { by: "host" } }, NOW);
  connector.say({ type: "log", lines: log.lines.slice(-1) });
  await acked(connector);
  expect(await inRoom((storage) => storage.ownerKeys())).not.toContainEqual(second);
});

test("[LINK1] the head is part of the proof: one that was changed or left out on the way is refused", async () => {
  const { head } = log.state;
  for (const change of [{ head: { ...head, seq: 7 } }, { head: undefined }]) {
    const connector = await FakeConnector.dial(env, world.gateway);
    await connector.hello(world.gateway, identity, { signedHead: head, ...change });
    expect((await connector.closed).code).toBe(CLOSE_LINK_REFUSED);
  }
  const good = await FakeConnector.dial(env, world.gateway);
  await good.hello(world.gateway, identity, { signedHead: head, head });
  expect((await good.welcome()).type).toBe("welcome");
});

test("[LINK4] [case 11] a connector of the version before is served, one from before that is not", async () => {
  expect(MIN_LINK_PROTOCOL).toBe(LINK_PROTOCOL - 1);
  const older = await FakeConnector.dial(env, world.gateway);
  await older.hello(world.gateway, identity, { protocol: MIN_LINK_PROTOCOL });
  expect((await older.welcome()).head).toBe(undefined);
  const ancient = await FakeConnector.dial(env, world.gateway);
  await ancient.hello(world.gateway, identity, { protocol: MIN_LINK_PROTOCOL - 1 });
  expect((await ancient.closed).code).toBe(CLOSE_LINK_VERSION);
});

test("[KL3] what the owner is asked names the room's head, so that the grant can", async () => {
  const connector = await up();
  connector.say({ type: "log", lines: log.lines });
  await acked(connector);
  const cookie = await world.person.cookie("approve");
  const answer = await ask(`${config.approveOrigin}/api/decisions/${world.gateway}/owner`, { cookie });
  expect(await answer.json()).toMatchObject({ head: log.state.head.hash });
});

test("[KL3] allowing a device again while its cut was not delivered yet settles the cut: sent later, it would end the new grant", async () => {
  const { id, device } = await allowedDevice(world);
  const cut = await world.room.cut({ account: world.person.id, device: id });
  expect(cut).toMatchObject({ ok: true, value: { gateway: { state: "pending" } } });
  const waiting = await askOwner(world, device);
  const { signed } = await grantFor(world, waiting, { access: "look" });
  const allowed = await world.room.allow({ account: world.person.id, request: waiting.request, code: waiting.digits, signed });
  expect(allowed).toMatchObject({ ok: true, value: { outcome: "waiting" } });
  expect(await inRoom((storage) => storage.owed().map((message) => message.type))).toEqual(["grant"]);
  expect(await world.room.receipt({ account: world.person.id, device: id })).toMatchObject({ value: { gateway: { state: "superseded" } } });
});

test("[KL6] nobody else's account reads a key log", async () => {
  expect(await world.room.keyLog({ account: (await newPerson()).id, from: 0 })).toEqual({ ok: false, failure: "not-found" });
});
