/** What fails inside a room is heard outside: one damped line and one point, a code and never a text. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Env } from "../../src/worker/env.ts";
import { Defect, failureCode } from "../../src/worker/failure-code.ts";
import { failureReport } from "../../src/worker/failures.ts";
import { ConfigError } from "../../src/worker/config.ts";
import type { FailureEntry } from "../../src/worker/log.ts";
import { Notices } from "../../src/worker/room/outbound/inbox-feed.ts";
import type { Room } from "../../src/worker/room/room.ts";
import { runAlarm } from "../../src/worker/room/alarm-parts.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { passTime } from "./room-clock.ts";
import { allowDevice, env, newBench, visit } from "./room-bench.ts";
import type { Bench } from "./room-bench.ts";
import { FakeConnector } from "./fake-connector.ts";

const SECRET_TEXT = "text of a foreign error";
let lines: FailureEntry[];
let requests: string[];

beforeEach(() => {
  lines = [];
  requests = [];
  vi.spyOn(console, "log").mockImplementation((line: string) => {
    const entry = JSON.parse(line) as FailureEntry | { event: "request"; decision: string };
    if (entry.event === "failure") lines.push(entry);
    else requests.push(entry.decision);
  });
});

afterEach(() => {
  expect(JSON.stringify(lines)).not.toContain(SECRET_TEXT);
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function inRoom<T>(bench: Bench, work: (state: DurableObjectState, room: Room) => T | Promise<T>): Promise<T> {
  return runInDurableObject(bench.room, (room, state) => work(state, room as unknown as Room));
}

async function alarm(bench: Bench): Promise<void> {
  await inRoom(bench, (state) => state.storage.setAlarm(Date.now()));
  await runDurableObjectAlarm(bench.room);
}

const places = (): string[] => lines.map((each) => each.place);

test("[OP3] a room that fails in a request says so: mark, line, and the gateway by eight characters", async () => {
  const bench = await newBench();
  const device = await allowDevice(bench);
  await inRoom(bench, (state) => state.storage.sql.exec("ALTER TABLE sessions RENAME TO sessions_away"));
  const answer = await visit(bench, device, "/x");
  expect([answer.status, answer.headers.get("x-gatehouse-failed")]).toEqual([500, null]);
  await expect.poll(() => lines).toEqual([
    { event: "failure", place: "room-request", code: "database", times: 1, version: expect.any(String), gateway: expect.stringMatching(/^[\w-]{8}$/) },
  ]); // prettier-ignore
  await expect.poll(() => requests).toContain("room-failed");
});

test("[OP3] a room that fails in a message or a call says so", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  await inRoom(bench, (state) => state.storage.sql.exec("ALTER TABLE meta RENAME TO meta_away"));
  connector.say({ type: "report", report: { state: "offline", reason: "not-running" } });
  await expect.poll(places).toContain("room-message");
  expect(await inRoom(bench, (_state, room) => room.snapshot({ account: "anybody" }).catch(() => "failed"))).toBe("failed");
  await expect.poll(places).toContain("room-call");
});

test("[OP3] [OP6] a part of the alarm that fails is counted and put off ever longer, and the others still run", async () => {
  const bench = await newBench();
  await inRoom(bench, (state) => state.storage.sql.exec("ALTER TABLE requests RENAME TO requests_away"));
  const waits: number[] = [];
  for (let at = 0; at < 10; at += 1) {
    await alarm(bench);
    waits.push((await inRoom(bench, (state) => state.storage.getAlarm()) ?? 0) - Date.now()); // prettier-ignore
  }
  await expect.poll(() => lines.map(({ place, times }) => `${place} ${times}`)).toEqual(["alarm-expiry 1", "alarm-expiry 10"]);
  expect(await inRoom(bench, (state) => new RoomStorage(state.storage).alarmFailures)).toEqual({ "alarm-expiry": 10 });
  expect(waits[0]).toBeLessThanOrEqual(120_000);
  expect(waits[9]).toBeGreaterThan(25 * 60_000);
  await inRoom(bench, (state) => state.storage.sql.exec("DROP TABLE IF EXISTS requests; ALTER TABLE requests_away RENAME TO requests"));
  passTime(3_600_000);
  await alarm(bench);
  expect(await inRoom(bench, (state) => new RoomStorage(state.storage).alarmFailures)).toEqual({});
});

test("[OP6] a part that fails keeps no other from running, nor does a count that cannot be stored", async () => {
  const [done, wakes, failed]: [string[], number[], string[]] = [[], [], []];
  const storage = {
    get alarmFailures() {
      return {};
    },
    set alarmFailures(_failures: object) {
      throw new Error(SECRET_TEXT);
    },
  } as unknown as RoomStorage;
  const parts = {
    "alarm-streams": () => Promise.reject(new Error(SECRET_TEXT)),
    "alarm-owed": () => {
      throw new Error(SECRET_TEXT);
    },
    "alarm-outbox": () => {
      done.push("outbox");
      return 7;
    },
  };
  await runAlarm(parts, 0, {
    storage,
    report: (place) => void failed.push(place),
    wakeBy: (atMs) => void wakes.push(atMs),
    draw: () => 0,
  });
  expect([done, wakes, failed]).toEqual([["outbox"], [60_000, 60_000, 7], ["alarm-streams", "alarm-owed", "alarm-count"]]);
});

test("[OP3] an outbox whose database is away says so, and keeps what it has", async () => {
  const bench = await newBench();
  await env.DB.exec("ALTER TABLE audit_events RENAME TO audit_events_away");
  try {
    const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
    connector.say({ type: "alarm", alarm: "audit-rewound", atMs: 1 });
    await expect.poll(() => inRoom(bench, (state) => new RoomStorage(state.storage).outbox(10).length)).toBeGreaterThan(0);
    await alarm(bench);
    await expect.poll(() => lines.map(({ place, code }) => `${place} ${code}`)).toContain("outbox database");
  } finally {
    await env.DB.exec("ALTER TABLE audit_events_away RENAME TO audit_events");
  }
});

test("[OP3] an inbox that does not answer is reported, and the room goes on", async () => {
  const bench = await newBench();
  const report = vi.fn();
  await inRoom(bench, async (state) => {
    const broken = { ...env, INBOX: { getByName: () => { throw new RangeError(SECRET_TEXT); } } } as unknown as Env; // prettier-ignore
    const notices = new Notices(state, broken, new RoomStorage(state.storage), { called: () => undefined, report });
    await notices.inboxes("see", (inbox) => inbox.list());
  });
  expect(report.mock.calls).toEqual([["inbox", expect.any(RangeError)]]);
});

test("[OP3] each failure is a point of the metrics, also those without a line", async () => {
  const points: unknown[] = [];
  const METRICS = { writeDataPoint: (point: unknown) => points.push(point) } as unknown as AnalyticsEngineDataset;
  const report = failureReport({ ...env, METRICS });
  for (let at = 0; at < 12; at += 1) report("outbox", new TypeError(SECRET_TEXT));
  await expect.poll(() => lines.map(({ times }) => times)).toEqual([1, 10]);
  expect(points).toHaveLength(12);
  expect(points[0]).toEqual({ indexes: ["failure"], blobs: ["failure", "outbox", "TypeError", expect.any(String)], doubles: [1] });
});

test.each<[string, unknown]>([
  ["sign-up", new ConfigError("sign-up")],
  ["room-not-set-up", new Defect("room-not-set-up")],
  ["database", new Error("outer", { cause: new Error("D1_ERROR: no such table: x") })],
  ["overloaded", Object.assign(new Error(SECRET_TEXT), { overloaded: true })],
  ["retryable", Object.assign(new Error(SECRET_TEXT), { retryable: true })],
  ["RangeError", new RangeError(SECRET_TEXT)],
  ["unknown", Object.assign(new Error("x"), { name: SECRET_TEXT })],
  ["unknown", SECRET_TEXT],
  ["unknown", null],
])("[OP4] an error is %s, whatever its text", (code, error) => {
  expect(failureCode(error)).toBe(code);
});
