/** A visitor's WebSocket between room and gateway: what was sent arrives as sent, and ends with the code it ended with. */
import type { Duplex } from "node:stream";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { WebSocket } from "ws";
import { FLAG_FIN, FLAG_TEXT } from "../../../src/protocol/frame.ts";
import { INITIAL_CREDIT_BYTES, MAX_FRAME_PAYLOAD_BYTES, MAX_MESSAGE_BYTES, QUOTE_TIMEOUT_MS } from "../../../src/protocol/limits.ts";
import type { GatewaySocket } from "../../support/local-gateway.ts";
import type { ScriptedStream } from "../../support/scripted-room.ts";
import { StreamWorld } from "../../support/stream-world.ts";

let world: StreamWorld;

beforeEach(async () => {
  world = await StreamWorld.start();
});

afterEach(() => world.stop());

/** The connection below a socket of `ws`, for what the library would not send. */
function rawSocket(ws: WebSocket): Duplex {
  return Reflect.get(ws, "_socket") as Duplex;
}

/** A whole message of the gateway as the room puts it together. */
async function message(stream: ScriptedStream): Promise<{ bytes: Buffer; isText: boolean }> {
  const parts: Uint8Array[] = [];
  for (;;) {
    const frame = await stream.expect("data");
    parts.push(frame.bytes);
    if (frame.isFin) return { bytes: Buffer.concat(parts), isText: frame.isText };
  }
}

test("[ST3] the upgrade is answered only with the gateway's first word at hand, and with the subprotocol it chose", async () => {
  const stream = world.open({ headers: [["sec-websocket-protocol", "one, two"]], path: "/?x=1" });
  const socket = await world.gateway.sockets.next();
  expect(socket.request.url).toBe("/?x=1");
  expect(stream.frames.count).toBe(0);
  socket.ws.send("challenge");
  expect(await stream.next()).toEqual({ is: "opened", status: 101, headers: [["sec-websocket-protocol", "one"]] });
  expect(await message(stream)).toEqual({ bytes: Buffer.from("challenge"), isText: true });
});

test("[ST3] where the stock page connects, a silent gateway is waited for", async () => {
  const stream = world.open();
  const socket = await world.gateway.sockets.next();
  // Probes, the answer, the place.
  await world.until(() => vi.getTimerCount() === 3);
  vi.advanceTimersByTime(4_999);
  expect(stream.frames.count).toBe(0);
  vi.advanceTimersByTime(1);
  expect(await stream.next()).toEqual({ is: "opened", status: 101, headers: [] });
  stream.text("hello");
  expect(await socket.messages.next()).toEqual({ data: Buffer.from("hello"), isBinary: false });
});

test("[ST3] elsewhere an upgrade is answered when the gateway answers it", async () => {
  const stream = world.open({ path: "/plugin/socket" });
  const socket = await world.gateway.sockets.next();
  expect(await stream.next()).toEqual({ is: "opened", status: 101, headers: [] });
  stream.text("hello");
  expect(await socket.messages.next()).toEqual({ data: Buffer.from("hello"), isBinary: false });
});

test("[ST3] a gateway that refuses the upgrade is quoted with status, fields and body", async () => {
  world.gateway.refuses = { status: 503, body: "too many" };
  const stream = world.open();
  const answer = await stream.expect("opened");
  expect(answer.status).toBe(503);
  expect(answer.headers).toContainEqual(["x-why", "full"]);
  expect(Buffer.from((await stream.expect("data")).bytes).toString()).toBe("too many");
  await stream.expect("end");
  expect(world.streams.count).toBe(0);
});

test.each(["aborted", "silent", "unread"] as const)("[IS10] a refusal whose body is %s ends its stream", async (end) => {
  const size = end === "unread" ? 100_000 : 10;
  world.gateway.refuses = { status: 503, body: "x".repeat(end === "unread" ? size : 5), length: size, ends: end === "aborted" };
  const stream = world.open();
  const { headers } = await stream.expect("opened");
  expect(headers.some(([name]) => name === "content-length")).toBe(end !== "unread");
  if (end === "unread") {
    expect((await stream.expect("data")).bytes.byteLength).toBe(MAX_FRAME_PAYLOAD_BYTES);
    await stream.expect("end");
  } else {
    if (end === "silent") vi.advanceTimersByTime(QUOTE_TIMEOUT_MS);
    expect(await stream.expect("reset")).toEqual({ is: "reset", code: 4502, reason: "connector-gateway: gateway broke off" });
  }
  expect(world.streams.count).toBe(0);
  await world.until(() => world.gateway.connections === 0);
});

