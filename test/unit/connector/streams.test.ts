/** What may be opened, and with which headers: nothing of a visitor's word about itself ever reaches the gateway. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ScriptedStream } from "../../support/scripted-room.ts";
import { StreamWorld } from "../../support/stream-world.ts";
import { UPLOAD_PATH } from "../../support/upload-path.ts";

let world: StreamWorld;

beforeEach(async () => {
  world = await StreamWorld.start();
});

afterEach(() => world.stop());

/** Says hello from the gateway, so that the upgrade is answered. */
async function served(stream: ScriptedStream): Promise<void> {
  const socket = await world.gateway.sockets.next();
  socket.ws.send("challenge");
  await stream.expect("opened");
  await stream.expect("data");
}

const FORGED: [string, string][] = [
  ["X-Forwarded-For", "127.0.0.1"],
  ["x-forwarded-host", "localhost"],
  ["X-Forwarded-Proto", "http"],
  ["X-Forwarded-User", "admin"],
  ["Forwarded", "for=127.0.0.1"],
  ["X-Real-IP", "127.0.0.1"],
  ["True-Client-IP", "::1"],
  ["X-OpenClaw-Scopes", "operator.admin"],
  ["x-openclaw-anything", "1"],
  ["CF-Connecting-IP", "127.0.0.1"],
  ["cf-access-jwt-assertion", "x"],
  ["Tailscale-User-Login", "owner@example.com"],
  ["X-Pomerium-Claim-Email", "owner@example.com"],
  ["X-Auth-Request-Email", "owner@example.com"],
  ["X-Gatehouse-Access", "full"],
  ["X-Authenticated-User", "owner"],
  ["Remote-User", "owner"],
  ["Connection", "x-private"],
  ["X-Private", "1"],
];
const KEPT: [string, string][] = [
  ["host", "elsewhere.example"],
  ["Origin", "http://gw.localhost:8787"],
  ["Cookie", "theirs=1; __Host-gth_s=secret; __Host-gth_d=secret"],
  ["Accept-Language", "en"],
];

