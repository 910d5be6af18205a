/** The audit chain in a real room: recorded with what it is about, carried to the connector, exported, and rewound chains given away. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { auditLine, isAuditFault, judgeAuditHead, readAuditLine, verifyAudit } from "../../src/core/trust/audit-chain.ts";
import type { AuditHead } from "../../src/protocol/audit.ts";
import { AUDIT_ANCHOR_EVENTS, AUDIT_ANCHOR_MS, MAX_AUDIT_DIGESTS } from "../../src/protocol/limits.ts";
import type { ToConnector } from "../../src/protocol/link-messages.ts";
import { AuditTrail } from "../../src/worker/room/outbound/audit-trail.ts";
import { Outbox } from "../../src/worker/room/outbound/outbox.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { newLogKey } from "../support/test-key-log.ts";
import { FakeConnector } from "./fake-connector.ts";
import { allowedDevice, ask, config, enrol, env, newGateway, newPerson } from "./world.ts";
import type { GatewayWorld } from "./world.ts";
import { expectFailures } from "./expected-failures.ts";

type AuditHeadMessage = Extract<ToConnector, { type: "audit-head" }>;

function inRoom<T>(world: GatewayWorld, look: (storage: RoomStorage, state: DurableObjectState) => T | Promise<T>): Promise<T> {
  return runInDurableObject(world.room, (_room, state) => look(new RoomStorage(state.storage), state));
}

function chainOf(world: GatewayWorld): Promise<string[]> {
  return inRoom(world, (storage) => storage.auditLines(0, 10_000));
}

async function headOf(world: GatewayWorld): Promise<AuditHead> {
  const last = await inRoom(world, (storage) => storage.lastAudit());
  if (last === null) throw new Error("empty chain");
  return { seq: last.seq, hash: last.hash };
}

/** A world whose connector speaks the newest version. */
async function linked(): Promise<{ world: GatewayWorld; dial: () => Promise<FakeConnector> }> {
  const world = await newGateway();
  const key = await newLogKey();
  await enrol(world, key.key);
  const identity = { key: key.key, sign: (data: Uint8Array<ArrayBuffer>) => key.sign(data) };
  let generation = 0;
  return {
    world,
    dial: async () => {
      const connector = await FakeConnector.dial(env, world.gateway);
      await connector.hello(world.gateway, identity, { generation });
      ({ generation } = await connector.welcome());
      return connector;
    },
  };
}

async function nextHead(connector: FakeConnector): Promise<AuditHeadMessage> {
  for (;;) {
    const message = await connector.control.next();
    if (message.type === "audit-head") return message;
  }
}

/** The trail of a room of its own clock and link. */
async function withTrail(
  world: GatewayWorld,
  use: (trail: AuditTrail, storage: RoomStorage, sent: AuditHeadMessage[], clock: { nowMs: number }) => void,
): Promise<void> {
  await inRoom(world, (storage) => {
    const clock = { nowMs: Date.now() + 10_000 };
    const sent: AuditHeadMessage[] = [];
    const now = (): number => clock.nowMs;
    const outbox = new Outbox({ env, storage, now, wakeBy: () => undefined, wrote: () => undefined, report: () => undefined });
    const send = (message: ToConnector): boolean => {
      if (message.type === "audit-head") sent.push(message);
      return true;
    };
    use(
      new AuditTrail({ storage, outbox, now, random: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)), send }),
      storage,
      sent,
      clock,
    );
  });
}

test("[AU1] [AU2] asking, deciding and cutting stand in one chain that verifies, across an eviction", async () => {
  const world = await newGateway();
  await world.connect();
  const { id } = await allowedDevice(world);
  await evictDurableObject(world.room);
  await world.room.cut({ account: world.person.id, device: id });
  const lines = await chainOf(world);
  expect(verifyAudit(lines, { gateway: world.gateway })).toEqual(await headOf(world));
  const actions = lines.map((line) => readAuditLine(line)?.action);
  for (const action of ["connector-enrolled", "gateway-first-link", "asked", "allow", "request-allowed", "grant-applied", "cut"])
    expect(actions).toContain(action);
});

