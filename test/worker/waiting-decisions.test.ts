/** Decisions while the gateway sleeps, what a restored or older database may not change, and differences of the gateway's own list. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { keyThumbprint } from "../../src/core/trust/digests.ts";
import type { Difference } from "../../src/protocol/drift.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import type { DeviceRow, GrantRow } from "../../src/worker/room/storage/rows.ts";
import { CutWorld } from "./cut-world.ts";
import { ask, askOwner, config, env, grantFor, newPerson, openSession } from "./world.ts";
import { passTime } from "./room-clock.ts";

afterEach(() => {
  vi.useRealTimers();
});

const HOUR_MS = 3_600_000;

async function allowed(world: CutWorld, changes: Parameters<typeof grantFor>[2] = {}) {
  const waiting = await askOwner(world.gateway);
  const grant = await grantFor(world.gateway, waiting, changes);
  const { person, room } = world.gateway;
  const answer = await room.allow({ account: person.id, request: waiting.request, code: waiting.digits, signed: grant.signed });
  if (!answer.ok) throw new Error(answer.failure);
  return { ...answer.value, waiting, grant: grant.id };
}

test("[GR5] [case 28] decisions without a link wait across a sleep of the room and are sent in the order in which they were made, once each", async () => {
  const world = await CutWorld.create();
  const [first, second] = [await allowed(world), await allowed(world)];
  expect([first.outcome, second.outcome]).toEqual(["waiting", "waiting"]);
  await world.cut(first.device);
  await evictDurableObject(world.gateway.room);
  const third = await allowed(world);
  const connector = await world.connect();
  const cut = await connector.cuts.next();
  connector.answer(cut, { receipt: await world.sign(cut, first.grant) });
  await expect.poll(() => world.inRoom((storage) => storage.owed().length)).toBe(0);
  expect(connector.came).toEqual([`grant-${second.grant}`, `cut-${first.device}`, `grant-${third.grant}`]);
  const next = await world.connect();
  next.link.say({ type: "audit-anchor", head: null });
  await expect.poll(() => world.inRoom((storage) => storage.auditAnchor() !== null)).toBe(true);
  expect(next.came).toEqual([]);
});

test("[GR5] a decision that waited longer than its owner gave it is void: ended by the alarm, never sent, and the page hears it", async () => {
  const world = await CutWorld.create();
  const late = await allowed(world, { applyByMs: Date.now() + HOUR_MS });
  const good = await allowed(world, { applyByMs: Date.now() + 3 * HOUR_MS });
  passTime(HOUR_MS + 1);
  await world.alarm();
  expect(await late.waiting.next("ended")).toEqual({ type: "ended", why: "grant-refused" });
  expect(await world.inRoom((storage) => [storage.get("devices", late.device), storage.get<GrantRow>("grants", late.grant)?.state])).toEqual([null, "refused"]); // prettier-ignore
  const connector = await world.connect();
  await expect.poll(() => connector.came).toEqual([`grant-${good.grant}`]);
  expect(await world.auditActions()).toContain("grant-refused");
});

test("[GR5] the time limit holds also when no alarm came in between: nothing late is sent after the ack", async () => {
  const world = await CutWorld.create();
  const late = await allowed(world, { applyByMs: Date.now() + HOUR_MS });
  const good = await allowed(world, { applyByMs: Date.now() + 3 * HOUR_MS });
  passTime(HOUR_MS + 1);
  const connector = await world.connect();
  await expect.poll(() => world.inRoom((storage) => storage.get<GrantRow>("grants", good.grant)?.state)).toBe("live");
  expect(connector.came).not.toContain(`grant-${late.grant}`);
});

test("[GR4] [case 46] D1 restored from before a cut admits nobody: the room decides, and its next word about the device mends D1", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const device = await world.allow();
  const changes = { connectorKey: await keyThumbprint(world.key.key) };
  const { token } = await openSession(world.gateway, device, { changes });
  expect(token).not.toBe(null);
  await world.alarm();
  const tables = ["devices", "grants", "device_tokens"] as const;
  const before = await Promise.all(tables.map(async (name) => (await env.DB.prepare(`SELECT * FROM ${name} WHERE ${name === "grants" ? "device_id" : name === "devices" ? "id" : "device_id"} = ?`).bind(device.id).all()).results)); // prettier-ignore
  const cutting = world.cut(device.id);
  const cut = await connector.cuts.next();
  connector.answer(cut, { receipt: await world.sign(cut, device.grant) });
  await cutting;
  await world.alarm();
  for (const [i, name] of tables.entries()) {
    await env.DB.prepare(`DELETE FROM ${name} WHERE ${name === "devices" ? "id" : "device_id"} = ?`)
      .bind(device.id)
      .run();
    for (const row of before[i] ?? []) {
      const columns = Object.keys(row);
      await env.DB.prepare(`INSERT INTO ${name} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`).bind(...Object.values(row)).run(); // prettier-ignore
    }
  }
  expect(await env.DB.prepare("SELECT state FROM devices WHERE id = ?").bind(device.id).first()).toEqual({ state: "allowed" });
  const refused = await openSession(world.gateway, device, { changes, token });
  expect([refused.status === 200, refused.session]).toEqual([false, null]);
  const snapshot = await world.gateway.room.snapshot({ account: world.gateway.person.id });
  expect(snapshot).toMatchObject({ value: { devices: [{ id: device.id, state: "cut" }] } });
  await world.gateway.room.renameDevice({ account: world.gateway.person.id, device: device.id, name: "Old phone" });
  await world.alarm();
  expect(await env.DB.prepare("SELECT state, name FROM devices WHERE id = ?").bind(device.id).first()).toEqual({ state: "cut", name: "Old phone" }); // prettier-ignore
});

test("a room of the version before: receipts and cuts that it stored are shown and finished by this one", async () => {
  const world = await CutWorld.create();
  const device = await world.allow().catch(() => null);
  expect(device).not.toBe(null);
  if (device === null) return;
  await runInDurableObject(world.gateway.room, (_room, state) => {
    const storage = new RoomStorage(state.storage);
    const row = storage.get<DeviceRow>("devices", device.id);
    if (row !== null) storage.put("devices", device.id, { ...row, state: "cut" });
    storage.delete("owed", `grant-${device.grant}`);
    storage.put("receipts", device.id, {
      device: device.id,
      cutAtMs: 5,
      edge: { socketsClosed: 1, tookMs: 2 },
      gateway: { state: "pending", entriesRemoved: 0, tookMs: null, atMs: null },
    });
    storage.put("owed", `cut-${device.id}`, { type: "cut", id: `cut-${device.id}`, device: device.id, cutAtMs: 5 });
  });
  expect(await world.receipt(device.id)).toMatchObject({
    value: { by: "owner", isSigned: false, gateway: { state: "pending", why: "no-link" } },
  });
  const connector = await world.connect();
  const message = await connector.cuts.next();
  expect(message.cut).toBe(undefined);
  connector.answer(message, { removed: 2 });
  await expect.poll(() => world.receipt(device.id)).toMatchObject({ value: { gateway: { state: "done", entriesRemoved: 2 } } });
});

const LOCAL: Difference = { kind: "local", entry: "f".repeat(64), device: null, name: "Own laptop", platform: "Linux", client: "cli", roles: ["operator"], scopes: ["operator.read"], approvedVia: "owner", approvedAtMs: 5 }; // prettier-ignore

async function shown(world: CutWorld): Promise<unknown> {
  const cookie = await world.gateway.person.cookie("app");
  const answer = await ask(`${config.appOrigin}/api/gateways/${world.gateway.gateway}`, { cookie });
  return (await answer.json<{ drift: unknown }>()).drift;
}

async function mend(world: CutWorld, what: string, person = world.gateway.person): Promise<[number, string | null]> {
  const url = `${config.appOrigin}/api/gateways/${world.gateway.gateway}/differences/${LOCAL.entry}`;
  const answer = await ask(url, { method: "POST", body: { what }, cookie: await person.cookie("app") });
  return [answer.status, (await answer.json<{ error?: { code: string } }>()).error?.code ?? null];
}

test("[DR1] what the connector reports is shown and recorded once", async () => {
  const world = await CutWorld.create();
  expect(await shown(world)).toBe(null);
  const connector = await world.connect();
  for (let i = 0; i < 2; i += 1) connector.link.say({ type: "drift", atMs: 9, differences: [LOCAL] });
  await expect.poll(() => shown(world)).toEqual({ atMs: 9, differences: [LOCAL] });
  connector.link.say({ type: "drift", atMs: 10, differences: [] });
  await expect.poll(() => shown(world)).toEqual({ atMs: 10, differences: [] });
  expect((await world.auditActions()).filter((action) => action === "difference-found")).toHaveLength(1);
});

test("[DR2] [case 40] one press removes it through the connector; not for anybody else, not what nobody named, and not while the gateway is away", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  connector.link.say({ type: "drift", atMs: 9, differences: [LOCAL] });
  await expect.poll(() => shown(world)).not.toBe(null);
  expect(await mend(world, "remove", await newPerson())).toEqual([404, "not-found"]);
  expect(await mend(world, "destroy")).toEqual([400, "bad-request"]);
  const asking = mend(world, "remove");
  const first = await connector.removals.next();
  expect(first.entry).toBe(LOCAL.entry);
  connector.link.say({ type: "result", id: first.id, ok: false, refusal: "not-serving" });
  expect(await asking).toEqual([503, "gateway-away"]);
  const again = mend(world, "remove");
  connector.link.say({ type: "result", id: (await connector.removals.next()).id, ok: true });
  expect(await again).toEqual([200, null]);
  expect(await shown(world)).toEqual({ atMs: 9, differences: [] });
  expect(await mend(world, "remove")).toEqual([404, "not-found"]);
  expect(await world.auditActions()).toContain("difference-removed");
});

test("[DR3] what the owner says is fine is not shown again, until it may do more", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  connector.link.say({ type: "drift", atMs: 9, differences: [LOCAL] });
  await expect.poll(() => shown(world)).not.toBe(null);
  expect(await mend(world, "keep")).toEqual([200, null]);
  connector.link.say({ type: "drift", atMs: 10, differences: [{ ...LOCAL, name: "Renamed" }] });
  await expect.poll(() => shown(world)).toEqual({ atMs: 10, differences: [] });
  const wider = { ...LOCAL, scopes: ["operator.admin", "operator.read"] };
  connector.link.say({ type: "drift", atMs: 11, differences: [wider] });
  await expect.poll(() => shown(world)).toEqual({ atMs: 11, differences: [wider] });
});