test.each(["ws", "http"] as const)(
  "[HD1] [HD2] over %s a visitor's word about itself never passes, ours is on everything",
  async (kind) => {
    const chat = await world.state.allow({ access: "chat" });
    world.open({ kind, headers: [...FORGED, ...KEPT], session: chat.session, device: chat.device, access: "full" });
    const { request } = kind === "ws" ? await world.gateway.sockets.next() : await world.gateway.exchanges.next();
    const { headers, rawHeaders } = request;
    expect(headers).toMatchObject({
      host: "gw.localhost:8787",
      origin: "http://gw.localhost:8787",
      cookie: "theirs=1",
      "accept-language": "en",
      "x-forwarded-for": "198.51.100.7",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "gw.localhost:8787",
      // The grant's access, not the room's word for it.
      "x-openclaw-scopes": "operator.read,operator.write,operator.approvals,operator.questions",
    });
    const names = rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
    const transport = ["connection", "upgrade", "sec-websocket-key", "sec-websocket-version"];
    expect(names.filter((name) => !transport.includes(name)).toSorted()).toEqual(
      ["accept-language", "cookie", "host", "origin", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-openclaw-scopes"], // prettier-ignore
    );
    expect(headers.connection).not.toContain("x-private");
  },
);

test.each([
  ["", "none"],
  ["unknown", "no address"],
  ["127.0.0.1", "loopback"],
  ["::1", "loopback"],
  ["::ffff:127.0.0.1", "loopback in disguise"],
  ["0.0.0.0", "unspecified"],
  ["10.1.2.3", "private"],
  ["192.168.1.4", "private"],
  ["172.16.0.1", "private"],
  ["100.64.0.1", "of a tailnet"],
  ["169.254.1.1", "link-local"],
  ["fe80::1", "link-local"],
  ["fd00::1", "private"],
  ["198.51.100.7, 127.0.0.1", "a list"],
  ["198.51.100.7:80", "with a port"],
  ["0198.51.100.7", "octal"],
])("[HD2] client address %j (%s) is refused, and the gateway hears nothing", async (clientIp) => {
  for (const kind of ["ws", "http"] as const)
    expect(await world.open({ kind, clientIp }).next()).toEqual({ is: "reset", code: 1002, reason: "device-room: no sound address" });
  expect(world.gateway.heard).toBe(0);
  expect(world.streams.count).toBe(0);
});

test("[HD6] [case 42] a field that could become two, and fields beyond every measure, are refused", async () => {
  for (const headers of [
    [["accept", "a\r\nx-forwarded-for: 127.0.0.1"]],
    Array.from({ length: 101 }, (_, index) => [`x-${index}`, "1"]),
    [["accept", "n".repeat(32_768)]],
  ] as [string, string][][])
    expect(await world.open({ headers }).next()).toMatchObject({ is: "reset", code: 1002 });
  expect(world.gateway.heard).toBe(0);
});

test.each<[string, object]>([
  ["a worker's socket", { path: "/__openclaw__/worker" }],
  ["our own prefix", { path: "/.gatehouse/x" }],
  ["the machine interface", { kind: "http", method: "POST", path: "/v1/chat/completions" }],
  ["a tool call", { kind: "http", method: "POST", path: "/tools/invoke" }],
  ["a way around it that OpenClaw cuts off", { kind: "http", method: "POST", path: "/__openclaw__/cap/x/tools/invoke" }],
  ["a write that the stock page does not know", { kind: "http", method: "POST", path: "/api/x" }],
  ["a method that is none", { kind: "http", method: "NO METHOD" }],
  ["an encoded way to it", { kind: "http", method: "POST", path: "/%74ools/invoke" }],
  ["dot segments", { kind: "http", path: "/x/../v1/models" }],
  ["an encoded slash", { kind: "http", path: "/x%2f..%2fv1" }],
  ["a tunnel", { kind: "http", method: "CONNECT", path: "/" }],
])("[GP2] [case 42] %s is refused with 4404, and the gateway hears nothing", async (_what, open) => {
  expect(await world.open(open).next()).toEqual({ is: "reset", code: 4404, reason: "not found" });
  expect(world.gateway.heard).toBe(0);
});

test("[GP3] a device with less than full control only reads over HTTP", async () => {
  const look = await world.state.allow({ access: "look" });
  const changes = { kind: "http", session: look.session, device: look.device, access: "full" } as const;
  expect(await world.open({ ...changes, method: "POST", path: UPLOAD_PATH }).next()).toMatchObject({ is: "reset", code: 4404 });
  world.open({ ...changes, path: "/api/x" });
  await world.gateway.exchanges.next();
  expect(world.gateway.heard).toBe(1);
});

test.each(["ws", "http"] as const)("[HD5] [case 42] over %s a stream for another host or origin ends", async (kind) => {
  const foreign = { is: "reset", code: 1002, reason: "room-connector: another origin" };
  for (const host of ["127.0.0.1:18789", "other.localhost:8787", "a\u0001b"])
    expect(await world.open({ kind, host }).next()).toEqual(foreign);
  for (const origin of ["http://127.0.0.1:18789", "null"])
    expect(await world.open({ kind, headers: [["Origin", origin]] }).next()).toEqual(foreign);
  expect(world.gateway.heard).toBe(0);
});

test("[SE2] [case 30] a session that is unknown, another device's, over, or of a cut device opens nothing", async () => {
  const refused = async (changes: object, code: number): Promise<void> => {
    for (const kind of ["ws", "http"] as const) expect(await world.open({ kind, ...changes }).next()).toMatchObject({ is: "reset", code });
  };
  const other = await world.state.allow();
  await refused({ session: "u".repeat(22) }, 4401);
  await refused({ session: other.session }, 4401);
  await world.state.admitted.revokeDevice(other.device, "host");
  await refused({ session: other.session, device: other.device }, 4401);
  world.state.nowMs += 3_600_000;
  await refused({}, 4401);
  expect(world.gateway.heard).toBe(0);
});

test("[SE2] [KL6] a session whose grant was revoked by the log alone is refused as cut", async () => {
  await world.state.log.append({ type: "revoke", device: world.device.device, by: "host" }, world.state.nowMs);
  expect(await world.open().next()).toEqual({ is: "reset", code: 4403, reason: "cut by the owner" });
  expect(world.gateway.heard).toBe(0);
});

test("[ST7] when the session ends, its open streams end, and the gateway is told", async () => {
  const ws = world.open();
  const socket = await world.gateway.sockets.next();
  socket.ws.send("challenge");
  await ws.expect("opened");
  await ws.expect("data");
  const http = world.open({ kind: "http" });
  const exchange = await world.gateway.exchanges.next();
  const gone = new Promise((resolve) => exchange.response.on("close", resolve));
  world.state.nowMs += 3_600_000;
  world.pass(1_000);
  expect(await ws.next()).toEqual({ is: "reset", code: 4401, reason: "session over" });
  expect(await http.next()).toEqual({ is: "reset", code: 4401, reason: "session over" });
  expect(await socket.closed).toEqual({ code: 4401, reason: "session over" });
  await gone;
  expect(world.streams.count).toBe(0);
});

test("[LINK12] [CUT2] a device may be paired as long as it is admitted and the room answers; a cut that comes while the room is asked counts", async () => {
  world.open();
  const { mayPair } = world.openclaw;
  expect(await mayPair()).toBe(true);
  world.isHeard = () => Promise.resolve(false);
  expect(await mayPair()).toBe(false);
  world.isHeard = async () => {
    await world.state.admitted.revokeDevice(world.device.device, "relay");
    return true;
  };
  expect(await mayPair()).toBe(false);
});

test("[ST7] [CUT2] a cut ends that device's streams at once, and no other's", async () => {
  const other = await world.state.allow();
  const mine = world.open();
  const socket = await world.gateway.sockets.next();
  socket.ws.send("challenge");
  await mine.expect("opened");
  await mine.expect("data");
  const theirs = world.open({ session: other.session, device: other.device });
  await served(theirs);
  expect(world.streams.endDevice(world.device.device)).toBe(1);
  expect(await mine.next()).toEqual({ is: "reset", code: 4403, reason: "cut by the owner" });
  expect(await socket.closed).toMatchObject({ code: 1006 });
  mine.text("still there?");
  expect(await mine.next()).toEqual({ is: "reset", code: 1001, reason: "unknown stream" });
  expect(world.streams.count).toBe(1);
  expect(theirs.frames.count).toBe(0);
});

test("[ST6] when the link goes, every stream ends at the gateway, and nothing more is sent to the room", async () => {
  const ws = world.open();
  const socket = await world.gateway.sockets.next();
  socket.ws.send("challenge");
  await ws.expect("opened");
  await ws.expect("data");
  const http = world.open({ kind: "http" });
  const { response } = await world.gateway.exchanges.next();
  const gone = new Promise((resolve) => response.on("close", resolve));
  world.streams.endAll();
  expect(await socket.closed).toEqual({ code: 1001, reason: "room-connector: connection lost" });
  await gone;
  expect([ws.frames.count, http.frames.count, world.streams.count]).toEqual([0, 0, 0]);
});

test.each(["ws", "http"] as const)("a gateway that is away is said at once over %s", async (kind) => {
  world.openclaw.report = { state: "restarting" };
  expect(await world.open({ kind }).next()).toEqual({ is: "reset", code: 4502, reason: "connector-gateway: gateway not serving" });
  expect(world.gateway.heard).toBe(0);
  world.openclaw.report = { state: "online" };
  await world.gateway.stop();
  expect(await world.open({ kind }).next()).toMatchObject({ is: "reset", code: 4502 });
  expect(world.streams.count).toBe(0);
});

test("[HD2] no length that a visitor or a room states can hide a second request behind the first", async () => {
  const hidden = "GET /hidden HTTP/1.1\r\nhost: localhost\r\n\r\n";
  const answered = async (): Promise<void> => {
    const { request, response } = await world.gateway.exchanges.next();
    expect(request.headers["x-forwarded-for"]).toBe("198.51.100.7");
    expect(request.url).not.toBe("/hidden");
    request.resume();
    response.end("ok");
  };
  // A length without a body: the next request on that connection would be taken for the body.
  const bare = world.open({ kind: "http", headers: [["content-length", "600"]] });
  await answered();
  await bare.expect("opened");
  await bare.expect("data");
  await bare.expect("end");
  const next = world.open({ kind: "http" });
  await answered();
  await next.expect("opened");
  // A body longer than its length: the rest would be a request of its own.
  const long = world.open({ kind: "http", method: "POST", path: UPLOAD_PATH, hasBody: true, headers: [["content-length", "2"]] });
  long.data(Buffer.from(`ab${hidden}`), 0);
  expect(await long.expect("reset")).toMatchObject({ code: 1002 });
  // A body shorter than its length: the next request would complete it.
  const short = world.open({ kind: "http", method: "POST", path: UPLOAD_PATH, hasBody: true, headers: [["content-length", "9"]] });
  short.data(Buffer.from("ab"), 0);
  short.end();
  expect(await short.expect("reset")).toMatchObject({ code: 1002 });
  for (const lengths of [["1", "2"], ["1, 2"], ["-1"], ["0x2"], ["two"]]) {
    const headers = lengths.map((length): [string, string] => ["content-length", length]);
    const two = world.open({ kind: "http", method: "POST", path: UPLOAD_PATH, hasBody: true, headers });
    expect(await two.next()).toMatchObject({ is: "reset", code: 1002 });
  }
  const fine = world.open({ kind: "http", method: "POST", path: UPLOAD_PATH, hasBody: true, headers: [["content-length", "2"]] });
  fine.data(Buffer.from("ab"), 0);
  fine.end();
  for (;;) {
    const { request, response } = await world.gateway.exchanges.next();
    expect(request.headers["x-forwarded-for"]).toBe("198.51.100.7");
    expect(request.url).not.toBe("/hidden");
    response.end();
    if (request.headers["content-length"] === "2") break;
  }
  expect((await fine.expect("opened")).status).toBe(200);
  const data = world.open({ kind: "http" });
  data.data(Buffer.from(hidden), 0);
  expect(await data.expect("reset")).toMatchObject({ code: 1002 });
  const ws = world.open({ headers: [["content-length", "600"]] });
  expect((await world.gateway.sockets.next()).request.headers["content-length"]).toBe(undefined);
  ws.close(1000);
});

test.each(["GET", "HEAD", "POST", "PUT"])(
  "[HD2] a body of unknown length with %s goes in chunks: it is never the next request",
  async (method) => {
    const path = method === "PUT" ? "/api/channels/nostr/a/profile" : UPLOAD_PATH;
    const stream = world.open({ kind: "http", method, path, hasBody: true });
    const hidden = "GET /hidden HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.data(Buffer.from(hidden), 0);
    stream.end();
    const { request, response } = await world.gateway.exchanges.next();
    let body = "";
    for await (const part of request) body += String(part);
    response.end();
    await stream.expect("opened");
    expect([request.method, body, world.gateway.heard]).toEqual([method, hidden, 1]);
  },
);

test("[GP4] a path that is not printable ASCII is refused: two readers could take it differently", async () => {
  for (const path of ["/\u{1f600}", "/a b", "/a?b=\u00e4", "/a?b\tc"])
    for (const kind of ["ws", "http"] as const) expect(await world.open({ kind, path }).next()).toMatchObject({ is: "reset", code: 4404 });
  expect(world.gateway.heard).toBe(0);
});

test("nothing that a visitor or a room can put into OPEN ends the connector", async () => {
  const stream = world.room.stream(900);
  stream.raw(1, new TextEncoder().encode("{"));
  expect(await stream.next()).toEqual({ is: "reset", code: 1002, reason: "room-connector: bad open" });
  for (const changes of [{ headers: [["sec-websocket-protocol", "a, a"]] }, { headers: [["sec-websocket-protocol", "a b"]] }] as object[]) {
    const frame = await world.open(changes).next();
    expect([JSON.stringify(changes), frame]).toEqual([
      JSON.stringify(changes),
      { is: "reset", code: 1002, reason: "room-connector: bad open" },
    ]);
  }
  // Judged before anything is written.
  expect(await world.open({ kind: "http", method: "NO METHOD" }).next()).toMatchObject({ is: "reset", code: 4404 });
  expect(await world.open({ kind: "http", host: "a\u0001b" }).next()).toMatchObject({ is: "reset", code: 1002 });
  expect([world.gateway.heard, world.streams.count]).toEqual([0, 0]);
});
