/** Floods and forgeries from outside: what they cost, what they are told, and whom they do not reach. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { BROWSER_MESSAGES, MAX_HELD_MESSAGES, ROOM_MESSAGES } from "../../src/protocol/limits.ts";
import { handle } from "../../src/worker/app.ts";
import { mintGatewayId } from "../../src/worker/auth/gateway-id.ts";
import type { Env } from "../../src/worker/env.ts";
import { FakeConnector } from "./fake-connector.ts";
import { FakeBrowser, allowDevice, newBench, upgrade } from "./room-bench.ts";
import { allowedDevice, ask, askOwner, config, dump, env, newGateway, openSession, randomAddress } from "./world.ts";
import { passTime } from "./room-clock.ts";

afterEach(() => {
  vi.useRealTimers();
});

const FLOOD_TEST_MS = 30_000;

/** The environment with bindings that must not be touched. */
function untouchable(): { env: Env; touched: string[] } {
  const touched: string[] = [];
  const trap = (name: string): never =>
    new Proxy(
      {},
      {
        get: (_target, member) => {
          touched.push(`${name}.${String(member)}`);
          throw new Error("touched");
        },
      },
    ) as never;
  return { env: { ...env, ROOM: trap("ROOM"), INBOX: trap("INBOX"), DB: trap("DB") }, touched };
}

test("[case 24] two thousand forged gateway ids, at their origins and at the link: one 404, and neither a room nor D1 is asked", async () => {
  const { env: guarded, touched } = untouchable();
  const real = await mintGatewayId(env, crypto.getRandomValues(new Uint8Array(10)));
  const alphabet = "abcdefghijklmnopqrstuvwxyz234567";
  const bodies = new Set<string>();
  for (let i = 0; i < 1_000; i += 1) {
    // Random ones, and the real one with one letter changed.
    const letters = i % 2 === 0 ? real.split("") : Array.from(crypto.getRandomValues(new Uint8Array(23)), (byte) => alphabet[byte % 32]);
    const at = i % 23;
    letters[at] = alphabet[(alphabet.indexOf(letters[at] ?? "a") + 1 + (i % 31)) % 32] ?? "a";
    const id = letters.join("");
    if (id === real) continue;
    for (const [url, headers] of [
      [`${config.gatewayOrigin(id)}/.gatehouse/wait`, { upgrade: "websocket", origin: config.gatewayOrigin(id) }],
      [`${config.appOrigin}/link/${id}`, { upgrade: "websocket" }],
    ] as const) {
      const response = await handle(new Request(url, { headers }), guarded);
      bodies.add(`${response.status} ${await response.text()}`);
    }
  }
  expect(bodies.size).toBe(1);
  expect([...bodies][0]).toMatch(/^404 /);
  expect(touched).toEqual([]);
});

test.each([
  ["GET", "/", {}],
  ["GET", "/assets/x.js", { cookie: "__Host-gth_s=a.b.9999999999999.c" }],
  ["GET", "/", { upgrade: "websocket" }],
  ["POST", "/x", { "sec-fetch-mode": "cors" }],
  ["POST", "/.gatehouse/api/challenge", { origin: "http://evil.example" }],
  ["POST", "/.gatehouse/api/session", { origin: "null" }],
  ["POST", "/.gatehouse/activate", { origin: "http://evil.example" }],
  ["GET", "/.gatehouse/wait", { upgrade: "websocket", origin: "http://evil.example" }],
] as const)("a stranger's %s %s with %j is answered in the Worker: no room, no D1", async (method, path, headers) => {
  const { env: guarded, touched } = untouchable();
  const { origin } = await newGateway();
  const response = await handle(new Request(origin + path, { method, headers, ...(method === "POST" ? { body: "{}" } : {}) }), guarded);
  expect([200, 401, 403, 404]).toContain(response.status);
  expect(touched).toEqual([]);
});

