/** Measuring the hops: who may, what it says of a gateway that is away, and that a delay shows where it is and nowhere else. */
import { evictDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import type { Hops } from "../../src/protocol/api.ts";
import { HOPS } from "../../src/protocol/hop-names.ts";
import type { Hop } from "../../src/protocol/hop-names.ts";
import { HOP_PATIENCE_MS, HOP_ROUNDS, MEASURINGS } from "../../src/protocol/limits.ts";
import { ROOM_PING } from "../../src/protocol/words.ts";
import { whereabouts } from "../../src/worker/room/dashboard/colo.ts";
import { measureHops } from "../../src/worker/services/latency.ts";
import { FakeConnector } from "./fake-connector.ts";
import { ACCOUNT, env, newBench } from "./room-bench.ts";
import type { Bench } from "./room-bench.ts";
import { ask, config, dump, newGateway } from "./world.ts";
import type { GatewayWorld } from "./world.ts";

afterEach(() => vi.restoreAllMocks());

/** A clock that only the test moves. */
class Clock {
  nowMs = 0;
  readonly read = (): number => this.nowMs;
}

/** A connector whose answers to a measuring are what its clock says passed on each of its two hops. */
function answering(connector: FakeConnector, clock: Clock, delays: Readonly<Partial<Record<Hop, number>>>): void {
  const over = (hop: Hop): { medianMs: number; samples: number } => {
    const before = clock.read();
    clock.nowMs += delays[hop] ?? 0;
    const medianMs = clock.read() - before;
    clock.nowMs = before;
    return { medianMs, samples: HOP_ROUNDS };
  };
  void (async () => {
    for (;;) {
      const message = await connector.control.next();
      if (message.type !== "probe") continue;
      connector.say({
        type: "probed",
        id: message.id,
        roomConnector: over("room-connector"),
        connectorGateway: over("connector-gateway"),
      });
    }
  })();
}

/** Measures as the route does, with the test's clock. @param edgeRoomMs every call into the room takes that long */
function measure(bench: Bench, clock: Clock, edgeRoomMs: number, cf: unknown = {}): Promise<Hops> {
  return measureHops({
    room: async (step) => {
      clock.nowMs += edgeRoomMs;
      const result = await bench.room.hops({ account: ACCOUNT, step });
      if (!result.ok) throw new Error(result.failure);
      return result.value;
    },
    clock: clock.read,
    now: () => 7,
    // Real time passes for the room; the measuring's own clock stands still, so that it waits for as long as it takes.
    pause: () => new Promise((resolve) => setTimeout(resolve, 1)),
    cf,
  });
}

const medians = (found: Hops): (number | null)[] => found.hops.map((each) => each.median?.medianMs ?? null);

test.each(HOPS.map((hop, at) => [hop, at] as const))("[OB2] a delay of 70 ms on %s shows there, and only there", async (slow, at) => {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const clock = new Clock();
  answering(connector, clock, { [slow]: 70 });
  const found = await measure(bench, clock, slow === "edge-room" ? 70 : 0, { clientTcpRtt: slow === "device-edge" ? 70 : 0 });
  // The platform says nothing of a connection that takes no time.
  expect(medians(found)).toEqual([null, 0, 0, 0].map((ms, each) => (each === at ? 70 : ms)));
  expect(found.hops.map((each) => each.hop)).toEqual(HOPS);
  expect(found.hops.slice(1).map((each) => each.state)).toEqual(["measured", "measured", "measured"]);
});

test("[OB1] a measuring tells where edge and room are, which versions run and since when the link is up; the connector hears of the room's side", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.dial(env, bench.gateway);
  await connector.hello(bench.gateway, bench.identity, { report: { state: "online", version: "2026.9.6" } });
  await connector.welcome();
  const clock = new Clock();
  const beganMs = Date.now();
  const measuring = measure(bench, clock, 3, { colo: "FRA", clientTcpRtt: 12 });
  const probe = await connector.control.next();
  if (probe.type !== "probe") throw new Error(probe.type);
  const own = { roomConnector: { medianMs: 21, samples: 5 }, connectorGateway: { medianMs: 0.4, samples: 5 } };
  connector.say({ type: "probed", id: probe.id, ...own });
  const found = await measuring;
  expect(found).toMatchObject({ atMs: 7, state: "online", edge: "FRA", room: "local", connectorVersion: "0.0.0-test", openclawVersion: "2026.9.6" }); // prettier-ignore
  expect(found.hops).toEqual([
    { hop: "device-edge", state: "measured", median: { medianMs: 12, samples: 1 } },
    { hop: "edge-room", state: "measured", median: { medianMs: 3, samples: HOP_ROUNDS } },
    { hop: "room-connector", state: "measured", median: own.roomConnector },
    { hop: "connector-gateway", state: "measured", median: own.connectorGateway },
  ]);
  expect(found.linkSinceMs).toBeLessThanOrEqual(beganMs);
  expect(await connector.control.next()).toMatchObject({ type: "hops", edgeRoom: { medianMs: 3, samples: HOP_ROUNDS }, place: "local" });
});

