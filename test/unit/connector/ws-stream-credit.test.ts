/** A visitor's WebSocket and ends that do not read: credit, probes, turns on the line, and who is given up. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { FLAG_FIN } from "../../../src/protocol/frame.ts";
import { INITIAL_CREDIT_BYTES, MAX_FRAME_PAYLOAD_BYTES, MAX_MESSAGE_BYTES, PROBE_COUNT_LOST } from "../../../src/protocol/limits.ts";
import type { FromConnector, ScriptedStream } from "../../support/scripted-room.ts";
import { StreamWorld } from "../../support/stream-world.ts";

let world: StreamWorld;

beforeEach(async () => {
  world = await StreamWorld.start();
});

afterEach(() => world.stop());

test("[CR1] [CR4] without credit nothing more leaves: a probe at once and every second, and 4413 after ten without an answer", async () => {
  const { stream, socket } = await world.opened();
  const first = Buffer.from("challenge").byteLength;
  socket.ws.send(Buffer.alloc(INITIAL_CREDIT_BYTES, 1));
  let left = INITIAL_CREDIT_BYTES - first;
  while (left >= MAX_FRAME_PAYLOAD_BYTES) left -= (await stream.expect("data")).bytes.byteLength;
  expect(await stream.next()).toEqual({ is: "probe", value: left });
  for (let second = 1; second < 10; second += 1) {
    world.pass(1_000);
    expect(await stream.next()).toEqual({ is: "probe", value: left });
  }
  // A grant of nothing says that the receiver lives: the ten seconds begin again.
  stream.credit(0);
  for (let second = 1; second < 10; second += 1) {
    world.pass(1_000);
    expect(await stream.next()).toEqual({ is: "probe", value: left });
  }
  world.pass(1_000);
  expect(await stream.next()).toEqual({ is: "reset", code: 4413, reason: "device-room: too slow" });
  expect(await socket.closed).toEqual({ code: 4413, reason: "device-room: too slow" });
});

test("[CR3] a grant lets exactly what it covers go on", async () => {
  const { stream, socket } = await world.opened();
  socket.ws.send(Buffer.alloc(2 * INITIAL_CREDIT_BYTES, 1));
  for (let sent = 0; sent < 4; sent += 1) await stream.expect("data");
  expect((await stream.next()).is).toBe("probe");
  stream.credit(2 * MAX_FRAME_PAYLOAD_BYTES);
  expect((await stream.next()).is).toBe("data");
  expect((await stream.next()).is).toBe("data");
  expect((await stream.next()).is).toBe("probe");
  expect(stream.frames.count).toBe(0);
});

test("[CR3] the connector grants what the gateway's socket took, in steps of 64 KiB", async () => {
  const { stream, socket } = await world.opened();
  stream.data(Buffer.alloc(40_000, 1));
  await socket.messages.next();
  stream.data(Buffer.alloc(40_000, 1));
  await socket.messages.next();
  expect(await stream.next()).toEqual({ is: "credit", value: 80_000 });
});

test("[CR4] [ST9] a browser is not called too slow for a probe that has not arrived: ten seconds count from when it has", async () => {
  const { stream, socket } = await world.opened();
  world.uplink.isArrived = false;
  socket.ws.send(Buffer.alloc(INITIAL_CREDIT_BYTES + 100_000, 1));
  let taken = 0;
  while (taken < 4) if ((await stream.next()).is === "data") taken += 1;
  expect(await stream.next()).toMatchObject({ is: "probe" });
  world.pass(60_000);
  world.uplink.isArrived = true;
  world.pass(10_000);
  expect(world.streams.count).toBe(1);
  world.pass(1_000);
  expect(world.streams.count).toBe(0);
  expect(await socket.closed).toEqual({ code: 4413, reason: "device-room: too slow" });
});

test("[CR10] while the line has no room for a stream's data, it neither probes nor stalls; its turn sends one piece", async () => {
  const { stream, socket } = await world.opened();
  world.uplink.freeBytes = 0;
  socket.ws.send(Buffer.alloc(2 * MAX_FRAME_PAYLOAD_BYTES, 1));
  await world.until(() => world.uplink.turns.size === 1);
  world.pass(60_000);
  expect(stream.frames.count).toBe(0);
  for (let sent = 1; sent <= 2; sent += 1) {
    const [turn] = world.uplink.turns;
    world.uplink.turns.clear();
    turn?.();
    expect(await stream.next()).toMatchObject({ is: "data", isFin: sent === 2 });
    expect([stream.frames.count, world.uplink.turns.size]).toEqual([0, 2 - sent]);
  }
});

test("[CR10] a stream that ends while it waits for its turn sends nothing more", async () => {
  const { stream, socket } = await world.opened();
  world.uplink.freeBytes = 0;
  socket.ws.send(Buffer.alloc(10, 1));
  await world.until(() => world.uplink.turns.size === 1);
  const [turn] = world.uplink.turns;
  stream.reset(4403, "cut by the owner");
  expect(world.uplink.turns.size).toBe(0);
  turn?.();
  expect(stream.frames.count).toBe(0);
});

test("[CR4] [CR5] a probe of the room is answered with what was taken and not granted; a lost count with a full window", async () => {
  const { stream, socket } = await world.opened();
  stream.data(Buffer.alloc(1_000, 1));
  await socket.messages.next();
  stream.probe(INITIAL_CREDIT_BYTES - 1_000);
  expect(await stream.next()).toEqual({ is: "credit", value: 1_000 });
  stream.probe(PROBE_COUNT_LOST);
  expect(await stream.next()).toEqual({ is: "credit", value: INITIAL_CREDIT_BYTES });
});

function creditOf(frame: FromConnector): number {
  if (frame.is !== "credit") throw new Error(JSON.stringify(frame));
  return frame.value;
}

/** Sends of one message what credit allows, as a room does. @returns bytes sent, and the credit left */
async function upload(stream: ScriptedStream, bytes: number, credit: number): Promise<{ sent: number; left: number }> {
  let [sent, left] = [0, credit];
  for (;;) {
    while (stream.frames.count > 0) left += creditOf(await stream.next());
    const size = Math.min(MAX_FRAME_PAYLOAD_BYTES, bytes - sent);
    if (size === 0 || left < size) return { sent, left };
    sent += size;
    left -= size;
    stream.data(Buffer.alloc(size, 7), sent === bytes ? FLAG_FIN : 0);
  }
}

