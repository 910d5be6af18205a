/** The connector's key at the room: rotated with and without a link, the old one's last day, and two copies of one connector that fight. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { keyThumbprint } from "../../src/core/trust/digests.ts";
import { writeLine } from "../../src/core/trust/key-log.ts";
import { CLOSE_LINK_QUARANTINED, CLOSE_LINK_REFUSED, CLOSE_LINK_STALE, CLOSE_SUPERSEDED } from "../../src/protocol/close-codes.ts";
import { COPY_WINDOW_MS, KEY_OVERLAP_MS, MAX_COPY_ALTERNATIONS, NONCE_MS } from "../../src/protocol/limits.ts";
import type { SignedByOwner } from "../../src/protocol/statements.ts";
import { utf8 } from "../../src/protocol/statement-encoding.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import type { DeviceRow } from "../../src/worker/room/storage/rows.ts";
import { TestKeyLog, newLogKey } from "../support/test-key-log.ts";
import type { LogKey } from "../support/test-key-log.ts";
import { FakeConnector } from "./fake-connector.ts";
import type { HelloChanges } from "./fake-connector.ts";
import { allowedDevice, ask, config, enrol, env, newGateway, newPerson, openSession } from "./world.ts";
import type { GatewayWorld } from "./world.ts";
import { passTime } from "./room-clock.ts";

const NOW = Date.now();

let world: GatewayWorld;
let first: LogKey;
let second: LogKey;
let log: TestKeyLog;

beforeEach(async () => {
  world = await newGateway();
  [first, second] = [await newLogKey(), await newLogKey()];
  await enrol(world, first.key);
  log = await TestKeyLog.start({
    gateway: world.gateway,
    owner: world.person.authenticator,
    approveOrigin: config.approveOrigin,
    atMs: NOW,
    signer: first,
  });
});

afterEach(() => {
  vi.useRealTimers();
});

async function dial(as: LogKey, changes: HelloChanges = {}): Promise<FakeConnector> {
  const connector = await FakeConnector.dial(env, world.gateway);
  await connector.hello(world.gateway, { key: as.key, sign: (data) => as.sign(data) }, changes);
  return connector;
}

async function up(as: LogKey, changes: HelloChanges = {}): Promise<FakeConnector> {
  const connector = await dial(as, changes);
  await connector.welcome();
  return connector;
}

async function acked(connector: FakeConnector): Promise<unknown> {
  for (;;) {
    const message = await connector.control.next();
    if (message.type === "log-ack") return message.head;
  }
}

/** Tells the room of every entry and waits until it has them. */
async function tell(connector: FakeConnector, lines: readonly string[] = log.lines): Promise<void> {
  connector.say({ type: "log", lines: [...lines] });
  await acked(connector);
}

/** @returns the key that the room believes, and whether it has heard that the one before is gone */
function believed(): Promise<{ x: string | undefined; isAcknowledged: boolean | undefined }> {
  return runInDurableObject(world.room, (_room, state) => {
    const meta = new RoomStorage(state.storage).meta();
    return { x: meta?.key?.x, isAcknowledged: meta?.previousKey?.isAcknowledged };
  });
}

async function actions(): Promise<string[]> {
  const answer = await world.room.auditLines({ account: world.person.id, from: 0, isExport: false });
  return (answer.ok ? answer.value : []).map((line) => (JSON.parse(line) as { action: string }).action);
}

test("[LINK8] a rotation on a live link: the room believes the new key from its entry on, and the link and what follows go on", async () => {
  const connector = await up(first);
  await tell(connector);
  expect(await log.rotate(second, NOW)).toBe(null);
  await tell(connector, log.lines.slice(-1));
  expect((await believed()).x).toBe(second.key.x);
  await log.add({ type: "revoke-all", by: "host" }, NOW);
  await tell(connector, log.lines.slice(-1));
  // What it has already, sent again: written by the older key, and no alarm.
  await tell(connector);
  expect(await actions()).not.toContain("alarm-fork");
  expect(await actions()).toContain("log-rotate");
  await evictDurableObject(world.room);
  expect((await up(second, { generation: connector.generation })).generation).toBe(connector.generation + 1);
});

test("[LINK8] the old key proves a link until the new one is acknowledged, at most a day; afterwards it is a stranger's", async () => {
  const connector = await up(first);
  await log.rotate(second, NOW);
  await tell(connector);
  const copy = await up(first, { generation: connector.generation });
  passTime(KEY_OVERLAP_MS);
  expect((await (await dial(first, { generation: copy.generation })).closed).code).toBe(CLOSE_LINK_REFUSED);
  vi.useRealTimers();
  const again = await up(first, { generation: copy.generation });
  again.say({ type: "rotated", seq: 7 });
  again.say({ type: "rotated", seq: 1 });
  await tell(again);
  expect((await believed()).isAcknowledged).toBe(true);
  expect((await (await dial(first, { generation: again.generation })).closed).code).toBe(CLOSE_LINK_REFUSED);
  expect((await up(second, { generation: again.generation })).generation).toBe(again.generation + 1);
});

