/** A tenant whose own connector writes without end: what it fills, and that its neighbours never notice. */
import { createScheduledController, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import {
  ACTIVITY_DAYS,
  AWAY_ROW_MS,
  CONNECTOR_MESSAGES,
  MACHINE_ROWS,
  MAX_ROOM_BYTES,
  RETENTION_SLICE,
} from "../../src/protocol/limits.ts";
import type { ToRoom } from "../../src/protocol/link-messages.ts";
import { handle } from "../../src/worker/app.ts";
import { dropActivity, dropRequests } from "../../src/worker/db/retention-queries.ts";
import worker from "../../src/worker/index.ts";
import { Meter } from "../../src/worker/room/storage/meter.ts";
import type { DeviceRow } from "../../src/worker/room/storage/rows.ts";
import { Room } from "../../src/worker/room/room.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { EnrolPage, Machine, finishCeremony } from "./enrolment-world.ts";
import { FakeConnector } from "./fake-connector.ts";
import { ACCOUNT, connected, env, makeOwners, newBench, upgrade } from "./room-bench.ts";
import type { Bench } from "./room-bench.ts";
import { passTime } from "./room-clock.ts";
import { allowedDevice, ask, config, newGateway, newPerson } from "./world.ts";

afterEach(() => {
  vi.useRealTimers();
});

function lines(bench: Pick<Bench, "room">): Promise<readonly string[]> {
  return runInDurableObject(bench.room, (_room, state) => new RoomStorage(state.storage).auditLines(0, 5_000));
}

async function ofMachine(bench: Bench): Promise<number> {
  return (await lines(bench)).filter((line) => /"action":"(?:alarm|gateway-unsafe|device-)/.test(line)).length;
}

async function rowsInD1(gateway: string): Promise<number> {
  const found = await env.DB.prepare("SELECT count(*) AS n FROM audit_events WHERE gateway_id = ?").bind(gateway).first<{ n: number }>();
  return found?.n ?? 0;
}

function deviceRow(id: string): DeviceRow {
  const key = { kty: "EC", crv: "P-256", x: "A".repeat(43), y: "A".repeat(43) } as const;
  const nowMs = Date.now();
  const says = { name: "Phone", platform: "Test", browser: "Test" };
  const times = { createdAtMs: nowMs, lastSeenMs: null, notAfterMs: nowMs + 3_600_000 };
  return {
    id,
    key,
    ...says,
    ...times,
    access: "full",
    kind: "ask",
    grant: "g".repeat(26),
    state: "allowed",
    token: null,
    activation: null,
  };
}

/** Devices that the room knows. */
function keep(bench: Bench, devices: readonly string[]): Promise<void> {
  return runInDurableObject(bench.room, (_room, state) => {
    for (const id of devices) new RoomStorage(state.storage).put("devices", id, deviceRow(id));
  });
}

const report = (state: "unsafe" | "online"): ToRoom => ({ type: "report", report: { state } });
const toggled = (at: number): ToRoom => report(at % 2 === 0 ? "unsafe" : "online");

test.each<[string, (at: number, device: string) => ToRoom]>([
  ["device", (at, device) => ({ type: "device", device, event: "connected", atMs: at })],
  ["report", toggled],
  ["alarm", (at) => (at % 2 === 0 ? { type: "alarm", alarm: "fork", atMs: at } : { type: "alarm-over" })],
])("[AB1] [AB2] a flood of %s: the link ends, and the rows stay within their budget", async (_kind, message) => {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const device = "d".repeat(26);
  await keep(bench, [device]);
  for (let at = 0; at < 2_000; at += 1) connector.say(message(at, device));
  expect((await connector.closed).code).toBe(1008);
  expect(await ofMachine(bench)).toBeLessThanOrEqual(MACHINE_ROWS.burst);
});

test("[AB1] another link brings nothing back", async () => {
  const world = await newGateway();
  const connector = await world.connect();
  for (let at = 0; at < 2 * CONNECTOR_MESSAGES.burst; at += 1) connector.send(toggled(at));
  await connector.closed;
  const again = await world.connect();
  for (let at = 0; at < CONNECTOR_MESSAGES.burst / 2; at += 1) again.send(toggled(at));
  expect((await again.closed).code).toBe(1008);
});

test("[AB2] what found no row is counted in the next one, a minute later", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  for (let at = 0; at <= 120; at += 1) connector.say(toggled(at));
  connector.say({ type: "report", report: { state: "offline" } });
  await expect.poll(() => bench.room.snapshot({ account: ACCOUNT })).toMatchObject({ value: { state: "offline" } });
  expect(await ofMachine(bench)).toBe(MACHINE_ROWS.burst - 1);
  passTime(61_000);
  for (const state of ["online", "unsafe"] as const) connector.say(report(state));
  await expect.poll(async () => (await lines(bench)).at(-1)).toMatch(/"action":"gateway-unsafe".*"more":12/);
});

test("[AB2] a burst of devices that connect loses no row", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const letters = "abcdefghijklmnopqrstuvwxyz";
  const devices = Array.from({ length: MACHINE_ROWS.burst - 1 }, (_each, at) => `${letters[at % 26]}${letters[Math.floor(at / 26)]}`.padEnd(26, "a")); // prettier-ignore
  await keep(bench, devices);
  for (const device of devices) connector.say({ type: "device", device, event: "connected", atMs: 1 });
  await expect.poll(() => ofMachine(bench)).toBe(devices.length);
});