test("[AU2] an event is recorded with what it is about, or neither is", async () => {
  const world = await newGateway();
  const before = await chainOf(world);
  await withTrail(world, (trail, storage) => {
    const broken = (): void =>
      storage.transaction(() => {
        storage.put("blocks", "d".repeat(26), {});
        trail.add("owner", "device-blocked", "d".repeat(26), {});
        throw new Error("the disk refused");
      });
    expect(broken).toThrow("the disk refused");
    expect(storage.get("blocks", "d".repeat(26))).toBeNull();
  });
  expect(await chainOf(world)).toEqual(before);
});

test("[AU2] D1 gets place and hash of every event, in order, also after it was away", async () => {
  expectFailures("outbox");
  const world = await newGateway();
  await env.DB.prepare("ALTER TABLE audit_events RENAME TO audit_events_away").run();
  await world.connect();
  await allowedDevice(world);
  await runDurableObjectAlarm(world.room);
  await env.DB.prepare("ALTER TABLE audit_events_away RENAME TO audit_events").run();
  await runDurableObjectAlarm(world.room);
  const { results } = await env.DB.prepare("SELECT seq, hash FROM audit_events WHERE gateway_id = ? ORDER BY seq")
    .bind(world.gateway)
    .all();
  const entries = (await chainOf(world)).map((line) => readAuditLine(line)).filter((entry) => entry?.action !== "gateway-first-link");
  expect(results).toEqual(entries.map((entry) => ({ seq: entry?.seq, hash: entry?.hash })));
  expect(results.length).toBeGreaterThanOrEqual(5);
});

test("[AU3] a link that says what it has gets the way from there, at once, and takes it", async () => {
  const { world, dial } = await linked();
  const first = await dial();
  first.say({ type: "audit-anchor", head: null });
  const start = await nextHead(first);
  expect(start).toMatchObject({ from: null, digests: [] });
  expect(judgeAuditHead(null, start)).toBe("extends");
  for (let i = 0; i < 3; i += 1) await withTrail(world, (trail) => void trail.add("owner", "allow", null, { i }));
  first.say({ type: "audit-anchor", head: start.head });
  const next = await nextHead(first);
  expect(next).toMatchObject({ from: start.head.seq, head: await headOf(world) });
  expect(next.digests).toHaveLength(next.head.seq - start.head.seq);
  expect(judgeAuditHead(start.head, next)).toBe("extends");
});

test("[AU3] [case 45] a room whose chain lost its tail, or has another entry, gives itself away at the next link", async () => {
  const { world, dial } = await linked();
  await dial();
  for (let i = 0; i < 5; i += 1) await withTrail(world, (trail) => void trail.add("owner", "allow", null, { i }));
  const anchor = await headOf(world);
  for (let i = 0; i < 3; i += 1) await withTrail(world, (trail) => void trail.add("owner", "cut", null, { i }));
  const honest = await dial();
  honest.say({ type: "audit-anchor", head: anchor });
  expect(judgeAuditHead(anchor, await nextHead(honest))).toBe("extends");
  const newest = await headOf(world);
  await inRoom(world, (_storage, state) => state.storage.sql.exec("DELETE FROM audit WHERE seq > ?", anchor.seq - 1));
  const shorter = await dial();
  shorter.say({ type: "audit-anchor", head: newest });
  expect(judgeAuditHead(newest, await nextHead(shorter))).toBe("rewound");
  for (let i = 0; i < 9; i += 1) await withTrail(world, (trail) => void trail.add("owner", "cut", null, { i }));
  expect(isAuditFault(verifyAudit(await chainOf(world)))).toBe(false);
  const grown = await dial();
  grown.say({ type: "audit-anchor", head: newest });
  expect(judgeAuditHead(newest, await nextHead(grown))).toBe("rewound");
});

test("[AU3] the owner hears that a connector found its anchor rewound", async () => {
  const { world, dial } = await linked();
  const connector = await dial();
  connector.say({ type: "alarm", alarm: "audit-rewound", atMs: 1 });
  await expect.poll(async () => (await chainOf(world)).map((line) => readAuditLine(line)?.action)).toContain("alarm-audit-rewound");
});

