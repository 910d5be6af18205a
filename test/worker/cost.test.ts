/** What each event costs: wake-ups, rows and billed requests, as the room counts them and as they are seen from outside. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { COUNTED } from "../../src/protocol/usage.ts";
import type { Counts, Usage } from "../../src/protocol/usage.ts";
import { ROOM_PING } from "../../src/protocol/words.ts";
import { handle } from "../../src/worker/app.ts";
import { Relay } from "../../src/worker/room/relay.ts";
import { Room } from "../../src/worker/room/room.ts";
import { RoomStorage } from "../../src/worker/room/storage.ts";
import { FakeConnector } from "./fake-connector.ts";
import type { FakeStream } from "./fake-connector.ts";
import { ACCOUNT, FakeBrowser, allowDevice, env, newBench, upgrade, visit } from "./room-bench.ts";
import type { AllowedDevice, Bench } from "./room-bench.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Of a day to come: an alarm at a time that is past would ring by itself. */
const NOON = (Math.floor(Date.now() / DAY_MS) + 2) * DAY_MS + 12 * HOUR_MS;

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function at(nowMs: number): void {
  vi.useFakeTimers({ now: nowMs, toFake: ["Date"] });
}

async function usageOf(bench: Bench): Promise<Usage> {
  const usage = await bench.room.usage({ account: ACCOUNT });
  if (!usage.ok) throw new Error("no usage");
  return usage.value;
}

async function settled(bench: Bench): Promise<void> {
  for (let i = 0; i < 20 && (await runDurableObjectAlarm(bench.room)); i += 1);
}

/** What an event made the room count, apart from time and bytes. Looking is a call, too, and taken out. */
async function counted(bench: Bench, event: () => Promise<unknown>): Promise<Partial<Counts>> {
  const { counts: before } = await usageOf(bench);
  await event();
  const { counts: after } = await usageOf(bench);
  const names = COUNTED.filter((name) => !["awakeMs", "otherAwakeMs", "bytes"].includes(name));
  const more = names.map((name) => [name, after[name] - before[name] - (name === "calls" ? 1 : 0)] as const);
  return Object.fromEntries(more.filter(([, value]) => value !== 0)) as Partial<Counts>;
}

/** Seen from outside: handlers that the runtime called, and how often a room was built, which is what waking one means. */
function countWakes(): () => number {
  const names = ["fetch", "webSocketMessage", "webSocketClose", "webSocketError", "alarm"] as const;
  const handlers = names.map((name) => vi.spyOn(Room.prototype, name));
  const built = vi.spyOn(Relay.prototype, "setWaiting");
  return () => [...handlers, built].reduce((sum, { mock }) => sum + mock.calls.length, 0);
}

/** Every row of the room. */
function rows(bench: Bench): Promise<string> {
  return runInDurableObject(bench.room, (_room, { storage: { sql } }) => {
    const tables = sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'").toArray(); // prettier-ignore
    return JSON.stringify(tables.map(({ name }) => sql.exec(`SELECT * FROM ${name}`).toArray()));
  });
}

interface Open {
  readonly stream: FakeStream;
  readonly browser: FakeBrowser;
}

async function open(bench: Bench, connector: FakeConnector, device: AllowedDevice): Promise<Open> {
  const answer = upgrade(bench, device);
  const stream = await connector.streams.next();
  stream.opened();
  return { stream, browser: new FakeBrowser(await answer) };
}

async function roundTrips({ stream, browser }: Open, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    browser.ws.send(`up ${i}`);
    await stream.messages.next();
    await stream.send(`down ${i}`);
    await browser.messages.next();
  }
}

async function download(bench: Bench, connector: FakeConnector, device: AllowedDevice, bytes: number): Promise<void> {
  const read = visit(bench, device, "/x").then((answer) => answer.arrayBuffer());
  const exchange = await connector.streams.next();
  exchange.opened(200);
  // One that the room ends takes no more: then the reading ends, too.
  void exchange.body(new Uint8Array(bytes)).then(() => exchange.end());
  await read;
}

async function up(): Promise<{ bench: Bench; connector: FakeConnector; device: AllowedDevice }> {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const device = await allowDevice(bench);
  await settled(bench);
  return { bench, connector, device };
}

