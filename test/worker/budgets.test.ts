/** What strangers and signed-in accounts may cost: every limit says when to come back, and none of them keeps the owner out. */
import { runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { FRAME_OPEN } from "../../src/protocol/frame.ts";
import {
  MAX_NEW_REQUESTS_PER_GATEWAY,
  MAX_OPEN_INVITATIONS,
  MAX_PASSKEYS_PER_ACCOUNT,
  MAX_REQUESTS_PER_GATEWAY,
  MAX_UNPROVEN_WAITS,
} from "../../src/protocol/limits.ts";
import { appRoutes, approveRoutes, handle } from "../../src/worker/app.ts";
import { issueCode } from "../../src/worker/auth/one-time-code.ts";
import type { Env } from "../../src/worker/env.ts";
import { TOKEN_RANDOM_BYTES, writeToken } from "../../src/core/trust/token.ts";
import { activationHash, grantId } from "../../src/core/trust/digests.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { newAuthenticator } from "../support/fake-authenticator.ts";
import { grantBytes, newDevice } from "../support/fake-device.ts";
import { allowedDevice, ask, askOwner, config, env, newGateway, newPerson, openSession } from "./world.ts";

afterEach(() => {
  vi.useRealTimers();
});

/** The environment with a limit that notes its keys. @param allows whether it lets through */
function counting(name: "STRANGER_LIMIT" | "ACCOUNT_LIMIT", allows: boolean): { env: Env; keys: string[] } {
  const keys: string[] = [];
  const limit = ({ key }: { key: string }) => Promise.resolve({ success: allows || (keys.push(key), false) });
  const noting = ({ key }: { key: string }) => Promise.resolve({ success: (keys.push(key), true) });
  return { env: { ...env, [name]: { limit: allows ? noting : limit } }, keys };
}

test("a stranger's budget belongs to an address or a whole /64, at sign-in, at the door and for codes", async () => {
  const { env: limited, keys } = counting("STRANGER_LIMIT", true);
  const { origin } = await newGateway();
  for (const [url, from] of [
    [`${config.approveOrigin}/api/auth/nonce`, config.approveOrigin],
    [`${origin}/.gatehouse/api/challenge`, origin],
    [`${config.appOrigin}/api/session`, config.appOrigin],
  ] as const)
    for (const address of ["2a00:1450:4001:830::1", "2a00:1450:4001:830:ffff:ffff:ffff:ffff", "2A00:1450:4001:0830::2", "81.2.69.142"]) {
      const headers = { origin: from, "content-type": "application/json", "cf-connecting-ip": address };
      await handle(new Request(url, { method: "POST", headers, body: "{}" }), limited);
    }
  expect(new Set(keys)).toEqual(new Set(["2a00:1450:4001:830::/64", "81.2.69.142"]));
  expect(keys).toHaveLength(12);
});

test("every route of a signed-in account costs that account's budget; over it: 429 with Retry-After, and nothing happens", async () => {
  const person = await newPerson();
  const { env: limited, keys } = counting("ACCOUNT_LIMIT", false);
  const routes = [
    ...appRoutes.map((route) => ({ route, origin: config.appOrigin, audience: "app" as const })),
    ...approveRoutes.map((route) => ({ route, origin: config.approveOrigin, audience: "approve" as const })),
  ].filter(({ route }) => route.auth === "account");
  expect(routes.length).toBeGreaterThan(20);
  for (const { route, origin, audience } of routes) {
    const headers = { origin, "content-type": "application/json", cookie: await person.cookie(audience) };
    const body = route.method === "GET" ? {} : { body: "{}" };
    const response = await handle(new Request(origin + route.path, { method: route.method, headers, ...body }), limited);
    expect([response.status, response.headers.get("retry-after")], route.path).toEqual([429, "60"]);
  }
  expect(new Set(keys)).toEqual(new Set([person.id]));
  expect(keys).toHaveLength(routes.length);
});

test("[case 24] an account over its budget, and strangers over theirs, keep no allowed device out", async () => {
  const world = await newGateway();
  const connector = await world.connect();
  const device = await allowedDevice(world);
  const { session } = await openSession(world, device);
  const refusing = { limit: () => Promise.resolve({ success: false }) };
  const over = { ...env, STRANGER_LIMIT: refusing, ACCOUNT_LIMIT: refusing } as unknown as Env;
  const headers = { upgrade: "websocket", origin: world.origin, cookie: session ?? "" };
  void handle(new Request(`${world.origin}/`, { headers }), over);
  expect((await connector.nextFrame(FRAME_OPEN)).streamId).toBeGreaterThan(0);
});

test("[case 24] [case 35] the owner gets in on a new device while strangers hold every place, have spent the hour's requests and fail proofs without end", async () => {
  const world = await newGateway();
  await world.connect();
  const allowed = await allowedDevice(world);
  for (let i = 0; i < MAX_REQUESTS_PER_GATEWAY; i += 1) await askOwner(world);
  for (let i = 0; i < MAX_UNPROVEN_WAITS; i += 1) {
    const response = await ask(`${world.origin}/.gatehouse/wait`, { headers: { upgrade: "websocket" } });
    response.webSocket?.accept();
  }
  expect((await ask(`${world.origin}/.gatehouse/wait`, { headers: { upgrade: "websocket" } })).status).toBe(429);
  await runInDurableObject(world.room, (_room, state) => {
    const made = Array.from({ length: MAX_NEW_REQUESTS_PER_GATEWAY }, () => ({ atMs: Date.now(), group: "x" }));
    new RoomStorage(state.storage).asksMade = made;
  });
  const thief = await newDevice();
  for (let i = 0; i < 40; i += 1) await openSession(world, allowed, { signer: thief });
  expect((await openSession(world, allowed, { signer: thief })).status).toBe(429);
  const [device, code] = [await newDevice(), "the-code-in-the-owners-browser"];
  const bytes = await grantBytes(world.gateway, device.key, Date.now(), { kind: "owner", request: null, activation: await activationHash(code) }); // prettier-ignore
  const signed = await world.person.authenticator.sign("grant", bytes);
  const cookie = await world.person.cookie("approve");
  const granted = await ask(`${config.approveOrigin}/api/decisions/${world.gateway}/owner`, { method: "POST", cookie, body: { signed } });
  const { device: id }: { device: string } = await granted.json();
  expect(await openSession(world, { id, grant: await grantId(bytes), device }, { activationCode: code })).toMatchObject({ status: 200 });
  // And the first card is still decided.
  const [first] = await runInDurableObject(world.room, (_room, state) => new RoomStorage(state.storage).all<{ id: string }>("requests"));
  const denied = `${config.approveOrigin}/api/decisions/${world.gateway}/requests/${first?.id ?? ""}/deny`;
  expect((await ask(denied, { method: "POST", cookie, body: { block: true } })).status).toBe(200);
});

test("[case 18] with D1, inbox, pages and limits all failing, an allowed device's request goes through as ever", async () => {
  const world = await newGateway();
  const connector = await world.connect();
  const device = await allowedDevice(world);
  const { session } = await openSession(world, device);
  const touched: string[] = [];
  const failing = (name: string) =>
    new Proxy({}, { get: (_target, member) => () => (touched.push(`${name}.${String(member)}`), Promise.reject(new Error("down"))) });
  const names = ["DB", "INBOX", "ASSETS", "STRANGER_LIMIT", "ACCOUNT_LIMIT"];
  const down = { ...env, ...Object.fromEntries(names.map((name) => [name, failing(name)])) } as unknown as Env;
  for (const headers of [{ upgrade: "websocket", origin: world.origin }, { "sec-fetch-mode": "navigate" }]) {
    void handle(new Request(`${world.origin}/`, { headers: { ...headers, cookie: session ?? "" } }), down);
    expect((await connector.nextFrame(FRAME_OPEN)).streamId).toBeGreaterThan(0);
  }
  expect(touched).toEqual([]);
});

test("an account has so many passkeys and unused invitations, and no more; one that was used makes room", async () => {
  const person = await newPerson();
  const cookie = await person.cookie("app");
  const invite = (): Promise<Response> => ask(`${config.appOrigin}/api/invitations`, { method: "POST", cookie });
  for (let i = 0; i < MAX_OPEN_INVITATIONS; i += 1) expect((await invite()).status).toBe(200);
  const over = await invite();
  expect([over.status, Number(over.headers.get("retry-after")) > 0]).toEqual([429, true]);
  const other = await (await newPerson()).cookie("app");
  expect((await ask(`${config.appOrigin}/api/invitations`, { method: "POST", cookie: other })).status).toBe(200);
  await env.DB.prepare("UPDATE one_time_codes SET consumed_at_ms = 1 WHERE selector = (SELECT selector FROM one_time_codes WHERE kind = 'invitation' AND payload LIKE ? LIMIT 1)").bind(`%${person.id}%`).run(); // prettier-ignore
  expect((await invite()).status).toBe(200);
  const approve = await person.cookie("approve");
  const post = (path: string, body: object): Promise<Response> =>
    ask(config.approveOrigin + path, { method: "POST", cookie: approve, body });
  const add = async (): Promise<Response> => {
    const { nonce }: { nonce: string } = await (await post("/api/auth/nonce", {})).json();
    const authenticator = await newAuthenticator(config.approveOrigin);
    return post("/api/auth/passkeys", { nonce, name: "One more", response: await authenticator.register(nonce) });
  };
  for (let i = 1; i < MAX_PASSKEYS_PER_ACCOUNT; i += 1) expect((await add()).status).toBe(200);
  expect((await add()).status).toBe(429);
});

test("what strangers leave behind in D1 is gone a day after its end, and nothing that still counts", async () => {
  const person = await newPerson();
  const cookie = await person.cookie("app");
  const { code } = await issueCode(env, "invitation", { by: person.id }, 7 * 24 * 3_600_000);
  const rows = async (): Promise<number[]> =>
    Promise.all(
      ["one_time_codes", "account_sessions"].map(
        async (table) => (await env.DB.prepare(`SELECT count(*) AS n FROM ${table}`).first<{ n: number }>())?.n ?? -1,
      ),
    );
  const nonce = (): Promise<Response> => ask(`${config.approveOrigin}/api/auth/nonce`, { method: "POST", body: {} });
  const [codes = 0, sessions = 0] = await rows();
  for (let i = 0; i < 20; i += 1) await nonce();
  expect(await rows()).toEqual([codes + 20, sessions]);
  vi.useFakeTimers({ now: Date.now() + 2 * 24 * 3_600_000, toFake: ["Date"] });
  await nonce();
  const [left = 0] = await rows();
  expect(left).toBeLessThanOrEqual(codes + 1);
  expect((await ask(`${config.appOrigin}/api/me`, { cookie })).status).toBe(200);
  expect(await env.DB.prepare("SELECT kind FROM one_time_codes WHERE selector = ?").bind(code.slice(5, 16)).first()).toEqual({ kind: "invitation" }); // prettier-ignore
  vi.useFakeTimers({ now: Date.now() + 31 * 24 * 3_600_000, toFake: ["Date"] });
  await nonce();
  expect((await rows())[1]).toBe(0);
});

test("[case 39] a page of another origin cannot load a gateway's pages as its parts, whatever it sends along; a link still leads there", async () => {
  const world = await newGateway();
  const connector = await world.connect();
  const device = await allowedDevice(world);
  const { session } = await openSession(world, device);
  const get = (headers: Record<string, string>): Promise<Response> =>
    handle(new Request(`${world.origin}/x`, { headers: { cookie: session ?? "", ...headers } }), env);
  for (const site of ["same-site", "cross-site"])
    for (const [mode, dest] of [
      ["no-cors", "image"],
      ["no-cors", "script"],
      ["cors", "empty"],
      ["navigate", "iframe"],
      ["navigate", "frame"],
      ["navigate", "object"],
      ["navigate", "embed"],
      ["websocket", "websocket"],
    ] as const)
      expect((await get({ "sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest })).status).toBe(403);
  for (const headers of [
    { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
    { "sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" },
    { "sec-fetch-site": "same-origin", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" },
    { "sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
  ]) {
    void get(headers);
    await connector.nextFrame(FRAME_OPEN);
  }
});

/** A limit that counts as the platform's does, in one window without end. */
function exact(limit: number): RateLimit {
  const asked = new Map<string, number>();
  return {
    limit: ({ key }: { key: string }) => {
      asked.set(key, (asked.get(key) ?? 0) + 1);
      return Promise.resolve({ success: (asked.get(key) ?? 0) <= limit });
    },
  };
}

test("[AB5] the addresses of one IPv6 site share a second, wider budget", async () => {
  const world = await newGateway();
  const limited = { ...env, STRANGER_LIMIT: exact(120), STRANGER_SITE_LIMIT: exact(600) };
  const asks = async (address: string): Promise<number> => {
    const headers = { origin: world.origin, "content-type": "application/json", "cf-connecting-ip": address };
    return (await handle(new Request(`${world.origin}/.gatehouse/api/challenge`, { method: "POST", headers, body: "{}" }), limited)).status;
  };
  const answers: number[] = [];
  for (let at = 0; at < 65 * 10; at += 1) answers.push(await asks(`2a00:1450:4001:${(at % 65).toString(16)}::1`));
  expect(answers.slice(0, 600)).not.toContain(429);
  expect(new Set(answers.slice(600))).toEqual(new Set([429]));
  expect(await asks("2a00:1450:4002:1::1")).not.toBe(429);
  expect(await asks("81.2.69.142")).not.toBe(429);
});

test("[AB6] session cookies that we never issued die without a look into D1, and cost their address's budget", async () => {
  const person = await newPerson();
  const real = await person.cookie("app");
  const [name = ""] = real.split("=");
  const prepare = vi.fn(env.DB.prepare.bind(env.DB));
  const { env: limited, keys } = counting("STRANGER_LIMIT", true);
  const own = { ...limited, DB: { prepare, batch: env.DB.batch.bind(env.DB) } } as unknown as Env;
  const asks = async (cookie: string, address: string): Promise<number> => {
    const headers = { cookie, "cf-connecting-ip": address };
    return (await handle(new Request(`${config.appOrigin}/api/me`, { headers }), own)).status;
  };
  const token = (): string => writeToken("s", crypto.getRandomValues(new Uint8Array(TOKEN_RANDOM_BYTES)));
  const [, tag = ""] = real.split(".");
  for (let at = 0; at < 100; at += 1)
    for (const value of [token(), `${token()}.${tag}`, `${token()}.aaaaaaaa`])
      expect(await asks(`${name}=${value}`, "81.2.69.142")).toBe(401);
  expect(prepare).not.toHaveBeenCalled();
  expect(keys).toEqual(Array.from({ length: 300 }, () => "81.2.69.142"));
  // The other origin's is none here; a request without a cookie is no try.
  expect(await asks(await person.cookie("approve"), "81.2.69.143")).toBe(401);
  expect(prepare).not.toHaveBeenCalled();
  expect(await asks("", "81.2.69.144")).toBe(401);
  expect(await asks(real, "81.2.69.145")).toBe(200);
  expect(keys.slice(300)).toEqual(["81.2.69.143"]);
});

test("[AB6] an address whose budget is spent on such cookies is told to wait", async () => {
  const { env: limited } = counting("STRANGER_LIMIT", false);
  const headers = { cookie: "__Host-gth_a=garbage", "cf-connecting-ip": "81.2.69.146" };
  const answer = await handle(new Request(`${config.appOrigin}/api/me`, { headers }), limited);
  expect([answer.status, answer.headers.get("retry-after")]).toEqual([429, "60"]);
});