test("[case 39] every origin but the exact one is turned away before an upgrade, at every socket of a gateway's origin and of the app", async () => {
  const world = await newGateway();
  await world.connect();
  const device = await allowedDevice(world);
  const { session } = await openSession(world, device);
  const sibling = (await newGateway()).origin;
  const person = await world.person.cookie("app");
  const before = await dump(world.room);
  for (const origin of [
    "http://evil.example",
    "null",
    "",
    sibling,
    config.appOrigin,
    config.approveOrigin,
    world.origin.replace("http:", "https:"),
    world.origin.replace(/:\d+$/, ""),
    world.origin.replace(/:\d+$/, ":8788"),
    `${world.origin}.evil.example`,
    `${world.origin}/`,
    world.origin.toUpperCase(),
  ]) {
    for (const [url, cookie] of [
      [`${world.origin}/`, session ?? ""],
      [`${world.origin}/.gatehouse/wait`, ""],
      ...(origin === config.appOrigin ? [] : [[`${config.appOrigin}/api/inbox`, person] as const]),
    ] as const) {
      const answered = await ask(url, { cookie, headers: { upgrade: "websocket", origin } });
      expect([answered.status, answered.webSocket], `${url} ${origin}`).toEqual([403, null]);
    }
    for (const [type, body] of [
      ["application/json", "{}"],
      ["text/plain", "{}"],
      ["application/x-www-form-urlencoded", "a=b"],
    ] as const) {
      // prettier-ignore
      const headers = { origin, cookie: session ?? "", "content-type": type, "cf-connecting-ip": randomAddress() };
      expect((await handle(new Request(`${world.origin}/rpc`, { method: "POST", headers, body }), env)).status).toBe(403);
    }
  }
  const bare = new Request(`${world.origin}/rpc`, { method: "POST", headers: { cookie: session ?? "" }, body: "{}" });
  expect((await handle(bare, env)).status).toBe(403);
  expect(await dump(world.room)).toBe(before);
});

test("[case 39] our pages can be framed by nobody, and a tossed cookie beside the real one changes nothing", async () => {
  const world = await newGateway();
  await world.connect();
  const device = await allowedDevice(world);
  const { session } = await openSession(world, device);
  const pages = { ...env, ASSETS: { fetch: () => Promise.resolve(new Response("<body></body>")) } as unknown as Fetcher };
  for (const url of [world.origin, config.appOrigin, config.approveOrigin]) {
    const page = await handle(new Request(`${url}/`, { headers: { "sec-fetch-mode": "navigate" } }), pages);
    expect([page.status, page.headers.get("content-security-policy")], url).toEqual([
      200,
      expect.stringContaining("frame-ancestors 'none'"),
    ]);
  }
  // A sibling can set a cookie for the parent domain, but not one of this name; in case it could, the first one that does not verify ends it.
  const forged = `__Host-gth_s=x.${device.id}.9999999999999.AAAA`;
  const headers = { "sec-fetch-mode": "no-cors" };
  expect((await ask(`${world.origin}/x`, { cookie: `${forged}; ${session ?? ""}`, headers })).status).toBe(401);
  expect((await ask(`${world.origin}/x`, { cookie: `gth_s=1; x${session ?? ""}`, headers })).status).toBe(401);
});

test("a stranger's limit is told with Retry-After, at the door and at sign-in", async () => {
  const world = await newGateway();
  const refusing = { ...env, STRANGER_LIMIT: { limit: () => Promise.resolve({ success: false }) } } as unknown as Env;
  for (const [url, origin] of [
    [`${world.origin}/.gatehouse/api/challenge`, world.origin],
    [`${world.origin}/.gatehouse/api/session`, world.origin],
    [`${config.approveOrigin}/api/auth/nonce`, config.approveOrigin],
    [`${config.appOrigin}/api/connector/redeem`, null],
  ] as const) {
    const headers = { "content-type": "application/json", ...(origin === null ? {} : { origin }) };
    const response = await handle(new Request(url, { method: "POST", headers, body: "{}" }), refusing);
    expect([response.status, response.headers.get("retry-after")], url).toEqual([429, "60"]);
  }
  const wait = new Request(`${world.origin}/.gatehouse/wait`, { headers: { upgrade: "websocket", origin: world.origin } });
  expect((await handle(wait, refusing)).status).toBe(429);
});