test("[BU1] what each event is billed for: opening, a message each way, an HTTP exchange, a heartbeat, an alarm", async () => {
  const { bench, connector, device } = await up();
  let stream: Open | null = null;
  // OPENED comes in as one message; the alarms that watch over session and link are one row each.
  const opening = await counted(bench, async () => {
    stream = await open(bench, connector, device);
  });
  expect(opening).toEqual({ upgrades: 1, messages: 1, rowsWritten: 2 });
  const opened = stream as unknown as Open;
  expect(await counted(bench, () => roundTrips(opened, 1))).toEqual({ messages: 2 });
  expect(await counted(bench, () => roundTrips(opened, 20))).toEqual({ messages: 40 });
  // OPENED, one frame of body, END; while something is open no alarm is set anew.
  expect(await counted(bench, () => download(bench, connector, device, 1000))).toEqual({ exchanges: 1, messages: 3 });
  const beats = async (): Promise<void> => {
    for (let beat = 0; beat < 20; beat += 1) {
      connector.ws.send(ROOM_PING);
      await connector.pongs.next();
    }
  };
  expect(await counted(bench, beats)).toEqual({});
  // The next look at the link's life is one row.
  expect(await counted(bench, () => runDurableObjectAlarm(bench.room))).toEqual({ alarms: 1, rowsWritten: 1 });
});

test("[BU1] [BU2] an idle hour is free: no wake-up, no row, no billed request, and no alarm is left that would make one", async () => {
  const { bench, connector } = await up();
  const before = await rows(bench);
  const start = await usageOf(bench);
  await evictDurableObject(bench.room);
  const wakes = countWakes();
  for (let beat = 0; beat < 120; beat += 1) {
    connector.ws.send(ROOM_PING);
    await connector.pongs.next();
  }
  expect(wakes()).toBe(0);
  expect(await runDurableObjectAlarm(bench.room)).toBe(false);
  expect(await rows(bench)).toBe(before);
  // The look itself woke it, and was a call.
  const end = await usageOf(bench);
  expect({ ...end.counts, otherAwakeMs: 0 }).toEqual({ ...start.counts, calls: start.counts.calls + 1, wakes: start.counts.wakes + 1, otherAwakeMs: 0 }); // prettier-ignore
});

test("[BU2] relaying writes no row; the counts are stored by an alarm that runs anyway, every five minutes at most", async () => {
  at(NOON);
  const { bench, connector, device } = await up();
  const opened = await open(bench, connector, device);
  const before = await rows(bench);
  await roundTrips(opened, 100);
  expect(await rows(bench)).toBe(before);
  // A link that nobody uses is not watched: time may pass.
  opened.browser.ws.close(1000, "done");
  await opened.stream.endings.next();
  at(NOON + 4 * 60_000);
  await runInDurableObject(bench.room, (room) => (room as unknown as Room).alarm());
  expect(await rows(bench)).toBe(before);
  at(NOON + 5 * 60_000);
  await runInDurableObject(bench.room, (room) => (room as unknown as Room).alarm());
  const stored = await runInDurableObject(bench.room, (_room, state) => new RoomStorage(state.storage).usage());
  expect(stored?.record.today).toMatchObject({ messages: 201, upgrades: 1 });
});

test("[BU2] what was counted survives the room's sleep without a row, and a lost link; a sleep costs a thirty-second part at most", async () => {
  const { bench, connector, device } = await up();
  const opened = await open(bench, connector, device);
  const before = await rows(bench);
  const { counts: start } = await usageOf(bench);
  // Near a wake every message is kept at once.
  for (let wake = 1; wake <= 3; wake += 1) {
    await roundTrips(opened, 10);
    await evictDurableObject(bench.room);
    expect((await usageOf(bench)).counts.messages).toBe(start.messages + 20 * wake);
  }
  await roundTrips(opened, 200);
  await evictDurableObject(bench.room);
  const { counts: later } = await usageOf(bench);
  expect(later.messages).toBeLessThanOrEqual(start.messages + 460);
  expect(later.messages).toBeGreaterThanOrEqual(start.messages + 460 - 400 / 32);
  expect(await rows(bench)).toBe(before);
  connector.ws.close(1000, "gone");
  await opened.browser.closed;
  await evictDurableObject(bench.room);
  expect((await usageOf(bench)).counts.messages).toBe(later.messages);
});

