/** The gateway's answer to a page whose key is being approved: held with its close, then replaced or passed as it came. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { GatewaySocket } from "../../support/local-gateway.ts";
import type { ScriptedStream } from "../../support/scripted-room.ts";
import { StreamWorld } from "../../support/stream-world.ts";

let world: StreamWorld;
/** Ends the approval that the held answer waits for. */
let approve: (instead: string | null) => void;

beforeEach(async () => {
  world = await StreamWorld.start();
  world.openclaw.answer = new Promise((resolve) => (approve = resolve));
  // Spaces and order as no encoder of ours would write them.
  world.openclaw.heldText = '{ "ok":false,"id" : "1", "type":"res"}';
});

afterEach(() => world.stop());

/** A page that the gateway sent away; its answer is held. */
async function sentAway(): Promise<{ stream: ScriptedStream; socket: GatewaySocket }> {
  const { stream, socket } = await world.opened();
  socket.ws.send(world.openclaw.heldText);
  return { stream, socket };
}

/** The gateway closes, and the connector has seen it. */
async function closes(socket: GatewaySocket): Promise<void> {
  socket.ws.close(1008, "pairing required");
  await socket.closed;
  await world.until(() => world.gateway.connections === 0);
}

async function text(stream: ScriptedStream): Promise<string> {
  const { bytes, isText, isFin } = await stream.expect("data");
  expect([isText, isFin]).toEqual([true, true]);
  return Buffer.from(bytes).toString();
}

test("[R18] the approved page hears one other answer and its close, and nothing of the gateway's", async () => {
  const { stream, socket } = await sentAway();
  await closes(socket);
  expect(stream.frames.count).toBe(0);
  approve("come back");
  expect(await text(stream)).toBe("come back");
  expect(await stream.next()).toEqual({ is: "close", code: 1013, reason: "gateway starting" });
  expect([stream.frames.count, world.streams.count]).toEqual([0, 0]);
});

test("[R18] a gateway that has not closed yet is closed, and what it still says reaches nobody", async () => {
  const { stream, socket } = await sentAway();
  const other = await world.opened();
  await world.until(() => world.openclaw.isHolding);
  approve("come back");
  expect(await text(stream)).toBe("come back");
  expect(await stream.next()).toMatchObject({ is: "close", code: 1013 });
  socket.ws.send("late");
  expect((await socket.closed).code).toBe(1000);
  other.socket.ws.send("other");
  expect(await text(other.stream)).toBe("other");
  expect(stream.frames.count).toBe(0);
});

test("[R18] where the approval fails, answer and close pass byte for byte", async () => {
  const { stream, socket } = await sentAway();
  await closes(socket);
  approve(null);
  expect(await text(stream)).toBe(world.openclaw.heldText);
  expect(await stream.next()).toEqual({ is: "close", code: 1008, reason: "pairing required" });
  expect([stream.frames.count, world.streams.count]).toEqual([0, 0]);
});

test("[R18] a failed approval leaves a socket that stays open open", async () => {
  const { stream, socket } = await sentAway();
  await world.until(() => world.openclaw.isHolding);
  approve(null);
  expect(await text(stream)).toBe(world.openclaw.heldText);
  socket.ws.send("more");
  expect(await text(stream)).toBe("more");
  await closes(socket);
  expect(await stream.next()).toEqual({ is: "close", code: 1008, reason: "pairing required" });
});

test("[R18] a gateway that goes on after its answer is not held: everything passes in order, and the approval replaces nothing", async () => {
  const { stream, socket } = await sentAway();
  socket.ws.send("more");
  expect(await text(stream)).toBe(world.openclaw.heldText);
  expect(await text(stream)).toBe("more");
  approve("come back");
  await closes(socket);
  expect(await stream.next()).toEqual({ is: "close", code: 1008, reason: "pairing required" });
});

test("[R18] a gateway that breaks off meanwhile ends the held stream by its own reason", async () => {
  const { stream, socket } = await sentAway();
  socket.ws.send(Buffer.from([0xff]), { binary: false });
  await world.until(() => world.gateway.connections === 0);
  // A full turn: the library has said both, what broke and that the socket is closed.
  await world.opened();
  expect(stream.frames.count).toBe(0);
  approve(null);
  expect(await text(stream)).toBe(world.openclaw.heldText);
  expect(await stream.next()).toEqual({ is: "reset", code: 1007, reason: "connector-gateway: text is not UTF-8" });
});

test.each<[string, (stream: ScriptedStream) => void]>([
  ["whose page leaves", (stream) => stream.close(1001)],
  ["whose link goes", () => world.streams.endAll()],
])("[R18] [ST8] a held stream %s sends nothing any more", async (_what, end) => {
  const { stream, socket } = await sentAway();
  await world.until(() => world.openclaw.isHolding);
  end(stream);
  await socket.closed;
  approve("come back");
  await new Promise((resolve) => setImmediate(resolve));
  expect([stream.frames.count, world.streams.count]).toEqual([0, 0]);
});

test("[R18] [ST7] a device that is cut meanwhile hears only that", async () => {
  const { stream, socket } = await sentAway();
  await closes(socket);
  world.streams.endDevice(world.device.device);
  approve("come back");
  expect(await stream.next()).toMatchObject({ is: "reset", code: 4403 });
  await new Promise((resolve) => setImmediate(resolve));
  expect([stream.frames.count, world.streams.count]).toEqual([0, 0]);
});
