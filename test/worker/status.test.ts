/** The status of a gateway: what an allowed device sees of it, and that nobody else sees that there is anything. */
import { expect, test } from "vitest";
import type { StatusResponse } from "../../src/protocol/door-messages.ts";
import { statusResponseSchema } from "../../src/protocol/door-messages.ts";
import { handle } from "../../src/worker/app.ts";
import { FakeConnector } from "./fake-connector.ts";
import { ACCOUNT, FakeBrowser, allowDevice, env, newBench, upgrade, visit } from "./room-bench.ts";
import type { AllowedDevice, Bench } from "./room-bench.ts";
import { allowedDevice, ask, newGateway, openSession } from "./world.ts";

const PATHS = ["/.gatehouse/status", "/.gatehouse/api/status"] as const;

/** Everything of an answer that a client sees. */
async function whole(response: Response): Promise<string> {
  return JSON.stringify([response.status, [...response.headers], await response.text()]);
}

async function statusOf(bench: Bench, device: AllowedDevice): Promise<StatusResponse> {
  const response = await visit(bench, device, "/.gatehouse/api/status");
  expect([response.status, response.headers.get("cache-control")]).toEqual([200, "no-store"]);
  return statusResponseSchema.strict().parse(await response.json());
}

async function until(bench: Bench, device: AllowedDevice, state: string): Promise<StatusResponse> {
  for (;;) {
    const status = await statusOf(bench, device);
    if (status.gatewayState === state) return status;
  }
}

test("[OB7] an allowed device sees state, link and the last break with its leg, through everything that happens", async () => {
  const bench = await newBench();
  const device = await allowDevice(bench);
  expect(await statusOf(bench, device)).toMatchObject({ gatewayName: "Home", gatewayState: "no-link", linkSinceMs: null, lastBreak: null });
  const beganMs = Date.now();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const online = await until(bench, device, "online");
  expect(online.linkSinceMs).toBeGreaterThanOrEqual(beganMs);
  expect(online.lastBreak).toBe(null);
  connector.say({ type: "report", report: { state: "restarting", restartExpectedMs: 9_000 } });
  const restarting = await until(bench, device, "restarting");
  expect(restarting).toMatchObject({ restartExpectedMs: 9_000, linkSinceMs: online.linkSinceMs, lastBreak: { leg: "connector-gateway" } });
  connector.say({ type: "report", report: { state: "starting" } });
  expect((await until(bench, device, "starting")).lastBreak).toEqual(restarting.lastBreak);
  // Away again before it was ever back: that is the same break.
  connector.say({ type: "report", report: { state: "offline", reason: "not-running" } });
  expect((await until(bench, device, "offline")).lastBreak).toEqual(restarting.lastBreak);
  connector.say({ type: "report", report: { state: "unsafe", reason: "too-old" } });
  expect((await until(bench, device, "unsafe")).lastBreak).toEqual(restarting.lastBreak);
  connector.ws.close(1001, "going away");
  const gone = await until(bench, device, "no-link");
  expect(gone).toMatchObject({ linkSinceMs: null, lastBreak: { leg: "room-connector" } });
  expect(gone.lastBreak?.atMs).toBe(gone.lastSeenMs);
  // The owner sees the same.
  expect(await bench.room.snapshot({ account: ACCOUNT })).toMatchObject({ value: { linkSinceMs: null, lastBreak: gone.lastBreak } });
});

test("[OB7] a stream that breaks names its leg; one that its end closed is no break", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const device = await allowDevice(bench);
  const open = async () => {
    const answer = upgrade(bench, device);
    const stream = await connector.streams.next();
    stream.opened();
    return { stream, browser: new FakeBrowser(await answer) };
  };
  const closed = await open();
  closed.stream.close(1000, "bye");
  await closed.browser.closed;
  expect((await statusOf(bench, device)).lastBreak).toBe(null);
  const broken = await open();
  broken.stream.reset(4502, "connector-gateway: connection lost");
  await broken.browser.closed;
  expect((await statusOf(bench, device)).lastBreak).toMatchObject({ leg: "connector-gateway" });
});

test("[OB7] strangers, sessions that are over, cut devices and pages of other origins get the answer of an address where nothing is", async () => {
  const bench = await newBench();
  const other = await newBench();
  const [device, elsewhere] = [await allowDevice(bench), await allowDevice(other)];
  const nothing = await whole(await visit(bench, null, "/.gatehouse/nonsense"));
  expect(nothing).toContain("[404,");
  const over = await allowDevice(bench, { expiresAtMs: Date.now() - 1 });
  // The cookie is still good, and the room knows the session no more.
  const forgotten = { ...device, cookie: device.cookie };
  for (const path of PATHS) {
    for (const who of [null, over, elsewhere]) expect(await whole(await visit(bench, who, path)), path).toBe(nothing);
    for (const site of ["same-site", "cross-site"]) {
      const headers = { "sec-fetch-site": site, "sec-fetch-mode": "cors", "sec-fetch-dest": "empty" };
      expect(await whole(await visit(bench, device, path, { headers })), path).toBe(nothing);
    }
    expect(await whole(await visit(bench, device, path, { method: "POST" }))).toBe(nothing);
    expect((await visit(bench, device, path)).status).toBe(200);
  }
  await bench.room.remove({ account: ACCOUNT });
  for (const path of PATHS) expect(await whole(await visit(bench, forgotten, path))).toBe(nothing);
});

test("[OB7] a device that is cut finds nothing from that moment on", async () => {
  const world = await newGateway();
  await world.connect();
  const device = await allowedDevice(world);
  const { session } = await openSession(world, device);
  const see = () => ask(`${world.origin}/.gatehouse/api/status`, session === null ? {} : { cookie: session });
  expect((await see()).status).toBe(200);
  await world.room.cut({ account: world.person.id, device: device.id });
  expect(await whole(await see())).toBe(await whole(await ask(`${world.origin}/.gatehouse/nonsense`)));
});

test("[OB7] the page is the door's kind of page: nothing but its own script, and never kept", async () => {
  const bench = await newBench();
  const device = await allowDevice(bench);
  const asked: string[] = [];
  const assets = {
    fetch: (url: string) => {
      asked.push(new URL(url).pathname);
      return Promise.resolve(new Response("<body></body>"));
    },
  };
  const request = new Request(`${bench.origin}/.gatehouse/status`, { headers: { cookie: device.cookie } });
  const page = await handle(request, { ...env, ASSETS: assets as unknown as Fetcher });
  expect([page.status, page.headers.get("cache-control"), await page.text()]).toEqual([200, "no-store", "<body></body>"]);
  expect(page.headers.get("content-security-policy")).toMatch(/^default-src 'none';.* frame-ancestors 'none';.* script-src 'self';/);
  expect(asked).toEqual(["/door/status"]);
});