test("[LINK8] a link that the new key proved acknowledges it", async () => {
  const connector = await up(first);
  await log.rotate(second, NOW);
  await tell(connector);
  expect((await believed()).isAcknowledged).toBe(false);
  const next = await up(second, { generation: connector.generation });
  await world.room.snapshot({ account: world.person.id });
  expect((await believed()).isAcknowledged).toBe(true);
  expect((await (await dial(first, { generation: next.generation })).closed).code).toBe(CLOSE_LINK_REFUSED);
});

test("[LINK8] [case 46] a room that knows an older key, because the rotation came without a link or it was restored, is shown the way", async () => {
  const third = await newLogKey();
  await log.rotate(second, NOW);
  await log.rotate(third, NOW);
  const rotations = log.lines.slice(1);
  for (const shown of [undefined, rotations.slice(1), rotations.toReversed()])
    expect((await (await dial(third, shown === undefined ? {} : { rotations: shown })).closed).code).toBe(CLOSE_LINK_REFUSED);
  const connector = await up(third, { rotations });
  // Proven, but what the room believes follows its copy of the log only.
  expect((await believed()).x).toBe(first.key.x);
  await tell(connector);
  expect((await believed()).x).toBe(third.key.x);
  expect(await actions()).not.toContain("alarm-fork");
});

test("[LINK8] a rotation to a key that nobody holds is no entry, whoever signed it", async () => {
  const connector = await up(first);
  await tell(connector);
  await log.rotate(second, NOW);
  const entry = JSON.parse(log.lines.at(-1) ?? "") as { body: { key: { x: string } } };
  const other = await newLogKey();
  const { signed } = (JSON.parse(log.lines[0] ?? "") as { body: { signed: SignedByOwner } }).body;
  const owner = world.person.authenticator;
  const lone = await TestKeyLog.start({
    gateway: world.gateway,
    owner,
    approveOrigin: config.approveOrigin,
    atMs: NOW,
    signer: first,
    signed,
  });
  expect(lone.lines[0]).toBe(log.lines[0]);
  // Signed by the right key, proven by another key than it names.
  const proof = await other.sign(utf8("something else"));
  const body = { type: "rotate", key: { ...second.key, x: entry.body.key.x }, proof } as const;
  const line = await writeLine(lone.state, { gateway: world.gateway, atMs: NOW, body }, (bytes) => first.sign(bytes));
  connector.say({ type: "log", lines: [line] });
  connector.say({ type: "log", lines: [log.lines[0] ?? ""] });
  await acked(connector);
  expect((await believed()).x).toBe(first.key.x);
  expect(await actions()).toContain("alarm-fork");
});

test("[SE1] a session that began before the rotation names the old key and is not lost; after five minutes that name is nobody's", async () => {
  const allowed = await allowedDevice(world);
  await runInDurableObject(world.room, (_room, state) => {
    const storage = new RoomStorage(state.storage);
    const row = storage.get<DeviceRow>("devices", allowed.id);
    if (row !== null) storage.put("devices", row.id, { ...row, state: "allowed" });
  });
  const connector = await up(first);
  await log.rotate(second, NOW);
  await tell(connector);
  const changes = { connectorKey: await keyThumbprint(first.key) };
  const answering = async (): Promise<void> => {
    for (;;) {
      const message = await connector.control.next();
      if (message.type === "nonce-request")
        connector.say({ type: "nonce", id: message.id, nonce: "A".repeat(43), connectorKey: changes.connectorKey });
      else if (message.type === "session") connector.say({ type: "result", id: message.id, ok: true });
    }
  };
  void answering();
  expect((await openSession(world, allowed, { changes })).status).toBe(200);
  passTime(NONCE_MS);
  expect((await openSession(world, allowed, { changes })).code).toBe("bad-request");
});

test("[LINK2] [case 7] a second machine with the same key and a newer state takes over after its proof; no frame of the old one counts", async () => {
  const old = await up(first);
  const moved = await up(first, { generation: old.generation });
  expect((await old.closed).code).toBe(CLOSE_SUPERSEDED);
  expect(moved.generation).toBe(old.generation + 1);
  expect(await actions()).not.toContain("connector-copied");
});

/** A copy of a connector's state comes back again and again. @returns the codes that it was closed with */
async function fight(times: number, generation = 0): Promise<number[]> {
  const codes = [];
  for (let i = 0; i < times; i += 1) codes.push((await (await dial(first, { generation })).closed).code);
  return codes;
}

