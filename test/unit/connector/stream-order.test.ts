/** Places of frames at the connector: what the room's frames lost on the way ends the stream by that name, and its own frames say theirs. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { Link } from "../../../src/connector/link/link.ts";
import { ReceiveOrder, SendOrder } from "../../../src/core/link/frame-order.ts";
import { FLAG_FIN, FLAG_TEXT, FRAME_CLOSE, FRAME_DATA, FRAME_END, FRAME_OPEN, NO_PLACE, decodeFrame, encodeFrame } from "../../../src/protocol/frame.ts"; // prettier-ignore
import type { Frame } from "../../../src/protocol/frame.ts";
import { CREDIT_STEP_BYTES, INITIAL_CREDIT_BYTES } from "../../../src/protocol/limits.ts";
import type { StreamOpen } from "../../../src/protocol/link-messages.ts";
import { utf8 } from "../../../src/protocol/statement-encoding.ts";
import { Arrivals } from "../../support/arrivals.ts";
import { ConnectorState } from "../../support/connector-state.ts";
import { LocalGateway, StubOpenclaw } from "../../support/local-gateway.ts";
import { PlayedRoom } from "../../support/played-room.ts";
import { StreamWorld } from "../../support/stream-world.ts";
import { UPLOAD_PATH } from "../../support/upload-path.ts";

const MISSING = { code: 4502, reason: "room-connector: bytes are missing" };
const TWICE = { code: 4502, reason: "room-connector: bytes came twice" };

let world: StreamWorld;

beforeEach(async () => {
  world = await StreamWorld.start();
});

afterEach(() => world.stop());

async function placed() {
  const { stream, socket } = await world.opened();
  const order = new SendOrder();
  stream.order = order;
  return { stream, socket, order };
}

test("[FR6] [ST6] [case 31] a browser's message is lost on the link: the next one does not reach the gateway, and both ends hear why", async () => {
  const { stream, socket, order } = await placed();
  stream.text("one");
  order.take(3);
  stream.text("three");
  expect(await stream.next()).toEqual({ is: "reset", ...MISSING });
  expect(await socket.closed).toEqual(MISSING);
  expect([(await socket.messages.next()).data.toString("utf8"), socket.messages.count, world.streams.count]).toEqual(["one", 0, 0]);
});

test("[FR6] [ST6] [case 31] a browser's message comes twice: the gateway gets it once", async () => {
  const { stream, socket } = await placed();
  stream.raw(FRAME_DATA, utf8("pay"), FLAG_TEXT | FLAG_FIN, 2);
  expect(await stream.next()).toEqual({ is: "reset", ...TWICE });
  expect(await socket.closed).toEqual(TWICE);
  expect([(await socket.messages.next()).data.toString("utf8"), socket.messages.count]).toEqual(["pay", 0]);
});

test("[FR6] [ST6] [case 31] the browser's last words are lost: its close does not reach the gateway as if nothing were", async () => {
  const { stream, socket, order } = await placed();
  order.take(3);
  stream.close(1000, "bye");
  expect(await socket.closed).toEqual(MISSING);
});

test("[FR6] [ST4] [case 31] part of an upload is lost: its end does not make the rest a whole one", async () => {
  const stream = world.open({ kind: "http", method: "POST", path: UPLOAD_PATH, hasBody: true });
  stream.order = new SendOrder();
  stream.data(Buffer.from("half"), 0);
  const { request } = await world.gateway.exchanges.next();
  const end = new Promise((resolve) => {
    request.on("data", () => undefined);
    request.on("error", () => resolve("broken off"));
    request.on("end", () => resolve("whole"));
  });
  stream.order.take(4);
  stream.end();
  expect(await end).toBe("broken off");
  expect(await stream.next()).toEqual({ is: "reset", ...MISSING });
});

test("[FR6] [FR4] [case 31] an OPEN that comes twice opens one stream, which ends: nothing stays behind at the gateway", async () => {
  const { stream, socket } = await world.opened();
  const { device, session } = world.device;
  const open: StreamOpen = { kind: "ws", method: "GET", path: "/", headers: [], session, device, access: "full", clientIp: "198.51.100.7", host: "gw.localhost:8787", hasBody: false }; // prettier-ignore
  stream.open(open);
  expect(await stream.next()).toEqual({ is: "reset", ...TWICE });
  expect(await socket.closed).toEqual(TWICE);
  expect([world.streams.count, world.gateway.heard]).toEqual([0, 1]);
});

test.each(["ws", "http"] as const)(
  "[FR6] [CR4] over %s a second PROBE without a grant between is answered with CREDIT 0, whose place tells whether that grant was lost; an older room gets none",
  async (kind) => {
    const stream = kind === "ws" ? (await world.opened()).stream : world.open({ kind, method: "POST", path: UPLOAD_PATH, hasBody: true });
    stream.data(Buffer.alloc(CREDIT_STEP_BYTES - 8), 0);
    stream.data(Buffer.alloc(8));
    expect(await stream.next()).toEqual({ is: "credit", value: CREDIT_STEP_BYTES });
    const left = INITIAL_CREDIT_BYTES - CREDIT_STEP_BYTES;
    for (let asked = 0; asked < 3; asked += 1) stream.probe(left);
    expect(stream.frames.count).toBe(0);
    stream.order = new SendOrder();
    stream.probe(left);
    expect(await stream.next()).toEqual({ is: "credit", value: 0 });
  },
);

/** A real link to a room that the test plays, and one stream of it at a gateway. */
async function linked(places: boolean | undefined) {
  const [room, gateway] = [await PlayedRoom.start(), await LocalGateway.start()];
  room.places = places;
  const frames = new Arrivals<Frame | string>();
  room.onFrames = (message) => frames.put(decodeFrame(message, places));
  const state = await ConnectorState.create(room.origin);
  const { files, identity, admitted, log } = state;
  const nothing = (): void => undefined;
  const openclaw = new StubOpenclaw(gateway.port);
  const link = new Link({ files, identity, admitted, log, gateway: openclaw, version: "1", now: () => state.nowMs, onStatus: nothing, onAlarm: nothing }); // prettier-ignore
  link.start();
  const hello = await room.hellos.next();
  await room.next("ack");
  const { device, session } = await state.allow();
  const open = (id: number, kind: "ws" | "http"): void =>
    room.sendFrame(encodeFrame(FRAME_OPEN, 0, id, utf8(JSON.stringify({ kind, method: "GET", path: "/", headers: [], session, device, access: "full", clientIp: "198.51.100.7", host: "gw.localhost:8787", hasBody: false })))); // prettier-ignore
  const stop = async (): Promise<void> => {
    link.stop();
    await room.stop();
    await gateway.stop();
  };
  /** Every frame up to one of that type. */
  const until = async (type: number): Promise<Frame[]> => {
    const all: Frame[] = [];
    while (all.at(-1)?.type !== type) {
      const frame = await frames.next();
      if (typeof frame === "string") throw new Error(frame);
      all.push(frame);
    }
    return all;
  };
  return { room, gateway, hello, open, until, stop };
}

