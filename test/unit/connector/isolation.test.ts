/** What one device may take at the gateway, and what is left for the others: connections, handshakes, and bodies that never come. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { HandshakePlaces } from "../../../src/connector/streams/handshake-slots.ts";
import type { Place } from "../../../src/connector/streams/handshake-slots.ts";
import {
  BODY_SILENCE_MS,
  CHALLENGE_SHOWS_MS,
  INITIAL_CREDIT_BYTES,
  MAX_DEVICE_HANDSHAKES,
  MAX_EXCHANGES_PER_DEVICE,
  MAX_LOCAL_HANDSHAKES,
  OPEN_TIMEOUT_MS,
} from "../../../src/protocol/limits.ts";
import type { StreamOpen } from "../../../src/protocol/link-messages.ts";
import type { GatewaySocket } from "../../support/local-gateway.ts";
import type { ScriptedStream } from "../../support/scripted-room.ts";
import { StreamWorld } from "../../support/stream-world.ts";
import { UPLOAD_PATH } from "../../support/upload-path.ts";

const CHALLENGE = JSON.stringify({ type: "event", event: "connect.challenge", payload: { nonce: "n", ts: 1, capabilities: [] } });
const UPLOAD = { kind: "http", method: "POST", path: UPLOAD_PATH, hasBody: true } as const;

let world: StreamWorld;

beforeEach(async () => {
  world = await StreamWorld.start();
});

afterEach(() => world.stop());

/** What a further device's streams are opened with. */
async function guest(access: "full" | "look" = "look"): Promise<Partial<StreamOpen>> {
  const { device, session } = await world.state.allow({ access });
  return { device, session, access };
}

/** Sockets that reached the gateway, in order. */
async function dialled(count: number): Promise<GatewaySocket[]> {
  const sockets: GatewaySocket[] = [];
  for (let index = 0; index < count; index += 1) sockets.push(await world.gateway.sockets.next());
  return sockets;
}

/** A full turn through the gateway: whatever was dialled before it has been heard. @returns sockets that reached it and nobody took */
async function unexpected(): Promise<number> {
  // A device of its own has no connection yet: one that is there would be faster than those that are just being made.
  const stream = world.open({ ...(await guest("full")), kind: "http" });
  const { response } = await world.gateway.exchanges.next();
  response.end();
  await stream.expect("opened");
  await stream.expect("end");
  return world.gateway.sockets.count;
}

/** A socket whose handshake is in flight: the gateway has sent its challenge, and waits. */
async function inHandshake(changes: Partial<StreamOpen>): Promise<{ stream: ScriptedStream; socket: GatewaySocket }> {
  const stream = world.open(changes);
  const socket = await world.gateway.sockets.next();
  socket.ws.send(CHALLENGE);
  await stream.expect("opened");
  await stream.expect("data");
  return { stream, socket };
}

test("[IS2] a guest with every exchange it may have keeps nobody from the gateway", async () => {
  const look = await guest();
  for (let index = 0; index < MAX_EXCHANGES_PER_DEVICE; index += 1) world.open({ ...look, kind: "http", path: "/events" });
  for (let index = 0; index < MAX_EXCHANGES_PER_DEVICE; index += 1) await world.gateway.exchanges.next();
  const owner = world.open({ kind: "http", path: "/" });
  const { response } = await world.gateway.exchanges.next();
  response.end("here");
  expect((await owner.expect("opened")).status).toBe(200);
});

test("[IS2] connections of devices that left are given up", async () => {
  const stream = world.open({ kind: "http" });
  const { request, response } = await world.gateway.exchanges.next();
  response.end();
  await stream.expect("opened");
  await stream.expect("end");
  const next = world.open({ kind: "http" });
  const again = await world.gateway.exchanges.next();
  // One connection serves one device's requests one after another.
  expect(again.request.socket).toBe(request.socket);
  again.response.end();
  await next.expect("opened");
  await next.expect("end");
  expect(world.streams.connectionPools).toBe(1);
  request.socket.destroy();
  await world.until(() => {
    world.pass(1_000);
    return world.streams.connectionPools === 0;
  });
});

test("[IS3] an announced body that does not come ends its exchange", async () => {
  const stream = world.open(UPLOAD);
  const { request } = await world.gateway.exchanges.next();
  const gone = new Promise((resolve) => request.on("error", resolve));
  stream.data(Buffer.from("beginning"), 0);
  await new Promise((resolve) => request.once("data", resolve));
  world.pass(BODY_SILENCE_MS - 1_000);
  expect(world.streams.count).toBe(1);
  world.pass(1_000);
  expect(await stream.expect("reset")).toEqual({ is: "reset", code: 4413, reason: "device-room: the body did not come" });
  await gone;
});

test("[IS3] a gateway that takes its time with a whole body is waited for", async () => {
  const stream = world.open(UPLOAD);
  const { request, response } = await world.gateway.exchanges.next();
  request.resume();
  stream.data(Buffer.from("all of it"), 0);
  stream.end();
  await new Promise((resolve) => request.once("end", resolve));
  world.pass(2 * BODY_SILENCE_MS);
  response.end("done");
  expect((await stream.expect("opened")).status).toBe(200);
});

