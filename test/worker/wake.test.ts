/** What a room reads when it wakes: one row for each thing that the first message needs, however many devices it has. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { CLOSE_CUT } from "../../src/protocol/close-codes.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import type { DeviceRow } from "../../src/worker/room/storage/rows.ts";
import type { Room } from "../../src/worker/room/room.ts";
import { CutWorld } from "./cut-world.ts";
import type { FakeStream } from "./fake-connector.ts";
import { ask, randomId } from "./world.ts";
import { expectFailures } from "./expected-failures.ts";

afterEach(() => vi.restoreAllMocks());

type Sql = DurableObjectStorage["sql"];

/** What rooms ask their SQLite from here on, as the platform itself counts it: rows read by table, and rows written. */
async function countRows(world: CutWorld): Promise<() => { readonly read: Record<string, number>; readonly written: number }> {
  const cursors: { readonly table: string; readonly cursor: ReturnType<Sql["exec"]> }[] = [];
  let looks = 0;
  await world.inRoom((_storage, { storage }) => {
    const [sql, kv] = [storage.sql, storage.kv].map((each): unknown => Object.getPrototypeOf(each)) as [Sql, DurableObjectStorage["kv"]];
    const exec = Reflect.get(sql, "exec") as (this: Sql, ...query: unknown[]) => ReturnType<Sql["exec"]>;
    vi.spyOn(sql, "exec").mockImplementation(function (this: Sql, ...query: unknown[]) {
      const cursor = exec.apply(this, query);
      cursors.push({ table: / (?:FROM|INTO|EXISTS|UPDATE) (\w+)/.exec(String(query[0]))?.[1] ?? String(query[0]), cursor });
      return cursor;
    } as Sql["exec"]);
    const get = Reflect.get(kv, "get") as (this: unknown, key: string) => unknown;
    vi.spyOn(kv, "get").mockImplementation(function (this: unknown, key: string) {
      looks += 1;
      return get.call(this, key);
    });
  });
  [cursors.length, looks] = [0, 0];
  return () => {
    const read: Record<string, number> = { kv: looks };
    for (const { table, cursor } of cursors) read[table] = (read[table] ?? 0) + cursor.rowsRead;
    return { read, written: cursors.reduce((sum, { cursor }) => sum + cursor.rowsWritten, 0) };
  };
}

/** The next message at the gateway's end, a text. */
async function arrived(stream: FakeStream): Promise<string> {
  return new TextDecoder().decode((await stream.messages.next()).data);
}

/** More devices of the same gateway, every second one cut. */
function addDevices(world: CutWorld, like: string, count: number): Promise<void> {
  return world.inRoom((storage) => {
    const row = storage.get<DeviceRow>("devices", like);
    if (row === null) throw new Error("no such device");
    for (let i = 0; i < count; i += 1) {
      const id = randomId();
      storage.put("devices", id, { ...row, id, state: i % 2 === 0 ? "cut" : "allowed" } satisfies DeviceRow);
    }
  });
}

test.each([3, 300])(
  "[ST7] waking for a message reads what was counted and that device's own row, and writes nothing: with %i other devices as with none",
  async (others) => {
    const world = await CutWorld.create();
    const connector = await world.connect();
    const device = await world.allow();
    const { stream, browser } = await world.stream(connector, device);
    if (browser === null) throw new Error("no browser");
    await addDevices(world, device.id, others);
    await world.alarm();
    const rows = await countRows(world);
    await evictDurableObject(world.gateway.room);
    browser.ws.send("awake");
    expect(await arrived(stream)).toBe("awake");
    expect(rows()).toEqual({ read: { kv: 1, meta: 1, devices: 1 }, written: 0 });
    await stream.send("and back");
    expect(await browser.messages.next()).toBe("and back");
    expect(rows()).toEqual({ read: { kv: 1, meta: 1, devices: 1 }, written: 0 });
    // The other way round.
    await evictDurableObject(world.gateway.room);
    await stream.send("from the gateway");
    expect(await browser.messages.next()).toBe("from the gateway");
    expect(rows()).toEqual({ read: { kv: 2, meta: 2, devices: 2 }, written: 0 });
  },
);