test("[BU2] kept counts that are spoilt cost the counts since the last row, and neither the link nor a stream", async () => {
  const { bench, connector, device } = await up();
  const opened = await open(bench, connector, device);
  await roundTrips(opened, 5);
  for (const usage of [[Number.NaN], [1, 2, 3], "x", Array.from({ length: 25 }, () => -5)]) {
    await runInDurableObject(bench.room, (_room, state) => {
      for (const ws of state.getWebSockets("link")) ws.serializeAttachment({ ...(ws.deserializeAttachment() as object), usage });
    });
    await evictDurableObject(bench.room);
    await roundTrips(opened, 1);
    const { counts } = await usageOf(bench);
    for (const name of COUNTED) expect(counts[name], name).toBeGreaterThanOrEqual(0);
    expect(counts.messages).toBeGreaterThan(0);
  }
});

test("[BU2] nothing that a device does makes the counts smaller: reconnects, cuts, resets and sleeps in any order", async () => {
  const { bench, connector, device } = await up();
  let least = (await usageOf(bench)).today;
  const steps: (() => Promise<unknown>)[] = [
    async () => roundTrips(await open(bench, connector, device), 3),
    async () => (await open(bench, connector, device)).browser.ws.close(4000, "x"),
    async () => (await open(bench, connector, device)).stream.reset(1011, "x"),
    () => download(bench, connector, device, 100_000),
    () => evictDurableObject(bench.room),
    () => visit(bench, null, "/.gatehouse/api/challenge", { method: "POST", body: "{" }),
    () => settled(bench),
  ];
  for (const i of [0, 4, 1, 2, 6, 3, 4, 5, 0, 4, 6, 2, 3, 1, 4]) {
    await steps[i]?.();
    const { today } = await usageOf(bench);
    expect(today.bytes).toBeGreaterThanOrEqual(least.bytes);
    expect(today.microUsd).toBeGreaterThanOrEqual(least.microUsd);
    least = today;
  }
  expect(least.bytes).toBeGreaterThan(200_000);
});

// --- the budget -------------------------------------------------------------------------------------------------------------------

/** Makes a device one of the owner's own, as a same-device grant does. */
async function makeOwners(bench: Bench, { device }: AllowedDevice): Promise<void> {
  const key = { kty: "OKP", crv: "Ed25519", x: "A".repeat(43) } as const;
  const row = { id: device, key, name: "Mine", platform: "", browser: "", access: "full" as const, kind: "owner" as const, grant: "g".repeat(26), state: "allowed" as const, createdAtMs: 1, lastSeenMs: null, notAfterMs: NOON * 2, token: null, activation: null }; // prettier-ignore
  await runInDurableObject(bench.room, (_room, state) => new RoomStorage(state.storage).put("devices", device, row));
}

async function actions(bench: Bench): Promise<string[]> {
  const lines = await bench.room.auditLines({ account: ACCOUNT, from: 0, isExport: false });
  return lines.ok ? lines.value.map((line) => (JSON.parse(line) as { action: string }).action) : [];
}

async function budgetNotices(bench: Bench): Promise<string[]> {
  const notices = await env.INBOX.getByName(ACCOUNT).noticeList();
  return notices.filter((notice) => notice.gateway === bench.gateway).map((notice) => notice.state);
}

async function setBytes(bench: Bench, bytes: number): Promise<void> {
  expect(await bench.room.setBudget({ account: ACCOUNT, budget: { microUsd: 1_000_000, bytes } })).toMatchObject({ ok: true });
}