test("what a visitor sends under our inner names never reaches the room", async () => {
  const world = await newGateway();
  const forged = { "x-gatehouse-country": "XX", "x-gatehouse-kind": "link", "x-gatehouse-client-ip": "127.0.0.1", "x-gatehouse-session": "s", "x-gatehouse-z": "z" }; // prettier-ignore
  const response = await ask(`${world.origin}/.gatehouse/wait`, { headers: { upgrade: "websocket", ...forged } });
  expect(response.status).toBe(101);
  response.webSocket?.accept();
  const [seen] = await runInDurableObject(world.room, (_room, state) =>
    state.getWebSockets("wait").map((ws) => ws.deserializeAttachment() as { country: unknown; address: string }),
  );
  expect(seen?.country).toBe(null);
  expect(seen?.address).not.toBe("127.0.0.1");
});

test("a code that looks like a pattern stays text in the door's page", async () => {
  const { origin } = await newGateway();
  const body = new URLSearchParams({ code: "$& $` $' <script>\"", state: "s" }).toString();
  const headers = { origin: config.approveOrigin, "content-type": "application/x-www-form-urlencoded" };
  const assets = { fetch: () => Promise.resolve(new Response("<html><head></head><body class='x'></body></html>")) } as unknown as Fetcher;
  const response = await handle(new Request(`${origin}/.gatehouse/activate`, { method: "POST", headers, body }), {
    ...env,
    ASSETS: assets,
  });
  expect(await response.text()).toBe(
    `<html><head></head><body data-code="$&#38; $\` $&#39; &#60;script&#62;&#34;" data-state="s" class='x'></body></html>`,
  );
});

/** Two allowed devices, each with a socket of its own; from here on the clock stands still. */
async function twoDevices() {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const open = async () => {
    const answer = upgrade(bench, await allowDevice(bench));
    const stream = await connector.streams.next();
    stream.opened();
    return { browser: new FakeBrowser(await answer), stream };
  };
  const [hasty, neighbour] = [await open(), await open()];
  vi.useFakeTimers({ now: Date.now(), toFake: ["Date"] });
  return { bench, hasty, neighbour };
}

test(
  "[CR7] [case 23] an allowed device that floods: held back in order, resumed by the alarm, closed with 1008 when it goes on; its neighbour does not notice",
  async () => {
    const { bench, hasty, neighbour } = await twoDevices();
    // What the whole room passes on at once, then its own share.
    const atOnce = ROOM_MESSAGES.burst + BROWSER_MESSAGES.burst;
    const late = 100;
    for (let i = 0; i < atOnce + late; i += 1) hasty.browser.ws.send(String(i));
    for (let i = 0; i < atOnce; i += 1) expect(new TextDecoder().decode((await hasty.stream.messages.next()).data)).toBe(String(i));
    neighbour.browser.ws.send("neighbour");
    expect((await neighbour.stream.messages.next()).isText).toBe(true);
    expect(hasty.stream.messages.count).toBe(0);
    passTime(1_000);
    await runDurableObjectAlarm(bench.room);
    for (let i = 0; i < late; i += 1) expect(new TextDecoder().decode((await hasty.stream.messages.next()).data)).toBe(String(atOnce + i));
    for (let i = 0; i < ROOM_MESSAGES.burst + BROWSER_MESSAGES.perSecond + MAX_HELD_MESSAGES + 1; i += 1) hasty.browser.ws.send("again");
    expect(await hasty.browser.closed).toEqual({ code: 1008, reason: "device-room: too many messages" });
    expect((await hasty.stream.endings.next()).code).toBe(1008);
    neighbour.browser.ws.send("undisturbed");
    expect((await neighbour.stream.messages.next()).isText).toBe(true);
  },
  FLOOD_TEST_MS,
);

test(
  "[CR7] [case 23] one that uses up what the room passes on leaves every other its own share: four thousand at once, then a thousand a second",
  async () => {
    const { bench, hasty, neighbour } = await twoDevices();
    const atOnce = ROOM_MESSAGES.burst + BROWSER_MESSAGES.burst;
    for (let i = 0; i < atOnce + 1; i += 1) hasty.browser.ws.send("flood");
    for (let i = 0; i < atOnce; i += 1) await hasty.stream.messages.next();
    for (let i = 0; i < BROWSER_MESSAGES.burst + 1; i += 1) neighbour.browser.ws.send(String(i));
    for (let i = 0; i < BROWSER_MESSAGES.burst; i += 1)
      expect(new TextDecoder().decode((await neighbour.stream.messages.next()).data)).toBe(String(i));
    expect([hasty.stream.messages.count, neighbour.stream.messages.count]).toEqual([0, 0]);
    passTime(1_000);
    await runDurableObjectAlarm(bench.room);
    await hasty.stream.messages.next();
    expect(new TextDecoder().decode((await neighbour.stream.messages.next()).data)).toBe(String(BROWSER_MESSAGES.burst));
  },
  FLOOD_TEST_MS,
);

