/** The budget of a day: who is told, whose streams end, and who goes on. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { handle } from "../../src/worker/app.ts";
import type { Room } from "../../src/worker/room/room.ts";
import { ACCOUNT, allowDevice, env, makeOwners, openStream, upgrade, visit } from "./room-bench.ts";
import type { Bench } from "./room-bench.ts";
import { setTime } from "./room-clock.ts";
import { DAY_MS, HOUR_MS, NOON, download, roundTrips, up, usageOf } from "./cost-world.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function actions(bench: Bench): Promise<string[]> {
  const lines = await bench.room.auditLines({ account: ACCOUNT, from: 0, isExport: false });
  return lines.ok ? lines.value.map((line) => (JSON.parse(line) as { action: string }).action) : [];
}

async function budgetNotices(bench: Bench): Promise<string[]> {
  const notices = await env.INBOX.getByName(ACCOUNT).noticeList();
  return notices.flatMap((notice) => (notice.gateway === bench.gateway && "state" in notice ? [notice.state] : []));
}

async function setBytes(bench: Bench, bytes: number): Promise<void> {
  expect(await bench.room.setBudget({ account: ACCOUNT, budget: { microUsd: 1_000_000, bytes } })).toMatchObject({ ok: true });
}

test("[BU3] [BU4] at 80 % the owner is told once; at 100 % the others' streams end with 4429 and new ones get 503 until midnight, the owner's device goes on", async () => {
  setTime(NOON);
  const { bench, connector } = await up();
  const guest = await allowDevice(bench, { expiresAtMs: NOON + DAY_MS });
  const own = await allowDevice(bench);
  await makeOwners(bench, own);
  await setBytes(bench, 1_000_000);
  const theirs = await openStream(bench, connector, guest);
  const mine = await openStream(bench, connector, own);
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
  await roundTrips(await openStream(bench, connector, own), 2);
  await download(bench, connector, own, 10_000);
  // Midnight: nobody has to do anything.
  setTime(NOON + 12 * HOUR_MS);
  await roundTrips(await openStream(bench, connector, guest), 2);
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
  setTime(NOON);
  const { bench, connector, device } = await up();
  // One and a half hours of a room that is held awake cost 0.00864 dollars.
  await bench.room.setBudget({ account: ACCOUNT, budget: { microUsd: 8_000, bytes: 1_000_000 } });
  const answer = visit(bench, device, "/events");
  const exchange = await connector.streams.next();
  exchange.opened(200);
  const body = (await answer).body?.getReader();
  await exchange.body(new Uint8Array(1));
  await body?.read();
  setTime(NOON + 1.5 * HOUR_MS);
  await exchange.body(new Uint8Array(1));
  // The first is the end of the request.
  expect([await exchange.endings.next(), await exchange.endings.next()]).toMatchObject([{ code: 0 }, { code: 4429 }]);
  await vi.waitFor(async () => expect((await usageOf(bench)).level).toBe("over"));
});

test("[BU3] one that sends nothing at all is ended by the next alarm", async () => {
  setTime(NOON);
  const { bench, connector, device } = await up();
  // An hour held awake costs 5,760 millionths, and twelve seconds 19 more; a link that is silent for longer ends by itself.
  await bench.room.setBudget({ account: ACCOUNT, budget: { microUsd: 5_775, bytes: 1_000_000 } });
  const answer = visit(bench, device, "/events");
  const exchange = await connector.streams.next();
  exchange.opened(200);
  const body = (await answer).body?.getReader();
  setTime(NOON + HOUR_MS);
  await exchange.body(new Uint8Array(1));
  await body?.read();
  expect((await usageOf(bench)).level).toBe("warned");
  setTime(NOON + HOUR_MS + 12_000);
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
  await roundTrips(await openStream(bench, connector, device), 2);
});

test("[BU4] with the budget used up the door answers, the owner cuts, and raising it lets the others in at once; a lower one that is used up ends them", async () => {
  const { bench, connector, device: guest } = await up();
  const theirs = await openStream(bench, connector, guest);
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
  await roundTrips(await openStream(bench, connector, other), 2);
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