test("[ST7] a device that was cut while its socket stayed is stopped by the room that wakes for its first message", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const device = await world.allow();
  const { stream, browser } = await world.stream(connector, device);
  await addDevices(world, device.id, 3);
  await evictDurableObject(world.gateway.room);
  // As a room leaves it that ends between the cut's commit and the closing of its sockets.
  await world.inRoom((storage) => {
    const row = storage.get<DeviceRow>("devices", device.id);
    if (row !== null) storage.put("devices", device.id, { ...row, state: "cut" });
  });
  await evictDurableObject(world.gateway.room);
  browser?.ws.send("still there?");
  expect(await browser?.closed).toMatchObject({ code: CLOSE_CUT });
  expect(await stream.endings.next()).toMatchObject({ code: CLOSE_CUT });
});

test("[AT3] a resume that storage refuses lets nothing through: the row is the truth, not what memory was about to say", async () => {
  expectFailures("room-call");
  const world = await CutWorld.create();
  const connector = await world.connect();
  const device = await world.allow();
  const { browser } = await world.stream(connector, device);
  const { room, person } = world.gateway;
  expect(await room.suspend({ account: person.id, device: device.id, token: null })).toMatchObject({ ok: true });
  await browser?.closed;
  const outcome = await runInDurableObject(room, async (instance) => {
    const refused = vi.spyOn(RoomStorage.prototype, "addAudit").mockImplementation(() => {
      throw new Error("the disk refused");
    });
    const resumed = (instance as unknown as Room).resume({ account: person.id, device: device.id });
    return resumed.then(() => "resumed", () => "refused").finally(() => refused.mockRestore()); // prettier-ignore
  });
  expect(outcome).toBe("refused");
  // A gateway that would take it.
  void connector.link.streams.next().then((stream) => stream.opened());
  const answer = await ask(`${world.gateway.origin}/socket`, { cookie: await world.session(device), headers: { upgrade: "websocket" } });
  expect(answer.status).toBe(401);
});

const LATER = ["persons", "invitations", "decided"];

/** What an older version leaves: without the tables that came later, and without a word on which ones there are. */
function makeOld({ storage: { sql, kv } }: DurableObjectState): void {
  for (const table of LATER) sql.exec(`DROP TABLE ${table}`);
  kv.delete("gatehouse-schema");
}

function tablesOf({ storage: { sql } }: DurableObjectState): string[] {
  return sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'").toArray().map(({ name }) => name); // prettier-ignore
}

test("a room of an older version keeps its rows and gets the tables that it lacks when it wakes, once", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const device = await world.allow();
  const { stream, browser } = await world.stream(connector, device);
  await world.alarm();
  await world.inRoom((_storage, state) => makeOld(state));
  await evictDurableObject(world.gateway.room);
  browser?.ws.send("awake");
  expect(await arrived(stream)).toBe("awake");
  expect(await world.inRoom((_storage, state) => tablesOf(state))).toEqual(expect.arrayContaining([...LATER, "devices", "meta"]));
  expect(await world.inRoom((storage) => storage.get<DeviceRow>("devices", device.id)?.state)).toBe("allowed");
  const rows = await countRows(world);
  await evictDurableObject(world.gateway.room);
  browser?.ws.send("again");
  expect(await arrived(stream)).toBe("again");
  expect(rows().written).toBe(0);
});

test("tables that cannot all be made leave a room as it was: the next try makes them", async () => {
  const world = await CutWorld.create();
  await runInDurableObject(world.gateway.room, (_room, state) => {
    makeOld(state);
    const before = tablesOf(state);
    const sql = Object.getPrototypeOf(state.storage.sql) as Sql;
    const exec = Reflect.get(sql, "exec") as (this: Sql, ...query: unknown[]) => ReturnType<Sql["exec"]>;
    const refused = vi.spyOn(sql, "exec").mockImplementation(function (this: Sql, ...query: unknown[]) {
      if (String(query[0]).includes("decided")) throw new Error("the disk is full");
      return exec.apply(this, query);
    } as Sql["exec"]);
    expect(() => new RoomStorage(state.storage)).toThrow("the disk is full");
    refused.mockRestore();
    expect(tablesOf(state)).toEqual(before);
    expect(new RoomStorage(state.storage).persons()).toEqual([]);
    expect(tablesOf(state)).toEqual(expect.arrayContaining(LATER));
  });
});
