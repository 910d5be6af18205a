/** What a scrape of the connector gets: right numbers, in the right format, and nothing that names anybody. */
import { EventEmitter } from "node:events";
import http from "node:http";
import type { WebSocket } from "ws";
import { afterEach, beforeEach, expect, test } from "vitest";
import { hopLines } from "../../../src/connector/measure/latency-lines.ts";
import { LinkTraffic } from "../../../src/connector/measure/traffic.ts";
import { Link } from "../../../src/connector/link/link.ts";
import { readListenAddress, serveMetrics } from "../../../src/connector/measure/metrics.ts";
import { StreamCounts } from "../../../src/connector/measure/stream-counts.ts";
import { encodeClose } from "../../../src/core/link/close-code.ts";
import { FRAME_CLOSE, FRAME_DATA, FRAME_RESET } from "../../../src/protocol/frame.ts";
import type { FrameType } from "../../../src/protocol/frame.ts";
import { HOP_ROUNDS } from "../../../src/protocol/limits.ts";
import { ConnectorState, TEST_GATEWAY } from "../../support/connector-state.ts";
import { StubOpenclaw } from "../../support/local-gateway.ts";
import { PlayedRoom } from "../../support/played-room.ts";

let room: PlayedRoom;
let state: ConnectorState;
let gateway: StubOpenclaw;
let link: Link;
let served: Awaited<ReturnType<typeof serveMetrics>>;

beforeEach(async () => {
  room = await PlayedRoom.start();
  state = await ConnectorState.create(room.origin);
  gateway = new StubOpenclaw(1);
  gateway.pinged = () => Promise.resolve(70);
  const { files, identity, admitted, log } = state;
  let clockMs = 0;
  room.onPing = () => {
    clockMs += 40;
  };
  link = new Link({
    files,
    identity,
    admitted,
    log,
    gateway,
    version: "0.0.0-test",
    now: () => state.nowMs,
    clock: () => clockMs,
    onStatus: () => undefined,
    onAlarm: () => undefined,
  });
  served = await serveMetrics({ host: "127.0.0.1", port: 0 }, () => ({
    ...link.measured,
    version: "0.0.0-test",
    isServing: gateway.isServing,
    sessions: admitted.sessionCount,
    keyLogSeq: log.state.head.seq,
  }));
});

afterEach(async () => {
  link.stop();
  await served.close();
  await room.stop();
});

/** Samples by their name and labels. */
async function scrape(): Promise<ReadonlyMap<string, number>> {
  const response = await fetch(served.url);
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
  const lines = (await response.text()).split("\n").filter((each) => each !== "" && !each.startsWith("#"));
  return new Map(lines.map((each) => [each.slice(0, each.lastIndexOf(" ")), Number(each.slice(each.lastIndexOf(" ") + 1))]));
}

test("[OB4] numbers of a connector's life: link, reconnects, bytes, hops, cuts, sessions, key log, gateway", async () => {
  expect(Object.fromEntries(await scrape())).toMatchObject({
    'gatehouse_build_info{version="0.0.0-test"}': 1,
    gatehouse_link_up: 0,
    gatehouse_link_reconnects_total: 0,
    'gatehouse_link_bytes_total{direction="to_room"}': 0,
    'gatehouse_hop_seconds_count{hop="room-connector"}': 0,
    gatehouse_gateway_ready: 1,
  });
  link.start();
  await room.next("ack");
  room.say({ type: "probe", id: "a" });
  await room.next("probed");
  const up = await scrape();
  expect(Object.fromEntries(up)).toMatchObject({
    gatehouse_link_up: 1,
    'gatehouse_hop_seconds_bucket{hop="room-connector",le="0.025"}': 0,
    'gatehouse_hop_seconds_bucket{hop="room-connector",le="0.05"}': HOP_ROUNDS,
    'gatehouse_hop_seconds_count{hop="connector-gateway"}': HOP_ROUNDS,
    'gatehouse_hop_median_seconds{hop="room-connector"}': 0.04,
    'gatehouse_hop_median_seconds{hop="connector-gateway"}': 0.07,
    gatehouse_key_log_seq: 0,
    gatehouse_cuts_total: 0,
    gatehouse_sessions: 0,
  });
  const sent = up.get('gatehouse_link_bytes_total{direction="to_room"}') ?? 0;
  expect(sent).toBeGreaterThan(0);
  expect(up.get('gatehouse_link_bytes_total{direction="from_room"}')).toBeGreaterThan(0);
  const device = await state.allow();
  expect((await scrape()).get("gatehouse_sessions")).toBe(1);
  await link.cutOnHost(device.device);
  room.drop();
  await room.next("ack");
  gateway.report = { state: "offline" };
  const later = await scrape();
  expect(Object.fromEntries(later)).toMatchObject({
    gatehouse_link_up: 1,
    gatehouse_link_reconnects_total: 1,
    gatehouse_cuts_total: 1,
    gatehouse_sessions: 0,
    gatehouse_gateway_ready: 0,
    // The grant, then its revocation.
    gatehouse_key_log_seq: 2,
  });
  // What the first socket carried stays counted.
  expect(later.get('gatehouse_link_bytes_total{direction="to_room"}')).toBeGreaterThan(sent);
});