test("[IS3] a body that waits for credit is not missing", async () => {
  // A line so slow that no turn comes.
  vi.spyOn(world.downlink, "isSlow", "get").mockReturnValue(true);
  vi.spyOn(world.downlink, "waitForTurn").mockReturnValue(undefined);
  const stream = world.open(UPLOAD);
  const { request } = await world.gateway.exchanges.next();
  let taken = 0;
  const all = new Promise<void>((resolve) => {
    request.on("data", (part: Buffer) => {
      taken += part.byteLength;
      if (taken === INITIAL_CREDIT_BYTES) resolve();
    });
  });
  for (let left = INITIAL_CREDIT_BYTES; left > 0; left -= 65_536) stream.data(Buffer.alloc(Math.min(left, 65_528)), 0);
  stream.data(Buffer.alloc(4 * 8), 0);
  await all;
  world.pass(2 * BODY_SILENCE_MS);
  expect(world.streams.count).toBe(1);
});

test("[IS4] a device with less than full control sends no body", async () => {
  const look = await guest();
  for (const method of ["GET", "HEAD"])
    expect(await world.open({ ...look, ...UPLOAD, method }).next()).toEqual({ is: "reset", code: 4404, reason: "not found" });
  expect(world.gateway.heard).toBe(0);
  const full = world.open({ ...UPLOAD, method: "GET" });
  await world.gateway.exchanges.next();
  full.reset(1001);
});

test("[IS5] silent sockets of one device leave the others their handshakes", async () => {
  const look = await guest();
  const streams = Array.from({ length: 48 }, () => world.open(look));
  await dialled(MAX_DEVICE_HANDSHAKES);
  await inHandshake({});
  expect(await unexpected()).toBe(0);
  for (const stream of streams) stream.reset(1001, "gone");
});

test("[IS5] a device's handshakes keep their order, and devices take turns", async () => {
  const taken: GatewaySocket[] = [];
  while (taken.length < MAX_LOCAL_HANDSHAKES) {
    const other = await guest();
    for (let index = 0; index < MAX_DEVICE_HANDSHAKES; index += 1) taken.push((await inHandshake(other)).socket);
  }
  const second = await guest();
  for (const path of ["/?a1", "/?a2", "/?a3"]) world.open({ path });
  const left = world.open({ ...second, path: "/?left" });
  for (const path of ["/?b1", "/?b2"]) world.open({ ...second, path });
  left.reset(1001, "gone");
  expect(await unexpected()).toBe(0);
  const order: (string | undefined)[] = [];
  for (const socket of taken.slice(0, 4)) {
    socket.ws.close();
    order.push((await world.gateway.sockets.next()).request.url);
  }
  expect(order).toEqual(["/?a1", "/?b1", "/?a2", "/?b2"]);
});

test("[IS5] places that are given back and taken again lose nobody who waits", () => {
  const places = new HandshakePlaces();
  const run: string[] = [];
  const mine: Place[] = [];
  places.take("mine", (place) => mine.push(place));
  mine[0]?.release();
  for (let index = 0; index < MAX_DEVICE_HANDSHAKES; index += 1) places.take("mine", (place) => mine.push(place));
  places.take("mine", () => run.push("waited"));
  mine[0]?.retake();
  mine[1]?.release();
  expect(run).toEqual([]);
  mine[0]?.release();
  mine[0]?.release();
  expect(run).toEqual(["waited"]);
});

test("[IS11] the gateway's first word that is no challenge gives the place back", async () => {
  const mine: { stream: ScriptedStream; socket: GatewaySocket }[] = [];
  for (let index = 0; index < MAX_DEVICE_HANDSHAKES; index += 1) mine.push(await inHandshake({}));
  world.open({ path: "/?next" });
  // Whatever a browser says, the gateway still holds the socket for a handshake.
  for (const { stream } of mine) stream.data(Buffer.from([1]));
  for (const { socket } of mine) await socket.messages.next();
  expect(await unexpected()).toBe(0);
  mine[0]?.socket.ws.send("hello-ok");
  expect((await world.gateway.sockets.next()).request.url).toBe("/?next");
  world.open({ path: "/?after" });
  expect(await unexpected()).toBe(0);
  vi.advanceTimersByTime(OPEN_TIMEOUT_MS);
  expect((await world.gateway.sockets.next()).request.url).toBe("/?after");
});

test("[IS11] sockets of a plugin that speaks first open one after another at once", async () => {
  const streams = Array.from({ length: 60 }, () => world.open({ path: "/plugin/socket" }));
  for (const stream of streams) {
    (await world.gateway.sockets.next()).ws.send("welcome");
    await stream.expect("opened");
  }
});

test("[IS11] sockets of a silent plugin hold their places for half a second", async () => {
  for (let index = 0; index <= MAX_DEVICE_HANDSHAKES; index += 1) world.open({ path: "/plugin/socket" });
  const sockets = await dialled(MAX_DEVICE_HANDSHAKES);
  for (let id = 1; id <= MAX_DEVICE_HANDSHAKES; id += 1) await world.room.stream(id).expect("opened");
  expect(await unexpected()).toBe(0);
  vi.advanceTimersByTime(CHALLENGE_SHOWS_MS);
  await dialled(1);
  // A challenge that comes late shows a handshake after all: its place counts again.
  for (const { ws } of sockets) ws.send(CHALLENGE);
  for (let id = 1; id <= MAX_DEVICE_HANDSHAKES; id += 1) await world.room.stream(id).expect("data");
  world.open();
  expect(await unexpected()).toBe(0);
});