test("[IS10] a visitor that leaves a refusal half read ends it", async () => {
  world.gateway.refuses = { status: 503, body: "x", length: 10, ends: false };
  const stream = world.open();
  await stream.expect("opened");
  stream.reset(1001, "gone");
  await world.until(() => world.gateway.connections === 0);
  expect([stream.frames.count, world.streams.count]).toEqual([0, 0]);
});

test("[ST2] messages cross as sent: kind, boundaries, order, empty ones, and longer than a frame", async () => {
  const { stream, socket } = await world.opened();
  const long = Buffer.alloc(2 * MAX_FRAME_PAYLOAD_BYTES + 5, 7);
  socket.ws.send("");
  socket.ws.send(Buffer.alloc(0));
  socket.ws.send("grüße");
  socket.ws.send(long);
  for (const [bytes, isText] of [
    [Buffer.alloc(0), true],
    [Buffer.alloc(0), false],
    [Buffer.from("grüße"), true],
    [long, false],
  ] as const)
    // prettier-ignore
    expect(await message(stream)).toEqual({ bytes, isText });
  stream.data(Buffer.from("gr"), FLAG_TEXT);
  stream.data(Buffer.from("üße"), FLAG_TEXT | FLAG_FIN);
  stream.data(new Uint8Array());
  stream.data(long.subarray(0, MAX_FRAME_PAYLOAD_BYTES), 0);
  stream.data(long.subarray(0, 3));
  expect(await socket.messages.next()).toEqual({ data: Buffer.from("grüße"), isBinary: false });
  expect(await socket.messages.next()).toEqual({ data: Buffer.alloc(0), isBinary: true });
  expect(await socket.messages.next()).toEqual({ data: long.subarray(0, MAX_FRAME_PAYLOAD_BYTES + 3), isBinary: true });
});

test("only the first message of the browser is read for the handshake; every other one is the same bytes", async () => {
  const { stream, socket } = await world.opened();
  stream.text("no-secret");
  stream.text("no-secret");
  expect((await socket.messages.next()).data.toString()).toBe("the-secret");
  expect((await socket.messages.next()).data.toString()).toBe("no-secret");
});

test("[ST2] a message whose kind changes half way ends the stream with 1002 at both ends", async () => {
  const { stream, socket } = await world.opened();
  stream.data(Buffer.from("a"), FLAG_TEXT);
  stream.data(Buffer.from("b"), FLAG_FIN);
  expect(await stream.next()).toMatchObject({ is: "reset", code: 1002 });
  expect(await socket.closed).toMatchObject({ code: 1002 });
});

test("[ST1] data before the upgrade was answered ends the stream, not the connector", async () => {
  const stream = world.open();
  stream.text("too early");
  expect(await stream.next()).toMatchObject({ is: "reset", code: 1002 });
  expect(world.streams.count).toBe(0);
});

test.each<[string, (socket: GatewaySocket) => void, { code: number; reason: string }]>([
  ["its own code and reason", ({ ws }) => ws.close(4001, "näher"), { code: 4001, reason: "näher" }],
  ["1008", ({ ws }) => ws.close(1008, "pairing required"), { code: 1008, reason: "pairing required" }],
  ["no code", ({ ws }) => ws.close(), { code: 1005, reason: "" }],
  ["no close at all", ({ ws }) => ws.terminate(), { code: 1006, reason: "" }],
])("[ST5] a gateway that ends with %s: the room hears exactly that", async (_what, end, close) => {
  const { stream, socket } = await world.opened();
  end(socket);
  expect(await stream.next()).toEqual({ is: "close", ...close });
  expect(world.streams.count).toBe(0);
});

test.each<[string, number, string, { code: number; reason: string }]>([
  ["its own code and reason", 3001, "bye", { code: 3001, reason: "bye" }],
  ["no code", 1005, "", { code: 1000, reason: "" }],
  ["a code that may not be sent", 1015, "tls", { code: 1000, reason: "tls" }],
  ["no close at all", 1006, "", { code: 1006, reason: "" }],
  ["a reserved code", 2000, "x", { code: 1000, reason: "x" }],
  ["a code that is ours elsewhere", 4403, "mine", { code: 4403, reason: "mine" }],
])("[ST5] a browser that ends with %s: the gateway hears what may be said", async (_what, code, reason, close) => {
  const { stream, socket } = await world.opened();
  stream.close(code, reason);
  expect(await socket.closed).toEqual(close);
  expect([stream.frames.count, world.streams.count]).toEqual([0, 0]);
});

