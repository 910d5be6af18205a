/** One HTTP exchange between room and gateway: bodies in both directions with credit, and either side may break off. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { INITIAL_CREDIT_BYTES, MAX_FRAME_PAYLOAD_BYTES } from "../../../src/protocol/limits.ts";
import type { ScriptedStream } from "../../support/scripted-room.ts";
import { StreamWorld } from "../../support/stream-world.ts";
import { UPLOAD_PATH } from "../../support/upload-path.ts";

let world: StreamWorld;

beforeEach(async () => {
  world = await StreamWorld.start();
});

afterEach(() => world.stop());

const UPLOAD = { kind: "http", method: "POST", path: UPLOAD_PATH, hasBody: true } as const;

async function bodyOf(stream: ScriptedStream): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for (;;) {
    const frame = await stream.next();
    if (frame.is === "end") return Buffer.concat(parts);
    if (frame.is === "data") {
      parts.push(frame.bytes);
      stream.credit(frame.bytes.byteLength);
    } else if (frame.is !== "probe" && frame.is !== "credit") throw new Error(JSON.stringify(frame));
  }
}

test("[ST4] a download longer than every window arrives whole, then END; [HD3] fields as the gateway may set them", async () => {
  const stream = world.open({ kind: "http", path: "/assets/app.js?v=1", headers: [["accept", "*/*"]] });
  const { request, response } = await world.gateway.exchanges.next();
  expect([request.method, request.url, request.headers.accept]).toEqual(["GET", "/assets/app.js?v=1", "*/*"]);
  const body = Buffer.alloc(4 * INITIAL_CREDIT_BYTES + 3, 9);
  response.writeHead(206, [
    "Set-Cookie", "theirs=1; Domain=example.com; Path=/",
    "Set-Cookie", "__Host-gth_s=stolen; Path=/",
    "Set-Cookie", "more=2",
    "Keep-Alive", "timeout=5",
    "X-Kept", "yes",
  ]); // prettier-ignore
  response.end(body);
  const opened = await stream.expect("opened");
  expect(opened.status).toBe(206);
  expect(opened.headers.filter(([name]) => name !== "date")).toEqual([["set-cookie", "theirs=1; Path=/"], ["set-cookie", "more=2"], ["x-kept", "yes"]]); // prettier-ignore
  expect((await bodyOf(stream)).equals(body)).toBe(true);
  expect(world.streams.count).toBe(0);
});

test("[ST4] [CR3] an upload longer than every window arrives whole; the connector grants what the gateway's socket took", async () => {
  const stream = world.open(UPLOAD);
  stream.data(Buffer.alloc(1), 0);
  const { request, response } = await world.gateway.exchanges.next();
  const pieces = 20;
  const parts: Buffer[] = [];
  const ended = new Promise((resolve) => request.on("data", (part: Buffer) => parts.push(part)).on("end", resolve));
  let credit = INITIAL_CREDIT_BYTES - 1;
  for (let piece = 0; piece < pieces; piece += 1) {
    while (credit < MAX_FRAME_PAYLOAD_BYTES) {
      const frame = await stream.next();
      if (frame.is === "credit") credit += frame.value;
    }
    credit -= MAX_FRAME_PAYLOAD_BYTES;
    stream.data(Buffer.alloc(MAX_FRAME_PAYLOAD_BYTES, piece), 0);
  }
  stream.end();
  await ended;
  const all = Buffer.concat(parts);
  expect(all.byteLength).toBe(1 + pieces * MAX_FRAME_PAYLOAD_BYTES);
  expect(all.at(-1)).toBe(pieces - 1);
  response.writeHead(204).end();
  expect((await stream.expect("opened")).status).toBe(204);
  await stream.expect("end");
});

test("[CR1] [CR4] a visitor that reads nothing stops the download: probes, then 4413, and the gateway is let go", async () => {
  const stream = world.open({ kind: "http" });
  const { response } = await world.gateway.exchanges.next();
  const gone = new Promise((resolve) => response.on("close", resolve));
  response.end(Buffer.alloc(8 * 1024 * 1024));
  await stream.expect("opened");
  let left = INITIAL_CREDIT_BYTES;
  let frame = await stream.next();
  for (; frame.is === "data"; frame = await stream.next()) left -= frame.bytes.byteLength;
  expect(frame).toEqual({ is: "probe", value: left });
  expect(left).toBeGreaterThanOrEqual(0);
  world.pass(10_000);
  expect(await stream.expect("reset")).toMatchObject({ code: 4413 });
  await gone;
  expect(world.streams.count).toBe(0);
});

test("[CR11] an upload that the gateway does not read is asked for in vain for a while, then ends by name", async () => {
  const stream = world.open(UPLOAD);
  stream.data(Buffer.alloc(1), 0);
  await world.gateway.exchanges.next();
  let left = INITIAL_CREDIT_BYTES;
  // What the buffers between swallow is granted; then nothing is any more.
  for (let idle = 0; idle < 50;) {
    for (; left >= MAX_FRAME_PAYLOAD_BYTES; left -= MAX_FRAME_PAYLOAD_BYTES) stream.data(Buffer.alloc(MAX_FRAME_PAYLOAD_BYTES, 5), 0);
    await new Promise((resolve) => setImmediate(resolve));
    idle = stream.frames.count === 0 ? idle + 1 : 0;
    while (stream.frames.count > 0) {
      const frame = await stream.next();
      left += frame.is === "credit" ? frame.value : 0;
    }
  }
  world.pass(5_000);
  expect(world.streams.count).toBe(1);
  world.pass(10_000);
  expect(await stream.next()).toEqual({ is: "reset", code: 4413, reason: "connector-gateway: gateway too slow" });
});

