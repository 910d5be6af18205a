/** The connector's link against a room played by hand: what both ends say about several frames in one message, and what then passes. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import { Link } from "../../../src/connector/link/link.ts";
import { FRAME_DATA, FRAME_OPEN, FRAME_RESET, decodeFrame, encodeFrame, framesOf, isBatch } from "../../../src/protocol/frame.ts";
import { FrameSender } from "../../../src/core/link/frame-sender.ts";
import { toRoomSchema } from "../../../src/protocol/link-messages.ts";
import type { ToConnector, ToRoom } from "../../../src/protocol/link-messages.ts";
import { toBase64url } from "../../../src/protocol/statement-encoding.ts";
import { ROOM_PING, ROOM_PONG } from "../../../src/protocol/words.ts";
import { Arrivals } from "../../support/arrivals.ts";
import { ConnectorState, TEST_GATEWAY, TEST_ORIGIN } from "../../support/connector-state.ts";
import { StubOpenclaw } from "../../support/local-gateway.ts";

const ends: (() => void)[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** A link that is up. @param batch what the room says */
async function up(batch: boolean | undefined) {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const dialled = once(server, "connection");
  const state = await ConnectorState.create(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const { files, identity, log, admitted } = state;
  const now = (): number => state.nowMs;
  const nothing = (): void => undefined;
  const link = new Link({ files, identity, log, admitted, gateway: new StubOpenclaw(1), version: "1", now, onStatus: nothing, onAlarm: nothing }); // prettier-ignore
  link.start();
  const [ws] = (await dialled) as [WebSocket];
  ends.push(() => {
    link.stop();
    ws.terminate();
    server.close();
  });
  const said = new Arrivals<ToRoom>();
  const messages = new Arrivals<Uint8Array<ArrayBuffer>>();
  ws.on("message", (data: Buffer, isBinary: boolean) => {
    if (isBinary) messages.put(new Uint8Array(data));
    else if (data.toString("utf8") === ROOM_PING) ws.send(ROOM_PONG);
    else said.put(toRoomSchema.parse(JSON.parse(data.toString("utf8"))));
  });
  const say = (message: ToConnector): void => ws.send(JSON.stringify(message));
  say({ type: "challenge", nonce: toBase64url(new Uint8Array(32)), minProtocol: 1, maxProtocol: 2 });
  const hello = await said.next();
  say({
    type: "welcome",
    gateway: TEST_GATEWAY,
    origin: TEST_ORIGIN,
    approveOrigin: "http://approve.localhost:8787",
    rpId: "approve.localhost",
    generation: 1,
    serverTimeMs: state.nowMs,
    ...(batch === undefined ? {} : { batch }),
  });
  // In the same turn as what follows: what the room says counts from its welcome on.
  return { ws, hello, messages, closed: once(ws, "close") };
}

function together(...frames: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const sent: Uint8Array<ArrayBuffer>[] = [];
  const sender = new FrameSender({ transmit: (message) => sent.push(message), allocate: (bytes) => new Uint8Array(bytes) });
  sender.isBatching = true;
  for (const bytes of frames) {
    const frame = decodeFrame(new Uint8Array(bytes));
    if (typeof frame === "string") throw new Error(frame);
    sender.put(frame.type, frame.flags, frame.streamId, frame.payload);
  }
  sender.flush();
  return sent[0] ?? new Uint8Array();
}

/** A stream that the connector refuses with RESET: it reads no JSON. */
const bad = (stream: number): Uint8Array => encodeFrame(FRAME_OPEN, 0, stream, Uint8Array.of(1));

test("[FR5] the connector says that it reads several frames, reads them in order, and answers together what it was asked together", async () => {
  const { ws, hello, messages } = await up(true);
  expect(hello).toMatchObject({ type: "hello", batch: true });
  ws.send(together(bad(1), bad(2), bad(3)));
  const all = await messages.next();
  expect(isBatch(all)).toBe(true);
  expect([...framesOf(all)].map(({ type, streamId }) => [type, streamId])).toEqual([[FRAME_RESET, 1], [FRAME_RESET, 2], [FRAME_RESET, 3]]); // prettier-ignore
});

test("[FR5] [case 22] a batch that is cut off closes the link with 1002, and nothing of it is acted on", async () => {
  const { ws, messages, closed } = await up(true);
  const whole = together(bad(1), bad(2));
  ws.send(whole.subarray(0, whole.byteLength - 1));
  expect((await closed)[0]).toBe(1002);
  expect(messages.count).toBe(0);
});

test.each([undefined, false])(
  "[FR5] [case 11] to and from a room that says batch: %s every frame is a message of its own",
  async (batch) => {
    const { ws, messages, closed } = await up(batch);
    for (const stream of [1, 2, 3]) ws.send(bad(stream));
    for (const stream of [1, 2, 3]) expect(decodeFrame(await messages.next())).toMatchObject({ type: FRAME_RESET, streamId: stream });
    ws.send(together(bad(4), encodeFrame(FRAME_DATA, 0, 4)));
    expect((await closed)[0]).toBe(1002);
    expect(messages.count).toBe(0);
  },
);