test("[OB2] an answer to another question, or to none, counts for nothing", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const median = { medianMs: 1, samples: 1 };
  connector.say({ type: "probed", id: "mine", roomConnector: median, connectorGateway: median });
  const asked = await bench.room.hops({ account: ACCOUNT, step: { do: "ask" } });
  expect(asked).toMatchObject({ ok: true, value: { isWaiting: true, probed: null } });
  connector.say({ type: "probed", id: "mine", roomConnector: median, connectorGateway: median });
  const probe = await connector.control.next();
  if (probe.type !== "probe") throw new Error(probe.type);
  expect(await bench.room.hops({ account: ACCOUNT, step: { do: "look" } })).toMatchObject({ value: { probed: null } });
  connector.say({ type: "probed", id: probe.id, roomConnector: null, connectorGateway: median });
  await expect
    .poll(() => bench.room.hops({ account: ACCOUNT, step: { do: "look" } }))
    .toMatchObject({ value: { probed: { roomConnector: null, connectorGateway: median } } });
});

test("[OB2] a machine that is away: what is in front of it is measured, its own leg is the broken one, what lies behind is not known", async () => {
  const bench = await newBench();
  const found = await measure(bench, new Clock(), 2);
  expect(found.state).toBe("no-link");
  expect(found.hops.map((each) => each.state)).toEqual(["unmeasured", "measured", "broken", "unmeasured"]);
  expect([found.linkSinceMs, found.openclawVersion]).toEqual([null, null]);
});

test("[OB2] OpenClaw that is away: the connector measures its way to the room, and the last leg is the broken one", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.dial(env, bench.gateway);
  await connector.hello(bench.gateway, bench.identity, { report: { state: "offline", reason: "not-running" } });
  await connector.welcome();
  const measuring = measure(bench, new Clock(), 0);
  const probe = await connector.control.next();
  if (probe.type !== "probe") throw new Error(probe.type);
  connector.say({ type: "probed", id: probe.id, roomConnector: { medianMs: 9, samples: 5 }, connectorGateway: null });
  expect((await measuring).hops.map((each) => each.state)).toEqual(["unmeasured", "measured", "measured", "broken"]);
});

test("[OB2] a connector that does not know the question is waited for a while, and its hops are not known", async () => {
  const bench = await newBench();
  await FakeConnector.up(env, bench.gateway, bench.identity);
  const clock = new Clock();
  const found = await measureHops({
    room: async (step) => {
      const result = await bench.room.hops({ account: ACCOUNT, step });
      if (!result.ok) throw new Error(result.failure);
      return result.value;
    },
    clock: clock.read,
    now: () => 7,
    pause: (ms) => {
      clock.nowMs += ms;
      return Promise.resolve();
    },
    cf: undefined,
  });
  expect(clock.nowMs).toBe(HOP_PATIENCE_MS);
  expect(found.hops.map((each) => each.state)).toEqual(["unmeasured", "measured", "unmeasured", "unmeasured"]);
});

async function post(world: GatewayWorld, cookie?: string): Promise<Response> {
  return ask(`${config.appOrigin}/api/gateways/${world.gateway}/hops`, { method: "POST", ...(cookie === undefined ? {} : { cookie }) });
}

test("[OB3] measuring is the owner's alone, writes no row, and is refused too soon after others", async () => {
  const world = await newGateway();
  const cookie = await world.person.cookie("app");
  expect((await post(world)).status).toBe(401);
  const before = await dump(world.room);
  for (let times = 0; times < MEASURINGS.burst; times += 1) {
    const answer = await post(world, cookie);
    expect(answer.status).toBe(200);
    expect((await answer.json<Hops>()).state).toBe("no-link");
  }
  const refused = await post(world, cookie);
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "60"]);
  expect(await dump(world.room)).toBe(before);
});

test("[OB3] heartbeats are timed by the connector; the room sleeps on, and measures nothing by itself", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  await evictDurableObject(bench.room);
  connector.ws.send(ROOM_PING);
  await connector.pongs.next();
  // Woken by a question that is not about hops, it still asks nothing of its connector.
  await bench.room.snapshot({ account: ACCOUNT });
  connector.ws.send(ROOM_PING);
  await connector.pongs.next();
  expect(connector.control.count).toBe(0);
});

test("[OB1] where a room lives: `local` here without asking anybody, else what its own data centre says, else not known", async () => {
  const asked = vi.spyOn(globalThis, "fetch");
  expect(await whereabouts("http://localhost:8787")).toBe("local");
  expect(asked).not.toHaveBeenCalled();
  asked.mockResolvedValueOnce(new Response("fl=1\nh=x\nip=2001:db8::1\ncolo=AMS\nwarp=off\n"));
  expect(await whereabouts("https://app.example.com")).toBe("AMS");
  asked.mockResolvedValueOnce(new Response("<html>colo=<script>"));
  expect(await whereabouts("https://app.example.com")).toBe(null);
  asked.mockRejectedValueOnce(new TypeError("no network"));
  expect(await whereabouts("https://app.example.com")).toBe(null);
});