test("[BU3] [BU4] at 80 % the owner is told once; at 100 % the others' streams end with 4429 and new ones get 503 until midnight, the owner's device goes on", async () => {
  at(NOON);
  const { bench, connector } = await up();
  const guest = await allowDevice(bench, { expiresAtMs: NOON + DAY_MS });
  const own = await allowDevice(bench);
  await makeOwners(bench, own);
  await setBytes(bench, 1_000_000);
  const theirs = await open(bench, connector, guest);
  const mine = await open(bench, connector, own);
  await download(bench, connector, guest, 750_000);
  expect(await budgetNotices(bench)).toEqual([]);
  await download(bench, connector, guest, 60_000);
  await vi.waitFor(async () => expect(await budgetNotices(bench)).toEqual(["budget-warned"]));
  expect((await usageOf(bench)).level).toBe("warned");
  await roundTrips(theirs, 2);
  expect((await actions(bench)).filter((action) => action.startsWith("budget"))).toEqual(["budget-set", "budget-warned"]);
  await download(bench, connector, own, 250_000);
  expect(await theirs.browser.closed).toMatchObject({ code: 4429, reason: expect.stringContaining("budget") as string });
  expect(await theirs.stream.endings.next()).toMatchObject({ code: 4429 });
  expect((await actions(bench)).filter((action) => action.startsWith("budget"))).toEqual(["budget-set", "budget-warned", "budget-used-up"]); // prettier-ignore
  await vi.waitFor(async () => expect(await budgetNotices(bench)).toEqual(["budget-used-up"]));
  for (const refused of [await upgrade(bench, guest), await visit(bench, guest, "/")]) {
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, String((12 * HOUR_MS) / 1000)]);
    expect(await refused.text()).toContain("budget");
    expect(refused.headers.has("x-gatehouse-refused")).toBe(false);
  }
  await roundTrips(mine, 2);
  await roundTrips(await open(bench, connector, own), 2);
  await download(bench, connector, own, 10_000);
  // Midnight: nobody has to do anything.
  at(NOON + 12 * HOUR_MS);
  await roundTrips(await open(bench, connector, guest), 2);
  expect((await usageOf(bench)).level).toBe("ok");
  expect(await budgetNotices(bench)).toEqual([]);
});

test("[BU4] a person who comes to a gateway whose budget is used up gets a page that says so, not the door", async () => {
  const { bench, device } = await up();
  await bench.room.setBudget({ account: ACCOUNT, budget: { microUsd: 0, bytes: 0 } });
  const asked: string[] = [];
  const fetch = (url: string) => {
    asked.push(new URL(url).pathname);
    return Promise.resolve(new Response("<body></body>"));
  };
  const request = new Request(`${bench.origin}/chat`, { headers: { cookie: device.cookie, "sec-fetch-mode": "navigate" } });
  const page = await handle(request, { ...env, ASSETS: { fetch } as unknown as Fetcher });
  expect([page.status, page.headers.get("cache-control"), await page.text(), asked]).toEqual([
    503,
    "no-store",
    "<body></body>",
    ["/door/used-up"],
  ]);
  expect(Number(page.headers.get("retry-after"))).toBeGreaterThan(0);
});

test("[BU4] an exchange and an upgrade under way end with the budget, too: 503 for what was not answered, a body that breaks off for what was", async () => {
  const { bench, connector, device: guest } = await up();
  const unanswered = visit(bench, guest, "/slow");
  await connector.streams.next();
  const half = visit(bench, guest, "/half");
  const exchange = await connector.streams.next();
  exchange.opened(200, [["content-length", "1000"]]);
  await exchange.body(new Uint8Array(10));
  const answered = await half;
  const waiting = upgrade(bench, guest);
  await connector.streams.next();
  await bench.room.setBudget({ account: ACCOUNT, budget: { microUsd: 0, bytes: 0 } });
  expect([(await unanswered).status, (await waiting).status]).toEqual([503, 503]);
  expect((await unanswered).headers.get("retry-after")).not.toBe(null);
  await expect(answered.arrayBuffer()).rejects.toThrow();
});

test("[BU3] money counts as bytes do: a stream that only keeps the room awake uses the budget up", async () => {
  at(NOON);
  const { bench, connector, device } = await up();
  // One and a half hours of a room that is held awake cost 0.00864 dollars.
  await bench.room.setBudget({ account: ACCOUNT, budget: { microUsd: 8_000, bytes: 1_000_000 } });
  const answer = visit(bench, device, "/events");
  const exchange = await connector.streams.next();
  exchange.opened(200);
  const body = (await answer).body?.getReader();
  await exchange.body(new Uint8Array(1));
  await body?.read();
  at(NOON + 1.5 * HOUR_MS);
  await exchange.body(new Uint8Array(1));
  // The first is the end of the request.
  expect([await exchange.endings.next(), await exchange.endings.next()]).toMatchObject([{ code: 0 }, { code: 4429 }]);
  await vi.waitFor(async () => expect((await usageOf(bench)).level).toBe("over"));
});