test("[FR6] a connector says that its frames say their place, and each stream's do, to its end", async () => {
  const { gateway, hello, open, until, stop } = await linked(true);
  expect(hello).toMatchObject({ places: true });
  open(1, "ws");
  const socket = await gateway.sockets.next();
  socket.ws.send("challenge");
  await until(FRAME_DATA);
  for (const message of ["two", Buffer.alloc(100), "four"]) socket.ws.send(message);
  socket.ws.close(1000, "done");
  const rest = await until(FRAME_CLOSE);
  const order = new ReceiveOrder(utf8("challenge").byteLength + 1);
  expect(rest.map((frame) => order.take(frame))).toEqual([null, null, null, null]);
  open(2, "http");
  (await gateway.exchanges.next()).response.end("body");
  const answer = new ReceiveOrder();
  const all = await until(FRAME_END);
  expect(all.map((frame) => answer.take(frame))).toEqual(all.map(() => null));
  expect(all.map(({ place }) => place)).toEqual([NO_PLACE, 5, 6]);
  await stop();
});

test.each([undefined, false])(
  "[FR6] [case 11] to a room that says places: %s no frame says its place, and one of its that does ends the link with 1002",
  async (places) => {
    const { room, gateway, open, until, stop } = await linked(places);
    open(1, "ws");
    const socket = await gateway.sockets.next();
    socket.ws.send("challenge");
    await until(FRAME_DATA);
    const frame = encodeFrame(FRAME_DATA, FLAG_FIN, 1, Uint8Array.of(1));
    frame[3] = 2;
    room.sendFrame(frame);
    expect(await socket.closed).toMatchObject({ reason: "room-connector: connection lost" });
    await stop();
  },
);