test("[AB2] names of devices that are none here write nothing", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  for (let at = 0; at < 20; at += 1) connector.say({ type: "device", device: "z".repeat(26), event: "paired", atMs: at });
  connector.say(report("unsafe"));
  await expect.poll(async () => (await lines(bench)).at(-1)).toContain("gateway-unsafe");
  expect(await ofMachine(bench)).toBe(1);
});

test("[AB2] a room that is full counts its machine, and still writes down what people do", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const full = vi.spyOn(RoomStorage.prototype, "sizeBytes", "get").mockReturnValue(MAX_ROOM_BYTES + 1);
  try {
    connector.say(report("unsafe"));
    await expect.poll(() => bench.room.snapshot({ account: ACCOUNT })).toMatchObject({ value: { state: "unsafe" } });
    await bench.room.setBudget({ account: ACCOUNT, budget: { microUsd: 5, bytes: 5 } });
    expect(await ofMachine(bench)).toBe(0);
    expect((await lines(bench)).some((line) => line.includes("budget-set"))).toBe(true);
  } finally {
    full.mockRestore();
  }
});

test("[AB2] while one tenant floods, a neighbour signs in and lets a device in", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  for (let at = 0; at < CONNECTOR_MESSAGES.burst; at += 1) connector.say(toggled(at));
  const neighbour = await newGateway();
  await neighbour.connect();
  expect((await allowedDevice(neighbour)).id).toHaveLength(26);
  expect((await ask(`${config.appOrigin}/api/me`, { cookie: await neighbour.person.cookie("app") })).status).toBe(200);
});

test("[AB3] links that come and go write nothing into D1; a long absence is one row of the room", async () => {
  const world = await newGateway();
  const alarm = (): Promise<void> => runInDurableObject(world.room, (room) => (room as unknown as { alarm(): Promise<void> }).alarm());
  let connector = await world.connect();
  await alarm();
  const before = { rows: await rowsInD1(world.gateway), lines: (await lines(world)).length };
  const comesBack = async (afterMs: number): Promise<void> => {
    connector.ws.close(1000);
    await connector.closed;
    await expect.poll(() => world.room.snapshot({ account: world.person.id })).toMatchObject({ value: { state: "no-link" } });
    passTime(afterMs);
    connector = await world.connect();
  };
  for (let at = 0; at < 3; at += 1) await comesBack(AWAY_ROW_MS / 2);
  expect((await lines(world)).length).toBe(before.lines);
  await comesBack(AWAY_ROW_MS + 1_000);
  await alarm();
  const added = (await lines(world)).slice(before.lines).map((line) => (JSON.parse(line) as { action: string }).action);
  expect([added, await rowsInD1(world.gateway)]).toEqual([["gateway-away"], before.rows]);
});

test("[AB9] once a day activity and requests of more than ninety days go, in slices, and nothing else", async () => {
  const account = (await newPerson()).id;
  const nowMs = Date.now();
  const oldMs = nowMs - (ACTIVITY_DAYS * 24 + 1) * 3_600_000;
  const event = env.DB.prepare("INSERT INTO audit_events (id, account_id, actor, action, detail, at_ms) VALUES (?, ?, 'x', 'x', '{}', ?)");
  const request = env.DB.prepare("INSERT INTO pairing_requests (id, gateway_id, device_id, outcome, created_at_ms, decided_at_ms) VALUES (?, 'g', 'd', 'denied', ?, ?)"); // prettier-ignore
  const old = Array.from({ length: RETENTION_SLICE + 5 }, (_each, at) => event.bind(`old-${at}`, account, oldMs));
  await env.DB.batch([
    ...old,
    event.bind("young", account, nowMs - 3_600_000),
    request.bind("old", oldMs, oldMs),
    request.bind("young", nowMs, nowMs),
  ]);
  await worker.scheduled(createScheduledController(), env);
  const kept = await env.DB.prepare("SELECT id FROM audit_events WHERE account_id = ?").bind(account).all<{ id: string }>();
  expect(kept.results.map(({ id }) => id)).toEqual(["young"]);
  const requests = await env.DB.prepare("SELECT id FROM pairing_requests WHERE gateway_id = 'g'").all<{ id: string }>();
  expect(requests.results.map(({ id }) => id)).toEqual(["young"]);
});