test("[AU4] the head goes out after 64 entries or a minute, not before, and not twice", async () => {
  const { world, dial } = await linked();
  await dial();
  await withTrail(world, (trail, storage, sent, clock) => {
    const last = storage.lastAudit();
    trail.anchored(last === null ? null : { seq: last.seq, hash: last.hash });
    expect(trail.carry(clock.nowMs)).toBe(null);
    for (let i = 1; i < AUDIT_ANCHOR_EVENTS; i += 1) trail.add("owner", "allow", null, { i });
    expect(trail.carry(clock.nowMs)).toBe(clock.nowMs + AUDIT_ANCHOR_MS);
    expect(trail.carry(clock.nowMs + AUDIT_ANCHOR_MS - 1)).toBe(clock.nowMs + AUDIT_ANCHOR_MS);
    expect(sent).toEqual([]);
    trail.add("owner", "allow", null, {});
    expect(trail.carry(clock.nowMs)).toBe(null);
    expect(sent.map((each) => each.digests.length)).toEqual([AUDIT_ANCHOR_EVENTS]);
    expect(trail.carry(clock.nowMs)).toBe(null);
    trail.add("owner", "cut", null, {});
    expect(trail.carry(clock.nowMs + AUDIT_ANCHOR_MS)).toBe(null);
    expect(sent).toHaveLength(2);
  });
});

test("[AU4] nothing is sent to a connector that did not say what it has on this link", async () => {
  const { world, dial } = await linked();
  await dial();
  await withTrail(world, (trail, _storage, sent, clock) => {
    for (let i = 0; i < 200; i += 1) trail.add("owner", "allow", null, { i });
    expect(trail.carry(clock.nowMs + AUDIT_ANCHOR_MS)).toBe(null);
    expect(sent).toEqual([]);
  });
});

test("[AU4] a long way is gone in steps, each of which fits one message and is taken", async () => {
  const { world, dial } = await linked();
  await dial();
  await withTrail(world, (trail, storage, sent) => {
    const first = storage.lastAudit();
    if (first === null) throw new Error("empty chain");
    let anchor: AuditHead = { seq: first.seq, hash: first.hash };
    for (let i = 0; i < 2 * MAX_AUDIT_DIGESTS + 10; i += 1) trail.add("owner", "allow", null, { i });
    for (const steps of [MAX_AUDIT_DIGESTS, MAX_AUDIT_DIGESTS, 10]) {
      trail.anchored(anchor);
      const message = sent.at(-1);
      if (message === undefined) throw new Error("nothing sent");
      expect(message.digests).toHaveLength(steps);
      expect(JSON.stringify(message).length).toBeLessThan(64 * 1024);
      expect(judgeAuditHead(anchor, message)).toBe("extends");
      anchor = message.head;
    }
    trail.anchored(anchor);
    expect(sent).toHaveLength(3);
  });
});

async function exported(world: GatewayWorld, cookie: string): Promise<Response> {
  return ask(`${config.appOrigin}/api/gateways/${world.gateway}/audit.jsonl`, { cookie });
}

test("[AU6] the export is the chain, whole and verifiable, over more than one page, and is itself recorded", async () => {
  const world = await newGateway();
  await withTrail(world, (trail) => {
    for (let i = 0; i < 1_200; i += 1) trail.add("owner", "allow", null, { i });
  });
  const answer = await exported(world, await world.person.cookie("app"));
  expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "application/jsonl; charset=utf-8"]);
  const lines = (await answer.text()).split("\n");
  expect(lines.pop()).toBe("");
  expect(verifyAudit(lines, { gateway: world.gateway })).toEqual(await headOf(world));
  expect(readAuditLine(lines.at(-1) ?? "")?.action).toBe("audit-exported");
  const entry = readAuditLine(lines[3] ?? "");
  expect(entry === null ? null : auditLine(entry)).toBe(lines[3]);
});

test("[AU6] [case 40] somebody else's chain and none look the same: 404", async () => {
  const world = await newGateway();
  const stranger = await newPerson();
  const cookie = await stranger.cookie("app");
  const foreign = await exported(world, cookie);
  const none = await ask(`${config.appOrigin}/api/gateways/${"a".repeat(23)}/audit.jsonl`, { cookie });
  expect([foreign.status, await foreign.text()]).toEqual([none.status, await none.text()]);
  expect(foreign.status).toBe(404);
  expect((await ask(`${config.appOrigin}/api/gateways/${world.gateway}/audit.jsonl`)).status).toBe(401);
  expect((await chainOf(world)).map((line) => readAuditLine(line)?.action)).not.toContain("audit-exported");
  expect(await world.room.auditLines({ account: stranger.id, from: 0, isExport: true })).toEqual({ ok: false, failure: "not-found" });
});