test("[CR11] [case 19] a gateway that reads nothing holds one message of 25 MiB here, not a second one; then its stream ends by name", async () => {
  const { stream, socket } = await world.opened();
  socket.ws.pause();
  const first = await upload(stream, MAX_MESSAGE_BYTES, INITIAL_CREDIT_BYTES);
  expect(first.sent).toBe(MAX_MESSAGE_BYTES);
  const second = await upload(stream, MAX_MESSAGE_BYTES, first.left);
  expect(second.sent).toBeLessThanOrEqual(INITIAL_CREDIT_BYTES);
  // The room asks, and hears that somebody is there.
  stream.probe(second.left);
  expect(await stream.next()).toEqual({ is: "credit", value: 0 });
  world.pass(30_000);
  expect(world.streams.count).toBe(1);
  world.pass(10_000);
  expect(await stream.next()).toEqual({ is: "reset", code: 4413, reason: "connector-gateway: gateway too slow" });
});

test("[CR11] a gateway that reads again gets both messages whole, and the room the credit that was withheld", async () => {
  const { stream, socket } = await world.opened();
  socket.ws.pause();
  const first = await upload(stream, MAX_MESSAGE_BYTES, INITIAL_CREDIT_BYTES);
  const second = await upload(stream, 500_000, first.left);
  expect(second.sent).toBeLessThan(500_000);
  socket.ws.resume();
  expect((await socket.messages.next()).data.byteLength).toBe(MAX_MESSAGE_BYTES);
  const rest = await upload(stream, 500_000 - second.sent, second.left + creditOf(await stream.next()));
  expect(rest.sent).toBe(500_000 - second.sent);
  expect((await socket.messages.next()).data.byteLength).toBe(500_000);
});

test("[CR2] a room that sends more than two windows at once has its stream reset with 4413", async () => {
  const { stream, socket } = await world.opened();
  for (let sent = 0; sent < 8; sent += 1) stream.data(Buffer.alloc(MAX_FRAME_PAYLOAD_BYTES, 1));
  expect(stream.frames.count).toBe(0);
  stream.data(Buffer.alloc(MAX_FRAME_PAYLOAD_BYTES, 1));
  expect(await stream.expect("reset")).toMatchObject({ code: 4413 });
  expect(await socket.closed).toMatchObject({ code: 4413 });
});