test("[AB9] one statement deletes a slice and no more", async () => {
  const oldMs = 1_000;
  const event = env.DB.prepare("INSERT INTO audit_events (id, account_id, actor, action, detail, at_ms) VALUES (?, 'slices', 'x', 'x', '{}', ?)"); // prettier-ignore
  const request = env.DB.prepare("INSERT INTO pairing_requests (id, gateway_id, device_id, outcome, created_at_ms, decided_at_ms) VALUES (?, 'slices', 'd', 'denied', ?, ?)"); // prettier-ignore
  const rows = Array.from({ length: RETENTION_SLICE + 1 }, (_each, at) => [event.bind(`s-${at}`, oldMs), request.bind(`s-${at}`, oldMs, oldMs)]); // prettier-ignore
  await env.DB.batch(rows.flat());
  for (const drop of [dropActivity, dropRequests])
    expect([await drop(env.DB, oldMs + 1), await drop(env.DB, oldMs + 1)]).toEqual([RETENTION_SLICE, 1]);
});

/** @returns the status of a request that a page of this origin sends, where one gateway an account is allowed */
async function cappedStatus(origin: string, path: string, cookie: string): Promise<number> {
  const headers = { origin, "content-type": "application/json", cookie };
  return (await handle(new Request(origin + path, { method: "POST", headers, body: '{"name":"Two"}' }), CAPPED)).status;
}

const CAPPED = { ...env, MAX_GATEWAYS_PER_ACCOUNT: "1" };

test("[AB10] the operator's ceiling of gateways holds for a code, a claim, and a claim that was under way", async () => {
  const person = await newPerson();
  const early = await Machine.begin(null);
  const page = new EnrolPage(person, early.enrolment);
  await page.claim("Early");
  await newGateway(person);
  expect(await cappedStatus(config.appOrigin, "/api/gateways", await person.cookie("app"))).toBe(429);
  const { enrolment } = await Machine.begin(null);
  expect(await cappedStatus(config.approveOrigin, `/api/enrolments/${enrolment}/claim`, await person.cookie("approve"))).toBe(429);
  expect((await finishCeremony(early, page, CAPPED)).confirmed).toMatchObject({ status: 429, code: "too-many" });
});

test("[AB10] a room takes the operator's ceiling of money from the deployment's settings, and the owner's own device stays out, too", async () => {
  const { bench, device } = await connected();
  await makeOwners(bench, device);
  await runInDurableObject(bench.room, async (_room, state) => {
    const storage = new RoomStorage(state.storage);
    const told = { kept: null, keep: () => undefined, reached: () => undefined };
    const meter = new Meter({ ...told, now: () => Date.now(), storage, ceilingMicroUsd: null });
    meter.rows(2_000_000);
    meter.settle();
    const capped = new Room(state, { ...env, MAX_GATEWAY_USD_PER_DAY: "1" });
    expect(await capped.usage({ account: ACCOUNT })).toMatchObject({ value: { level: "over" } });
  });
  const ceiling = vi.spyOn(Meter.prototype, "isOverCeiling", "get").mockReturnValue(true);
  try {
    expect((await upgrade(bench, device)).status).toBe(503);
  } finally {
    ceiling.mockRestore();
  }
});

test("[AB10] over the operator's ceiling of money nobody streams, whatever caused it", () => {
  const storage = { usage: () => null, setUsage: () => undefined, rowsWritten: 0 };
  const options = { now: () => Date.now(), storage, kept: null, keep: () => undefined, reached: () => undefined };
  const meter = new Meter({ ...options, ceilingMicroUsd: 1_000 });
  const free = new Meter({ ...options, ceilingMicroUsd: null });
  // Rows of the machine, which count against no budget of the owner's.
  for (const each of [meter, free]) each.rows(1_001);
  expect([meter.level, meter.isOverCeiling, free.level, free.isOverCeiling]).toEqual(["over", true, "ok", false]);
});