test("[BU3] one that sends nothing at all is ended by the next alarm", async () => {
  at(NOON);
  const { bench, connector, device } = await up();
  // An hour held awake costs 5,760 millionths, and fourteen seconds 22 more.
  await bench.room.setBudget({ account: ACCOUNT, budget: { microUsd: 5_775, bytes: 1_000_000 } });
  const answer = visit(bench, device, "/events");
  const exchange = await connector.streams.next();
  exchange.opened(200);
  const body = (await answer).body?.getReader();
  at(NOON + HOUR_MS);
  await exchange.body(new Uint8Array(1));
  await body?.read();
  expect((await usageOf(bench)).level).toBe("warned");
  at(NOON + HOUR_MS + 14_000);
  await runInDurableObject(bench.room, (room) => (room as unknown as Room).alarm());
  expect([await exchange.endings.next(), await exchange.endings.next()]).toMatchObject([{ code: 0 }, { code: 4429 }]);
});

test("[BU3] strangers cannot use the budget up: what they ask for is counted and costs the allowed devices nothing", async () => {
  const { bench, connector, device } = await up();
  await bench.room.setBudget({ account: ACCOUNT, budget: { microUsd: 100, bytes: 1_000_000 } });
  const before = await usageOf(bench);
  for (let i = 0; i < 300; i += 1) await bench.room.fetch(new Request(`${bench.origin}/.gatehouse/api/challenge`, { method: "POST", body: "{", headers: { "x-gatehouse-kind": "challenge" } })); // prettier-ignore
  // A cookie whose session is over is a stranger's, too.
  for (let i = 0; i < 100; i += 1) await bench.room.fetch(new Request(`${bench.origin}/`, { headers: { "x-gatehouse-kind": "stream", "x-gatehouse-session": "none" } })); // prettier-ignore
  const after = await usageOf(bench);
  expect(after.counts.doorRequests - before.counts.doorRequests).toBe(400);
  expect(after.microUsd - before.microUsd).toBeGreaterThan(100);
  expect(after.share).toBe(before.share);
  await roundTrips(await open(bench, connector, device), 2);
});

test("[BU4] with the budget used up the door answers, the owner cuts, and raising it lets the others in at once; a lower one that is used up ends them", async () => {
  const { bench, connector, device: guest } = await up();
  const theirs = await open(bench, connector, guest);
  await roundTrips(theirs, 5);
  await bench.room.setBudget({ account: ACCOUNT, budget: { microUsd: 0, bytes: 0 } });
  expect(await theirs.browser.closed).toMatchObject({ code: 4429 });
  const door = await visit(bench, null, "/.gatehouse/api/challenge", { method: "POST", headers: { origin: bench.origin }, body: JSON.stringify({ key: { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" } }) }); // prettier-ignore
  expect(door.status).toBe(200);
  await makeOwners(bench, guest);
  void bench.room.cut({ account: ACCOUNT, device: guest.device });
  while ((await connector.control.next()).type !== "cut");
  const other = await allowDevice(bench);
  expect((await upgrade(bench, other)).status).toBe(503);
  await setBytes(bench, 1_000_000);
  await roundTrips(await open(bench, connector, other), 2);
  await vi.waitFor(async () => expect(await budgetNotices(bench)).toEqual([]));
});

test("[BU4] the notice stays away once the owner has read it, and comes again when more is reached", async () => {
  const { bench, connector, device } = await up();
  await setBytes(bench, 1_000_000);
  await download(bench, connector, device, 850_000);
  await vi.waitFor(async () => expect(await budgetNotices(bench)).toEqual(["budget-warned"]));
  await bench.room.readBudgetNotice({ account: ACCOUNT });
  await vi.waitFor(async () => expect(await budgetNotices(bench)).toEqual([]));
  await bench.room.snapshot({ account: ACCOUNT });
  await evictDurableObject(bench.room);
  await bench.room.snapshot({ account: ACCOUNT });
  expect(await budgetNotices(bench)).toEqual([]);
  await download(bench, connector, device, 160_000).catch(() => undefined);
  await vi.waitFor(async () => expect(await budgetNotices(bench)).toEqual(["budget-used-up"]));
});
