/** What a device hears in the place of a gateway that is not served, and that it is served again the moment the gateway is back. */
import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { FakeConnector } from "./fake-connector.ts";
import { ACCOUNT, allowDevice, env, newBench, upgrade, visit } from "./room-bench.ts";
import { ask } from "./world.ts";
import { newDevice } from "../support/fake-device.ts";

const NAVIGATION = { "sec-fetch-mode": "navigate", accept: "text/html" };

test.each([
  ["offline", {}, "OpenClaw is not running on the gateway's machine (connector-gateway).\n", "5"],
  ["starting", {}, "The gateway is starting (connector-gateway).\n", "5"],
  ["restarting", { restartExpectedMs: 20_400 }, "The gateway is restarting (connector-gateway).\n", "21"],
  ["unsafe", { reason: "stranger-admitted" }, "The gateway is not set up safely, so nobody is let in (connector-gateway).\n", "60"],
  ["no-link", {}, "The gateway's machine is off or without internet (room-connector).\n", "5"],
] as const)("[ST10] %s: 503 with the reason and when to ask again; a person gets the door; nothing reaches the connector", async (state, more, text, retry) => {
  const bench = await newBench();
  const device = await allowDevice(bench);
  const connector = await FakeConnector.dial(env, bench.gateway);
  await connector.hello(bench.gateway, bench.identity, { report: { state: state === "no-link" ? "online" : state, ...more } });
  await connector.welcome();
  if (state === "no-link") {
    connector.ws.close(1001, "going away");
    await connector.closed;
  }
  for (const answer of [await visit(bench, device, "/assets/index.js"), await visit(bench, device, "/api/x", { method: "POST", headers: { origin: bench.origin } }), await upgrade(bench, device)]) {
    expect([answer.status, answer.headers.get("retry-after"), answer.headers.get("cache-control")]).toEqual([503, retry, "no-store"]);
    expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect(answer.headers.get("x-gatehouse-refused")).toBe(null);
    expect(await answer.text()).toBe(text);
  }
  const page = await visit(bench, device, "/chat", { headers: NAVIGATION });
  expect([page.status, page.headers.get("retry-after"), page.headers.get("cache-control")]).toEqual([503, retry, "no-store"]);
  // The door's own policy: nothing but its script.
  expect(page.headers.get("content-security-policy")).toMatch(/^default-src 'none';.* script-src 'self';/);
  expect(connector.streams.count).toBe(0);
  const stranger = await visit(bench, null, "/chat", { headers: NAVIGATION });
  expect([stranger.status, stranger.headers.get("retry-after")]).toEqual([200, null]);
}); // prettier-ignore

test("[ST10] the gateway is back: the same room serves the next request", async () => {
  const bench = await newBench();
  const device = await allowDevice(bench);
  const connector = await FakeConnector.dial(env, bench.gateway);
  await connector.hello(bench.gateway, bench.identity, { report: { state: "offline" } });
  await connector.welcome();
  expect((await visit(bench, device, "/")).status).toBe(503);
  connector.say({ type: "report", report: { state: "online" } });
  const stream = connector.streams.next();
  let answer: Response;
  do {
    const asking = visit(bench, device, "/");
    void stream.then((each) => (each.opened(204), each.end()));
    answer = await asking;
  } while (answer.status === 503);
  expect(answer.status).toBe(204);
});

test("[ST10] last seen is the moment OpenClaw was last served, not the last time that its machine said it is away", async () => {
  const bench = await newBench();
  const { key } = await newDevice();
  const seen = async (): Promise<{ gatewayState: string; lastSeenMs: number | null }> =>
    (await ask(`${bench.origin}/.gatehouse/api/challenge`, { method: "POST", body: { key } })).json();
  const until = async (state: string): Promise<void> => {
    for (;;) {
      const snapshot = await bench.room.snapshot({ account: ACCOUNT });
      if (snapshot.ok && snapshot.value.state === state) return;
    }
  };
  const connector = await FakeConnector.dial(env, bench.gateway);
  await connector.hello(bench.gateway, bench.identity, { report: { state: "starting" } });
  await connector.welcome();
  expect((await seen()).lastSeenMs).toBe(null);
  connector.say({ type: "report", report: { state: "online" } });
  await until("online");
  connector.say({ type: "report", report: { state: "offline", reason: "not-running" } });
  await until("offline");
  const left = (await seen()).lastSeenMs ?? 0;
  expect(left).toBeGreaterThan(0);
  while (Date.now() <= left + 1) await bench.room.snapshot({ account: ACCOUNT });
  connector.say({ type: "report", report: { state: "starting" } });
  await until("starting");
  expect((await seen()).lastSeenMs).toBe(left);
  connector.ws.close(1001, "going away");
  await until("no-link");
  expect((await seen()).lastSeenMs).toBeGreaterThan(left);
});

test("[ST10] a gateway that stays away costs no write: the same report again changes nothing in the room", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.dial(env, bench.gateway);
  const report = { state: "offline", reason: "not-running" } as const;
  await connector.hello(bench.gateway, bench.identity, { report });
  await connector.welcome();
  const stored = () => runInDurableObject(bench.room, (_room, state) => JSON.stringify(new RoomStorage(state.storage).meta()));
  await expect.poll(stored).toContain('"acknowledged":1');
  const before = await stored();
  for (let i = 0; i < 3; i += 1) connector.say({ type: "report", report });
  // Comes after them.
  connector.say({ type: "cut-done", device: "d".repeat(26), removed: 0, atMs: 1, by: "owner" });
  await expect
    .poll(() => runInDurableObject(bench.room, (_room, state) => new RoomStorage(state.storage).auditLines(0, 9).join(" ")))
    .toContain("cut-done");
  expect(await stored()).toBe(before);
});
