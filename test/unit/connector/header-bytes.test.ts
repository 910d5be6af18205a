/** Header fields between the room, which speaks UTF-8, and the gateway: the same bytes as without a relay, and no field that fails a request. */
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MAX_ANSWER_HEADER_COUNT } from "../../../src/protocol/limits.ts";
import { answerFields, requestFields } from "../../../src/connector/streams/header-bytes.ts";
import { StreamWorld } from "../../support/stream-world.ts";

let world: StreamWorld;

beforeEach(async () => {
  world = await StreamWorld.start();
});

afterEach(() => world.stop());

const decoder = new TextDecoder();
/** As the room's runtime reads a field's bytes: UTF-8, and U+FFFD for what is none. */
const asRoomReads = (bytes: Buffer): string => decoder.decode(bytes);

/** Characters of one to four bytes, and every one of U+0080 to U+00FF, whose Latin-1 form is one byte. */
const TEXTS = ["plain", "naïve café", "☃", "😀 ok", "Grüße, 世界", ...Array.from({ length: 128 }, (_, i) => String.fromCharCode(0x80 + i))];

/** What the gateway hears of these bytes without a relay. */
async function direct(bytes: Buffer): Promise<unknown> {
  const socket = net.connect(world.gateway.port, "127.0.0.1");
  socket.write(Buffer.concat([Buffer.from("GET / HTTP/1.1\r\nhost: a\r\nlast-event-id: <"), bytes, Buffer.from(">\r\n\r\n")]));
  const { request } = await world.gateway.exchanges.next();
  socket.destroy();
  return request.headers["last-event-id"];
}

test("[IS8] bytes of a field reach the gateway, and come back", async () => {
  for (const text of TEXTS) {
    const bytes = Buffer.from(text);
    const stream = world.open({ kind: "http", headers: [["last-event-id", `<${asRoomReads(bytes)}>`]] });
    const { request, response } = await world.gateway.exchanges.next();
    expect(request.headers["last-event-id"]).toBe(await direct(bytes));
    response.setHeader("content-disposition", Buffer.from(`attachment; filename="${text}"`).toString("latin1"));
    response.end();
    const { headers } = await stream.expect("opened");
    expect(headers).toContainEqual(["content-disposition", `attachment; filename="${text}"`]);
  }
});

test("[IS8] each byte that is no UTF-8 arrives as its Latin-1 character", () => {
  for (let byte = 0x80; byte <= 0xff; byte += 1) {
    const raw = String.fromCharCode(byte);
    expect(answerFields(["last-event-id", raw])).toEqual([["last-event-id", raw]]);
  }
});

test("[IS8] over a WebSocket a field beyond ASCII passes as well", async () => {
  world.open({ headers: [["cookie", "name=☃"]] });
  const { request } = await world.gateway.sockets.next();
  expect(Buffer.from(request.headers.cookie ?? "", "latin1").toString()).toBe("name=☃");
});

test.each([
  ["a control character", ["accept-language", "a\u0001b"]],
  ["a name that is none", ["x note", "1"]],
] as const)("[IS8] %s is left out, and the request goes on", async (_what, field) => {
  for (const kind of ["http", "ws"] as const) {
    world.open({ kind, headers: [[...field], ["last-event-id", "yes"]] });
    const { request } = kind === "ws" ? await world.gateway.sockets.next() : await world.gateway.exchanges.next();
    expect(request.headers["last-event-id"]).toBe("yes");
    expect(Object.keys(request.headers)).not.toContain(field[0]);
  }
});

test("[IS8] [HD2] of our own fields none is left out", () => {
  expect(requestFields({ "x-forwarded-host": "a\u0001b", "x-note": ["fine", "a\u0001b"] })).toEqual({
    "x-forwarded-host": "a\u0001b",
    "x-note": "fine",
  });
});

test.each<[string, [string, string][], boolean]>([
  ["200 fields", Array.from({ length: MAX_ANSWER_HEADER_COUNT - 1 }, (_, i) => [`x-${i}`, "1"]), true],
  ["a field of 40 KiB", [["x-long", "y".repeat(40_960)]], true],
  ["201 fields", Array.from({ length: MAX_ANSWER_HEADER_COUNT }, (_, i) => [`x-${i}`, "1"]), false],
  ["fields of 64 KiB", [["x-long", "y".repeat(65_536)]], false],
  ["fields beyond what is read", [["x-long", "y".repeat(200_000)]], false],
])("[IS9] an answer with %s", async (_what, fields, passes) => {
  const server = http.createServer({ maxHeaderSize: 1024 * 1024 }, (_request, response) => {
    response.sendDate = false;
    response.writeHead(200, [...fields.flat(), "content-length", "2", "connection", "close"]);
    response.end("ok");
  });
  server.on("upgrade", (_request, socket) => {
    socket.on("error", () => undefined);
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    socket.end(`HTTP/1.1 503 Full\r\n${lines}content-length: 2\r\nconnection: close\r\n\r\nok`);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  world.openclaw.target.port = (server.address() as AddressInfo).port;
  try {
    for (const kind of ["http", "ws"] as const) {
      const frame = await world.open({ kind }).next();
      if (passes) expect(frame).toMatchObject({ is: "opened", headers: expect.arrayContaining(fields) as unknown });
      else expect(frame).toEqual({ is: "reset", code: 4502, reason: "connector-gateway: the answer's header is too large" });
    }
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