test("[CR2] an upload of more than two windows at once is reset with 4413", async () => {
  const stream = world.open(UPLOAD);
  for (let sent = 0; sent < 9; sent += 1) stream.data(Buffer.alloc(MAX_FRAME_PAYLOAD_BYTES), 0);
  expect(await stream.expect("reset")).toMatchObject({ code: 4413 });
  expect(world.streams.count).toBe(0);
});

test("[ST8] a visitor that breaks off during the download ends the gateway's request, and is answered by nothing", async () => {
  const stream = world.open({ kind: "http" });
  const { response } = await world.gateway.exchanges.next();
  const gone = new Promise((resolve) => response.on("close", resolve));
  response.write("beginning");
  await stream.expect("opened");
  await stream.expect("data");
  stream.reset(1001, "gone");
  await gone;
  expect([stream.frames.count, world.streams.count]).toEqual([0, 0]);
});

test("[ST8] a visitor that breaks off during the upload: the gateway never takes half a body for a whole one", async () => {
  const stream = world.open(UPLOAD);
  stream.data(Buffer.from("half"), 0);
  const { request } = await world.gateway.exchanges.next();
  const end = new Promise((resolve) => {
    request.on("data", () => undefined);
    request.on("error", () => resolve("broken off"));
    request.on("end", () => resolve("whole"));
  });
  stream.reset(1001, "gone");
  expect(await end).toBe("broken off");
});

test("[ST6] a gateway that breaks off mid-answer is a reset with 4502, never an END", async () => {
  const stream = world.open({ kind: "http" });
  const { response } = await world.gateway.exchanges.next();
  response.writeHead(200, { "content-length": "1000" });
  response.write("beginning");
  await stream.expect("opened");
  await stream.expect("data");
  response.destroy();
  expect(await stream.next()).toEqual({ is: "reset", code: 4502, reason: "connector-gateway: gateway broke off" });
  expect(world.streams.count).toBe(0);
});

test("a gateway that ends without an answer is a reset with 4502", async () => {
  const stream = world.open({ kind: "http" });
  const { request } = await world.gateway.exchanges.next();
  request.socket.destroy();
  expect(await stream.next()).toEqual({ is: "reset", code: 4502, reason: "connector-gateway: gateway did not answer" });
});

/** Serves one request over a connection that stays, and closes it at the next one, as a gateway does whose idle time is over. */
async function idleConnection(): Promise<void> {
  const stream = world.open({ kind: "http" });
  const { request, response } = await world.gateway.exchanges.next();
  response.end();
  await stream.expect("opened");
  await stream.expect("end");
  const { socket } = request;
  socket.removeAllListeners("data");
  socket.once("data", () => socket.destroy());
}

test("[IS12] a request on an idle connection that the gateway had closed is sent again, once", async () => {
  await idleConnection();
  const stream = world.open({ kind: "http", path: "/again" });
  const { request, response } = await world.gateway.exchanges.next();
  expect(request.url).toBe("/again");
  response.end("here");
  expect((await stream.expect("opened")).status).toBe(200);
  const broken = world.open({ kind: "http" });
  const first = await world.gateway.exchanges.next();
  // The connection is new, or an answer had begun: then it is not known what the gateway did.
  first.request.socket.destroy();
  expect(await broken.next()).toMatchObject({ is: "reset", code: 4502 });
});

test.each([
  ["a method that is not idempotent", { method: "POST", path: UPLOAD_PATH }],
  ["a request with a body", { method: "PUT", path: "/api/channels/nostr/a/profile", hasBody: true }],
])("[IS12] %s is not sent again", async (_what, changes) => {
  await idleConnection();
  expect(await world.open({ kind: "http", ...changes }).next()).toMatchObject({ is: "reset", code: 4502 });
});

test("[IS13] the gateway hears of a request before its body comes, and may refuse it", async () => {
  const stream = world.open(UPLOAD);
  const { response } = await world.gateway.exchanges.next();
  response.writeHead(413, { connection: "close" }).end();
  expect((await stream.expect("opened")).status).toBe(413);
  await stream.expect("end");
});

test("a gateway that answers before the upload is over: the answer arrives, and the connection to it is given back", async () => {
  const stream = world.open(UPLOAD);
  stream.data(Buffer.from("beginning"), 0);
  const { response } = await world.gateway.exchanges.next();
  response.writeHead(413).end("too large");
  expect((await stream.expect("opened")).status).toBe(413);
  expect((await bodyOf(stream)).toString()).toBe("too large");
  expect(world.streams.count).toBe(0);
  await world.until(() => world.gateway.connections === 0);
});

test("an answer that upgrades a plain request is refused", async () => {
  const stream = world.open({ kind: "http" });
  const { request } = await world.gateway.exchanges.next();
  request.socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
  expect(await stream.next()).toEqual({ is: "reset", code: 1002, reason: "connector-gateway: unexpected upgrade" });
});

test("a WebSocket's frame on an exchange ends it at the gateway", async () => {
  const stream = world.open(UPLOAD);
  stream.data(Buffer.from("beginning"), 0);
  const { request } = await world.gateway.exchanges.next();
  const gone = new Promise((resolve) => request.on("error", resolve));
  stream.close(1000);
  await gone;
  expect(world.streams.count).toBe(0);
});