test(
  "[CR7] what was held back still goes before the browser's own close",
  async () => {
    const bench = await newBench();
    const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
    const answer = upgrade(bench, await allowDevice(bench));
    const stream = await connector.streams.next();
    stream.opened();
    const browser = new FakeBrowser(await answer);
    vi.useFakeTimers({ now: Date.now(), toFake: ["Date"] });
    const count = ROOM_MESSAGES.burst + BROWSER_MESSAGES.burst + 50;
    for (let i = 0; i < count; i += 1) browser.ws.send(String(i));
    browser.ws.close(1000, "done");
    for (let i = 0; i < count; i += 1) expect(new TextDecoder().decode((await stream.messages.next()).data)).toBe(String(i));
    expect(await stream.endings.next()).toMatchObject({ code: 1000, reason: "done" });
  },
  FLOOD_TEST_MS,
);

test("[case 24] with every place for strangers taken, an allowed device opens its session and the owner's own way is open", async () => {
  const world = await newGateway();
  await world.connect();
  const device = await allowedDevice(world);
  for (let i = 0; i < 20; i += 1) {
    const response = await ask(`${world.origin}/.gatehouse/wait`, { headers: { upgrade: "websocket" } });
    expect(response.status).toBe(i < 16 ? 101 : 429);
    response.webSocket?.accept();
  }
  expect((await openSession(world, device)).status).toBe(200);
  passTime(5_001);
  await runDurableObjectAlarm(world.room);
  expect((await askOwner(world)).digits).toMatch(/^\d{4}$/);
});

test("[case 41] an id that was never made, one that was removed, one without a connector, one of somebody else: the account's API answers the same", async () => {
  const [mine, theirs] = [await newGateway(), await newGateway()];
  const never = await mintGatewayId(env, crypto.getRandomValues(new Uint8Array(10)));
  const removed = await newGateway();
  await ask(`${config.appOrigin}/api/gateways/${removed.gateway}`, { method: "DELETE", cookie: await removed.person.cookie("app") });
  await theirs.connect();
  const cookie = await mine.person.cookie("app");
  const bodies = new Set<string>();
  for (const id of [never, removed.gateway, theirs.gateway, "a".repeat(23), "x"]) {
    const response = await ask(`${config.appOrigin}/api/gateways/${id}`, { cookie });
    bodies.add(`${response.status} ${JSON.stringify([...response.headers])} ${await response.text()}`);
  }
  expect(bodies.size).toBe(1);
});

test("[AB8] every unknown gateway address answers people with one page, and programs as before", async () => {
  const { env: guarded, touched } = untouchable();
  const real = await mintGatewayId(env, crypto.getRandomValues(new Uint8Array(10)));
  const pages = new Set<string>();
  const others = new Set<string>();
  for (const id of [`${real.slice(0, -1)}${real.endsWith("a") ? "b" : "a"}`, "a".repeat(23), "x", "approve-me"])
    for (const path of ["/", "/chat?x=1", "/.gatehouse/", "/.gatehouse/status"]) {
      const page = await handle(new Request(config.gatewayOrigin(id) + path, { headers: { accept: "text/html,*/*" } }), guarded);
      pages.add(JSON.stringify([page.status, [...page.headers], await page.text()]));
      const answer = await handle(new Request(config.gatewayOrigin(id) + path), guarded);
      others.add(JSON.stringify([answer.status, [...answer.headers], await answer.text()]));
    }
  expect([pages.size, others.size, touched]).toEqual([1, 1, []]);
  expect([...pages][0]).toContain("No gateway here");
  expect([...others][0]).toContain("not-found");
});