test("[OB4] nothing of a scrape names a device, a gateway, an account, an address or a key", async () => {
  link.start();
  await room.next("ack");
  const { device, session, grant } = await state.allow();
  const text = await (await fetch(served.url)).text();
  const names = [TEST_GATEWAY, device, session, grant, "a".repeat(26), state.identity.publicKey.x, new URL(room.origin).host];
  for (const name of names) expect(text).not.toContain(name);
  const labels = [...text.matchAll(/[{,](\w+)="/g)].map((match) => match[1]);
  expect(new Set(labels)).toEqual(new Set(["direction", "hop", "le", "leg", "version"]));
});

test("[OB8] [case 42] over loopback a foreign Host is refused, every name of loopback is not", async () => {
  const status = (host: string, path: string): Promise<number> =>
    new Promise((resolve, reject) => {
      http
        .request(new URL(path, served.url), { headers: { host } }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        })
        .on("error", reject)
        .end();
    });
  for (const host of ["rebound.example", "rebound.example:9464", "127.0.0.1.example", "localhost.example", "127.0.0.1:1:2", "203.0.113.7"])
    expect([host, await status(host, "/metrics"), await status(host, "/healthz")]).toEqual([host, 403, 403]);
  for (const host of ["localhost", "LOCALHOST:9464", "127.0.0.1:9464", "127.8.8.8", "[::1]:9464"])
    expect([host, await status(host, "/metrics")]).toEqual([host, 200]);
});

test("[OB4] only GET and HEAD of /metrics are answered", async () => {
  const status = (method: string, path: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const url = new URL(path, served.url);
      http
        .request(url, { method }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        })
        .on("error", reject)
        .end();
    });
  expect(await Promise.all([status("HEAD", "/metrics"), status("POST", "/metrics"), status("GET", "/"), status("GET", "/metrics/x")])).toEqual([200, 404, 404, 404]); // prettier-ignore
});

test.each([
  ["9464", { host: "127.0.0.1", port: 9464 }],
  ["127.0.0.1:0", { host: "127.0.0.1", port: 0 }],
  ["localhost:9464", { host: "localhost", port: 9464 }],
  ["[::1]:9464", { host: "::1", port: 9464 }],
  ["0.0.0.0:9464", { host: "0.0.0.0", port: 9464 }],
  ["", null],
  ["127.0.0.1", null],
  [":9464", null],
  ["127.0.0.1:65536", null],
  ["::1:9464", null],
  ["http://127.0.0.1:9464", null],
])("[OB4] --metrics %s", (text, address) => {
  expect(readListenAddress(text)).toEqual(address);
});

test("[OB4] an address that is taken is an error, not a connector without metrics", async () => {
  const { port } = new URL(served.url);
  await expect(serveMetrics({ host: "127.0.0.1", port: Number(port) }, () => Promise.reject(new Error()) as never)).rejects.toThrow("EADDRINUSE"); // prettier-ignore
});

