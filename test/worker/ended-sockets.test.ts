/** The socket of a session that the room ended: the stock page is told, and nothing of it goes further. */
import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { ENDED_SOCKET_MS, MAX_ENDED_SOCKETS } from "../../src/protocol/limits.ts";
import { passTime } from "./room-clock.ts";
import { allowedDevice, ask, newGateway, openSession } from "./world.ts";
import type { FakeConnector, GatewayWorld } from "./world.ts";

afterEach(() => {
  vi.useRealTimers();
});

const CANARY = "what-only-the-page-says";
const CONNECT = JSON.stringify({ type: "req", id: "7", method: "connect", params: { auth: { deviceToken: CANARY } } });

/** A device with a session, then cut. */
async function cutDevice(world: GatewayWorld) {
  const device = await allowedDevice(world);
  const { session } = await openSession(world, device);
  expect(await world.room.cut({ account: world.person.id, device: device.id })).toMatchObject({ ok: true });
  return { id: device.id, cookie: session ?? "" };
}

async function upgrade(world: GatewayWorld, cookie: string, path = "/") {
  const response = await ask(world.origin + path, { cookie, headers: { upgrade: "websocket" } });
  const ws = response.webSocket;
  const said: string[] = [];
  const closed = new Promise<{ code: number; said: readonly string[] }>((resolve) => {
    ws?.addEventListener("message", ({ data }) => {
      said.push(String(data));
    });
    ws?.addEventListener("close", ({ code }) => resolve({ code, said }));
  });
  ws?.accept();
  return { status: response.status, ws, closed };
}

/** Everything that reaches the connector from here on. */
function listen({ ws }: FakeConnector): { readonly frames: () => number; readonly texts: () => string } {
  const seen: unknown[] = [];
  ws.addEventListener("message", ({ data }) => {
    seen.push(data);
  });
  const isText = (data: unknown): data is string => typeof data === "string";
  return { frames: () => seen.filter((data) => !isText(data)).length, texts: () => seen.filter(isText).join("\n") };
}

test("[EA3] [EA4] a cut page's connect is answered with a reload and the sentence, and no byte of it reaches the connector", async () => {
  const world = await newGateway();
  const connector = await world.connect();
  const { cookie } = await cutDevice(world);
  const heard = listen(connector);
  const page = await upgrade(world, cookie);
  expect(page.status).toBe(101);
  page.ws?.send(CONNECT);
  const { code, said } = await page.closed;
  expect(code).toBe(1008);
  const [challenge, answer, ...more] = said.map((text) => JSON.parse(text) as Record<string, unknown>);
  expect(challenge).toMatchObject({ type: "event", event: "connect.challenge", payload: { nonce: expect.any(String), ts: expect.any(Number) } }); // prettier-ignore
  expect(answer).toMatchObject({
    type: "res", id: "7", ok: false,
    error: { code: "UNAVAILABLE", message: expect.stringMatching(/^Your access was ended at .* UTC\. Load this page again/), details: { code: "PROTOCOL_MISMATCH", reloadRequired: true } },
  }); // prettier-ignore
  expect(more).toEqual([]);
  // The connector has heard of nothing: its next frame is of somebody else.
  const other = await allowedDevice(world);
  const { session } = await openSession(world, other);
  void ask(`${world.origin}/x`, { cookie: session ?? "" });
  await connector.nextFrame(1);
  expect([heard.frames(), heard.texts().includes(CANARY)]).toEqual([1, false]);
});

test("[EA3] a forged cookie, another gateway's, one of a live session elsewhere than at /: no such socket", async () => {
  const [world, elsewhere] = [await newGateway(), await newGateway()];
  await world.connect();
  await elsewhere.connect();
  const { cookie, id } = await cutDevice(world);
  const foreign = (await cutDevice(elsewhere)).cookie;
  const [name = "", value = ""] = cookie.split("=");
  const [session = "", , expires = "", tag = ""] = value.split(".");
  const other = (await allowedDevice(world)).id;
  const forged = [
    foreign,
    `${name}=${[session, other, expires, tag].join(".")}`,
    `${name}=${["A".repeat(32), id, expires, tag].join(".")}`,
    `${name}=${[session, id, String(Number(expires) + 1), tag].join(".")}`,
    "",
  ];
  for (const each of forged) expect(await upgrade(world, each)).toMatchObject({ status: 401, ws: null });
  expect(await upgrade(world, cookie, "/other")).toMatchObject({ status: 401, ws: null });
  expect((await ask(`${world.origin}/`, { cookie, headers: { upgrade: "websocket", origin: elsewhere.origin } })).status).toBe(403);
});

test("[EA5] HEAD with the cookie of an ended session is answered with the door, as a navigation is; without a cookie, and for a script, it is not", async () => {
  const world = await newGateway();
  await world.connect();
  const { cookie } = await cutDevice(world);
  const head = async (shown: string): Promise<readonly [number, string]> => {
    const answer = await ask(`${world.origin}/settings?x=1`, { method: "HEAD", cookie: shown, headers: { "sec-fetch-mode": "cors", "sec-fetch-site": "same-origin" } }); // prettier-ignore
    return [answer.status, await answer.text()];
  };
  expect(await head(cookie)).toEqual([200, ""]);
  expect(await head("")).toEqual([401, expect.any(String)]);
  expect((await ask(`${world.origin}/settings?x=1`, { cookie, headers: { "sec-fetch-mode": "cors" } })).status).toBe(401);
});

test("[EA4] one such socket a device: a second one is refused as before, until the first has gone", async () => {
  const world = await newGateway();
  await world.connect();
  const { cookie } = await cutDevice(world);
  const first = await upgrade(world, cookie);
  expect(await upgrade(world, cookie)).toMatchObject({ status: 401, ws: null });
  first.ws?.send("{}");
  expect(await first.closed).toMatchObject({ code: 1008, said: [expect.stringContaining("connect.challenge")] });
  expect((await upgrade(world, cookie)).status).toBe(101);
});

test("[EA4] silence: closed at five seconds by the alarm, not before", async () => {
  const world = await newGateway();
  await world.connect();
  const { cookie } = await cutDevice(world);
  const page = await upgrade(world, cookie);
  passTime(ENDED_SOCKET_MS - 1_000);
  await runDurableObjectAlarm(world.room);
  expect(page.ws?.readyState).toBe(WebSocket.OPEN);
  passTime(ENDED_SOCKET_MS);
  await runDurableObjectAlarm(world.room);
  expect(await page.closed).toMatchObject({ code: 1008 });
});

test("[EA4] a gateway has so many of these sockets, and no more", async () => {
  const world = await newGateway();
  await world.connect();
  const cookies: string[] = [];
  for (let at = 0; at <= MAX_ENDED_SOCKETS; at += 1) cookies.push((await cutDevice(world)).cookie);
  const statuses: number[] = [];
  for (const cookie of cookies) statuses.push((await upgrade(world, cookie)).status);
  expect(statuses).toEqual([...Array.from({ length: MAX_ENDED_SOCKETS }, () => 101), 401]);
});