test("[LINK9] [case 8] two copies that fight: each stale one is refused and told; the third time nobody is linked until the owner has spoken", async () => {
  const winner = await up(first, { generation: (await up(first)).generation });
  expect(await fight(2, 1)).toEqual([CLOSE_LINK_STALE, CLOSE_LINK_STALE]);
  expect(await fight(1, 1)).toEqual([CLOSE_LINK_QUARANTINED]);
  expect((await winner.closed).code).toBe(CLOSE_LINK_QUARANTINED);
  expect((await actions()).filter((action) => action === "connector-copied")).toHaveLength(MAX_COPY_ALTERNATIONS);
  await evictDurableObject(world.room);
  for (const generation of [winner.generation, winner.generation + 100, 0])
    expect((await (await dial(first, { generation })).closed).code).toBe(CLOSE_LINK_QUARANTINED);
  expect((await actions()).filter((action) => action === "gateway-quarantined")).toHaveLength(1);
  const cookie = await world.person.cookie("app");
  const view = async () => (await ask(`${config.appOrigin}/api/gateways/${world.gateway}`, { cookie })).json();
  expect(await view()).toMatchObject({ gateway: { state: "unsafe", reason: "connector-copied" } });
  const settle = () => ask(`${config.appOrigin}/api/gateways/${world.gateway}/settle`, { method: "POST", cookie });
  expect((await settle()).status).toBe(200);
  expect((await settle()).status).toBe(409);
  expect(await view()).toMatchObject({ gateway: { state: "no-link" } });
  // Whichever the owner left running, also the one whose state is older.
  expect((await up(first, { generation: 1 })).generation).toBeGreaterThan(winner.generation);
});

test("[LINK9] strangers close nobody's gateway: without the key no try counts", async () => {
  const connector = await up(first, { generation: (await up(first)).generation });
  for (let i = 0; i < MAX_COPY_ALTERNATIONS + 1; i += 1)
    expect((await (await dial(first, { generation: 0, signature: "A".repeat(86) })).closed).code).toBe(CLOSE_LINK_REFUSED);
  expect(await actions()).not.toContain("connector-copied");
  expect((await up(first, { generation: connector.generation })).generation).toBe(connector.generation + 1);
});

test("[LINK9] three stale links that are spread over more than ten minutes are no fight", async () => {
  await up(first, { generation: (await up(first)).generation });
  for (let i = 0; i < MAX_COPY_ALTERNATIONS + 1; i += 1) {
    expect(await fight(1, 1)).toEqual([CLOSE_LINK_STALE]);
    passTime(COPY_WINDOW_MS / 2);
  }
});

test("[LINK9] a new claim of the gateway ends the quarantine: the copies' key is worth nothing any more", async () => {
  await up(first, { generation: (await up(first)).generation });
  await fight(MAX_COPY_ALTERNATIONS, 1);
  await enrol(world, second.key);
  expect((await (await dial(first, { generation: 9 })).closed).code).toBe(CLOSE_LINK_REFUSED);
  expect((await up(second)).generation).toBe(1);
});

test("[LINK9] nobody else's account settles it", async () => {
  expect(await world.room.endQuarantine({ account: (await newPerson()).id })).toEqual({ ok: false, failure: "not-found" });
});

test("[LINK9] a refused copy is let in by its owner while nobody is linked, whatever its state; beside a linked machine it is not", async () => {
  const cookie = await world.person.cookie("app");
  const view = async () => (await ask(`${config.appOrigin}/api/gateways/${world.gateway}`, { cookie })).json();
  const settle = () => ask(`${config.appOrigin}/api/gateways/${world.gateway}/settle`, { method: "POST", cookie });
  const machine = await up(first, { generation: (await up(first)).generation });
  expect(await fight(1, 1)).toEqual([CLOSE_LINK_STALE]);
  expect(await view()).toMatchObject({ gateway: { copyWaiting: false } });
  expect((await settle()).status).toBe(409);
  machine.ws.close(1000, "");
  await expect.poll(view).toMatchObject({ gateway: { state: "no-link", copyWaiting: false } });
  expect((await settle()).status).toBe(409);
  passTime(1);
  expect(await fight(1, 1)).toEqual([CLOSE_LINK_STALE]);
  expect(await view()).toMatchObject({ gateway: { copyWaiting: true } });
  expect((await settle()).status).toBe(200);
  expect(await view()).toMatchObject({ gateway: { copyWaiting: false } });
  expect((await settle()).status).toBe(409);
  expect((await up(first, { generation: 1 })).generation).toBeGreaterThan(machine.generation);
  expect((await actions()).filter((action) => action === "copy-let-in")).toHaveLength(1);
});