test("[OB4] a stream that broke counts once, on its leg, whoever tells of it; one that an end closed does not count", () => {
  const counts = new StreamCounts();
  const took = (type: FrameType, id: number, reason: string): void => counts.took(type, id, encodeClose(4502, reason));
  took(FRAME_RESET, 1, "connector-gateway: gone");
  took(FRAME_CLOSE, 1, "connector-gateway: gone");
  took(FRAME_RESET, 2, "device-room: too slow");
  took(FRAME_CLOSE, 3, "bye");
  took(FRAME_DATA, 4, "device-room: no close");
  expect(counts.broken).toEqual([
    ["device-room", 1],
    ["room-connector", 0],
    ["connector-gateway", 1],
  ]);
  counts.linkGone(3);
  // The next link counts its streams from the start.
  took(FRAME_RESET, 1, "connector-gateway: gone");
  expect(counts.broken.map(([, count]) => count)).toEqual([1, 3, 2]);
});

test("[OB4] what a socket carried stays counted when it is gone, and the next one's comes on top", () => {
  const traffic = new LinkTraffic();
  for (const [bytesWritten, bytesRead] of [
    [10, 5],
    [3, 4],
  ]) {
    const socket = Object.assign(new EventEmitter(), { bufferedAmount: 7 });
    traffic.dialled(socket as unknown as WebSocket);
    socket.emit("upgrade", { socket: { bytesWritten, bytesRead } });
    expect(traffic.queueBytes).toBe(7);
    if (bytesWritten === 10) traffic.closed();
  }
  expect(traffic.bytes).toEqual({ toRoom: 13, fromRoom: 9 });
  traffic.closed();
  expect([traffic.bytes, traffic.queueBytes]).toEqual([{ toRoom: 13, fromRoom: 9 }, 0]);
});

const M = { medianMs: 0.44, samples: 5 };

test("[OB1] doctor shows the hops that this machine sees, what the room told and when, and which one is broken", () => {
  const told = { edgeRoom: { medianMs: 30.6, samples: 5 }, place: "AMS", atMs: 60_000 };
  const texts = (...args: Parameters<typeof hopLines>): string[] => hopLines(...args).map(({ hop, text }) => `${hop}: ${text}`);
  expect(texts("online", { roomConnector: M, connectorGateway: M }, told, 5 * 60_000)).toEqual([
    "edge-room: 31 ms there and back (median of 5), told by the room 4 min ago, room in AMS",
    "room-connector: 0.4 ms there and back (median of 5)",
    "connector-gateway: 0.4 ms there and back (median of 5)",
  ]);
  expect(texts("offline", { roomConnector: M, connectorGateway: null }, null, 0)).toEqual([
    "edge-room: not told yet: the owner's Measure, on the gateway's page, measures it",
    "room-connector: 0.4 ms there and back (median of 5)",
    "connector-gateway: broken: nothing gets through",
  ]);
  // This machine reaches OpenClaw whatever its network does.
  expect(hopLines("no-link", { roomConnector: null, connectorGateway: M }, null, 0).map((each) => each.state)).toEqual(["unmeasured", "broken", "measured"]); // prettier-ignore
});

test("[CLI7] /healthz: 200 only while connected and served, else 503", async () => {
  let now = { isLinkUp: true, isServing: true };
  const health = await serveMetrics({ host: "127.0.0.1", port: 0 }, () => ({
    ...link.measured,
    version: "",
    sessions: 0,
    keyLogSeq: 0,
    ...now,
  }));
  const ask = async (): Promise<unknown> => {
    const response = await fetch(new URL("/healthz", health.url));
    return [response.status, await response.json()];
  };
  expect(await ask()).toEqual([200, { ok: true }]);
  for (const bad of [
    { isLinkUp: false, isServing: true },
    { isLinkUp: true, isServing: false },
  ]) {
    now = bad;
    expect(await ask()).toEqual([503, { ok: false }]);
  }
  await health.close();
});