test.each<[string, (socket: GatewaySocket) => void, number, string]>([
  ["a message longer than 25 MiB", ({ ws }) => ws.send(Buffer.alloc(MAX_MESSAGE_BYTES + 1)), 1009, "message too large"],
  ["text that is not UTF-8", ({ ws }) => ws.send(Buffer.from([0xff]), { binary: false }), 1007, "text is not UTF-8"],
  ["a frame that is none", ({ ws }) => rawSocket(ws).write(Buffer.from([0xff, 0x00])), 1002, "broken protocol"],
])("[ST9] a gateway that sends %s ends the stream by that code", async (_what, send, code, what) => {
  const { stream, socket } = await world.opened();
  socket.ws.send("before");
  send(socket);
  expect((await message(stream)).bytes.toString()).toBe("before");
  expect(await stream.expect("reset")).toEqual({ is: "reset", code, reason: `connector-gateway: ${what}` });
  expect(world.streams.count).toBe(0);
});

test("[ST2] a byte order mark that begins the first message stays", async () => {
  const { stream, socket } = await world.opened();
  stream.text("\u{feff}mark");
  expect((await socket.messages.next()).data).toEqual(Buffer.from("\u{feff}mark"));
});

test("[ST5] [ST6] everything that the gateway said before its close arrives before the close", async () => {
  const { stream, socket } = await world.opened();
  const long = Buffer.alloc(INITIAL_CREDIT_BYTES + 100_000, 1);
  socket.ws.send(long);
  socket.ws.close(4002, "done");
  let bytes = 0;
  for (let sent = 0; sent < 4; sent += 1) bytes += (await stream.expect("data")).bytes.byteLength;
  expect((await stream.next()).is).toBe("probe");
  stream.credit(INITIAL_CREDIT_BYTES);
  while (bytes < long.byteLength) bytes += (await stream.expect("data")).bytes.byteLength;
  expect(bytes).toBe(long.byteLength);
  expect(await stream.next()).toEqual({ is: "close", code: 4002, reason: "done" });
});

test("[ST8] a reset of the room is answered by nothing, and the gateway's socket ends", async () => {
  const { stream, socket } = await world.opened();
  stream.reset(4413, "too slow");
  expect(await socket.closed).toEqual({ code: 4413, reason: "too slow" });
  stream.probe(0);
  stream.close(1000);
  expect(stream.frames.count).toBe(0);
});

test("an HTTP frame on a WebSocket ends the stream with 1002", async () => {
  const { stream, socket } = await world.opened();
  stream.end();
  expect(await stream.next()).toMatchObject({ is: "reset", code: 1002 });
  expect(await socket.closed).toMatchObject({ code: 1002 });
});

test("[ST6] what a gateway sends after the link went reaches nobody: on the next link the same id is another device's stream", async () => {
  const { stream, socket } = await world.opened();
  world.streams.endAll();
  socket.ws.send("late");
  await socket.closed;
  expect(stream.frames.count).toBe(0);
});

/** A page that connects under a name, and is let in. */
async function page(name: string, changes: object = {}): Promise<{ stream: ScriptedStream; socket: GatewaySocket }> {
  const { stream, socket } = await world.opened(changes);
  stream.text(`page ${name}`);
  await socket.messages.next();
  socket.ws.send("hello-ok");
  await stream.expect("data");
  return { stream, socket };
}

test("[CR9] [case 6] a page that slept and connects again ends the socket that it left behind, at the gateway and in the room", async () => {
  const left = await page("one");
  const back = await page("one");
  expect(await left.stream.expect("reset")).toMatchObject({ code: 4502, reason: "device-room: the page is back" });
  expect((await left.socket.closed).code).toBe(4502);
  back.stream.text("hello again");
  expect((await back.socket.messages.next()).data.toString()).toBe("hello again");
  // And once more, after that one was left behind in its turn.
  await page("one");
  expect((await back.socket.closed).code).toBe(4502);
  expect(world.streams.count).toBe(1);
});

test("[CR9] other pages of the device, and pages of another device under the same name, stay", async () => {
  const first = await page("one");
  const second = await page("two");
  const other = await world.state.allow();
  const third = await page("one", other);
  for (const { stream, socket } of [first, second, third]) {
    stream.text("still here");
    expect((await socket.messages.next()).data.toString()).toBe("still here");
  }
  expect(world.streams.count).toBe(3);
});

test("[CR9] a page that the gateway refuses ends nothing", async () => {
  const left = await page("one");
  const refused = await world.opened();
  refused.stream.text("page one");
  await refused.socket.messages.next();
  refused.socket.ws.send("no");
  await refused.stream.expect("data");
  left.stream.text("still here");
  expect((await left.socket.messages.next()).data.toString()).toBe("still here");
});
