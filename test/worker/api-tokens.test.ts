/** API tokens: what they read, the one thing that they do, and everything that they are nothing for. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeAll, expect, test, vi } from "vitest";
import { decodeClose } from "../../src/core/link/close-code.ts";
import { CLOSE_CUT } from "../../src/protocol/close-codes.ts";
import { FRAME_OPEN, FRAME_OPENED, FRAME_RESET } from "../../src/protocol/frame.ts";
import { utf8 } from "../../src/protocol/statement-encoding.ts";
import { API_TOKEN_USED_EVERY_MS, MAX_API_TOKENS_PER_ACCOUNT } from "../../src/protocol/limits.ts";
import { appRoutes, approveRoutes, handle } from "../../src/worker/app.ts";
import { apiTokenAccount, makeApiToken } from "../../src/worker/auth/api-token.ts";
import type { Env } from "../../src/worker/env.ts";
import type { AnyRoute } from "../../src/worker/routes/checked-route.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { allowedDevice, ask, askOwner, config, dump, env, grantFor, newGateway, newPerson, openSession, randomAddress } from "./world.ts";
import type { FakeConnector, GatewayWorld } from "./world.ts";

const DAY_MS = 86_400_000;

afterEach(() => vi.useRealTimers());

async function newAccount() {
  const world = await newGateway();
  const connector = await world.connect();
  const device = await allowedDevice(world);
  const waiting = await askOwner(world);
  const { token } = await makeApiToken(env, world.person.id, "Script", Date.now() + DAY_MS);
  return { world, connector, device, waiting, token };
}

type Account = Awaited<ReturnType<typeof newAccount>>;
let a: Account;
let b: Account;

beforeAll(async () => {
  [a, b] = [await newAccount(), await newAccount()];
});

const routes = [
  ...appRoutes.map((route) => ({ route, origin: config.appOrigin })),
  ...approveRoutes.map((route) => ({ route, origin: config.approveOrigin })),
];
const nameOf = (route: AnyRoute): string => `${route.method} ${route.path}`;

function pathOf(route: AnyRoute, of: Account): string {
  const names: Readonly<Record<string, string>> = { gateway: of.world.gateway, device: of.device.id, request: of.waiting.request };
  return route.path.replace(/:(\w+)/g, (_all, name: string) => names[name] ?? "x");
}

/** A request as a script sends it: no Origin, no cookie. */
async function script(
  method: string,
  url: string,
  token: string | null,
  more: { body?: object; headers?: Record<string, string>; env?: Env } = {},
) {
  const headers = new Headers({ "content-type": "application/json", "cf-connecting-ip": randomAddress(), ...more.headers });
  if (token !== null) headers.set("authorization", `Bearer ${token}`);
  const body = more.body === undefined ? {} : { body: JSON.stringify(more.body) };
  const response = await handle(new Request(url, { method, headers, ...body }), more.env ?? env);
  return { status: response.status, answer: `${response.status} ${JSON.stringify([...response.headers])} ${await response.text()}` };
}

const suspendUrl = (of: Account): string => `${config.appOrigin}/api/gateways/${of.world.gateway}/devices/${of.device.id}/suspend`;

test("[AT1] [case 37] a token never admits: over the whole route table it is nothing, but for the routes that read and the one that suspends", async () => {
  const taking = routes.filter(({ route }) => route.takesToken === true).map(({ route }) => nameOf(route));
  expect(taking.toSorted()).toEqual([
    "GET /api/activity",
    "GET /api/gateways",
    "GET /api/gateways/:gateway",
    "GET /api/gateways/:gateway/audit.jsonl",
    "GET /api/gateways/:gateway/usage",
    "GET /api/requests",
    "POST /api/gateways/:gateway/devices/:device/suspend",
  ]);
  const grant = await grantFor(a.world, a.waiting);
  const bodies = [undefined, { code: a.waiting.digits, signed: grant.signed }, { signed: grant.signed }, { name: "Mine", days: 1 }, { block: true }, { everywhere: true }, grant.signed]; // prettier-ignore
  const before = await dump(a.world.room);
  for (const { route, origin } of routes.filter((each) => each.route.auth === "account" && each.route.takesToken !== true)) {
    for (const body of route.method === "GET" ? [undefined] : bodies) {
      for (const headers of [{}, { origin, "sec-fetch-site": "same-origin" }]) {
        const more = { headers, ...(body === undefined ? {} : { body }) };
        const [nobody, shown] = [await script(route.method, origin + pathOf(route, a), null, more), await script(route.method, origin + pathOf(route, a), a.token, more)]; // prettier-ignore
        expect(shown.answer, nameOf(route)).toBe(nobody.answer);
        expect([401, 403], nameOf(route)).toContain(shown.status);
      }
    }
  }
  // The approval origin knows no tokens, not even where the same path would take one.
  expect((await script("GET", `${config.approveOrigin}/api/gateways`, a.token)).status).toBe(404);
  expect(await dump(a.world.room)).toBe(before);
});

test("[AT1] routes without an account do not look at tokens: the same status with and without", async () => {
  const open = routes.filter(({ route }) => route.auth !== "account" && route.path !== "/api/connector/claims");
  for (const { route, origin } of open) {
    const headers = route.auth === "connector" ? {} : { origin };
    const url = origin + pathOf(route, a);
    expect(route.takesToken).not.toBe(true);
    const more = { headers, ...(route.method === "GET" ? {} : { body: {} }) };
    expect((await script(route.method, url, a.token, more)).status).toBe((await script(route.method, url, null, more)).status);
  }
});

test("[AT1] a token reads its own account's gateways, devices, usage, requests, activity and audit chain", async () => {
  const read = async (path: string): Promise<string> => {
    const { status, answer } = await script("GET", config.appOrigin + path, a.token);
    expect(status, path).toBe(200);
    return answer;
  };
  expect(await read("/api/gateways")).toContain(a.world.gateway);
  expect(await read(`/api/gateways/${a.world.gateway}`)).toContain(a.device.id);
  expect(await read(`/api/gateways/${a.world.gateway}/usage`)).toContain('"level":"ok"');
  expect(await read("/api/requests")).toContain(a.waiting.request);
  expect(await read("/api/activity")).toContain('"events"');
  const chain = await read(`/api/gateways/${a.world.gateway}/audit.jsonl`);
  expect(chain).toContain('"action":"audit-exported"');
  expect(chain).toContain('"actor":"token"');
});

test("[AT1] [case 40] account B's token at A's gateway: the same 404 as for a gateway that was never made", async () => {
  // Its use is noted, once.
  await script("GET", `${config.appOrigin}/api/gateways`, b.token);
  const before = await dump(a.world.room);
  for (const { route, origin } of routes.filter(({ route }) => route.takesToken === true && route.path.includes(":gateway"))) {
    const [theirs, none] = [origin + pathOf(route, a), origin + pathOf(route, a).replace(a.world.gateway, "a".repeat(23))];
    const answers = [await script(route.method, theirs, b.token), await script(route.method, none, b.token)];
    expect(answers[0]?.answer, nameOf(route)).toBe(answers[1]?.answer);
    expect(answers[0]?.status).toBe(404);
  }
  // A's device at B's own gateway.
  expect((await script("POST", suspendUrl({ ...b, device: a.device }), b.token)).status).toBe(404);
  for (const path of ["/api/gateways", "/api/requests", "/api/activity"])
    expect((await script("GET", config.appOrigin + path, b.token)).answer).not.toContain(a.world.gateway);
  expect(await dump(a.world.room)).toBe(before);
});

test("[AT1] a token is judged by itself: beside a good cookie a bad one is refused, and a cookie alone still needs its page's origin", async () => {
  const cookie = await a.world.person.cookie("app");
  const url = `${config.appOrigin}/api/gateways`;
  expect((await script("GET", url, null, { headers: { cookie } })).status).toBe(200);
  for (const bad of ["garbage", `${a.token.slice(0, -1)}_`, a.token.replace("gtha_", "gths_")])
    expect((await script("GET", url, bad, { headers: { cookie } })).status).toBe(401);
  expect((await script("POST", suspendUrl(a), null, { headers: { cookie } })).status).toBe(403);
  // Another scheme is no token.
  expect((await script("GET", url, null, { headers: { authorization: `Basic ${a.token}` } })).status).toBe(401);
  // A sign-in's cookie is no token, and a token no sign-in.
  expect((await script("GET", url, cookie.split("=")[1] ?? "")).status).toBe(401);
  expect((await script("GET", url, null, { headers: { cookie: `__Host-gth_a=${a.token}` } })).status).toBe(401);
});

// --- AT2 -----------------------------------------------------------------------------------------------------------------------------

const URL_READ = `${config.appOrigin}/api/gateways`;

test("[AT2] what is no token costs no D1 and no budget; one of the right shape costs its address's budget before D1", async () => {
  const touched: string[] = [];
  const down = (name: string) => () => {
    touched.push(name);
    throw new Error("D1_ERROR: down");
  };
  const db = new Proxy({}, { get: (_target, name) => down(String(name)) });
  const limits = { STRANGER_LIMIT: { limit: () => (touched.push("limit"), Promise.resolve({ success: true })) } };
  const watched = { ...env, DB: db, ...limits } as unknown as Env;
  const wrongSum = a.token.slice(0, -1) + (a.token.endsWith("0") ? "1" : "0");
  for (const garbage of ["", "x", wrongSum, a.token.slice(0, -1), `${a.token}0`, a.token.replace("gtha_", "gthi_"), a.token.toUpperCase()])
    expect((await script("GET", URL_READ, garbage, { env: watched })).status).toBe(401);
  expect(touched).toEqual([]);
  expect((await script("GET", URL_READ, a.token, { env: watched })).status).toBe(503);
  expect(touched[0]).toBe("limit");
  expect(touched.length).toBeGreaterThan(1);
});

test("[AT2] wrong tokens are budgeted by address: after 120 a minute nothing of that address is looked up, others go on", async () => {
  const wrong = await lookalike();
  const headers = { "cf-connecting-ip": "81.7.7.7" };
  const statuses: number[] = [];
  for (let i = 0; i < 125; i += 1) statuses.push((await script("GET", URL_READ, wrong, { headers })).status);
  expect(new Set(statuses)).toEqual(new Set([401, 429]));
  const over = await script("GET", URL_READ, a.token, { headers });
  expect(over.status).toBe(429);
  expect(over.answer).toContain("retry-after");
  expect((await script("GET", URL_READ, a.token)).status).toBe(200);
});

/** Of the right shape and checksum, and never stored. */
async function lookalike(): Promise<string> {
  const person = await newPerson();
  const { token, row } = await makeApiToken(env, person.id, "x", Date.now() + DAY_MS);
  await env.DB.prepare("DELETE FROM api_tokens WHERE selector = ?").bind(row.selector).run();
  return token;
}

test("[AT2] [case 40] a moved row, a changed end, another secret under a known selector, an expired and a revoked token: one answer", async () => {
  const [victim, thief] = [a.world.person.id, b.world.person.id];
  const make = (account: string, ms = DAY_MS) => makeApiToken(env, account, "x", Date.now() + ms);
  const set = (sql: string, ...values: unknown[]) => env.DB.prepare(sql).bind(...values).run(); // prettier-ignore
  const never = await script("GET", URL_READ, await lookalike());
  const refused = async (token: string): Promise<void> => expect((await script("GET", URL_READ, token)).answer).toBe(never.answer);
  const moved = await make(thief);
  expect((await script("GET", URL_READ, moved.token)).status).toBe(200);
  await set("UPDATE api_tokens SET account_id = ? WHERE selector = ?", victim, moved.row.selector);
  await refused(moved.token);
  const longer = await make(thief);
  await set("UPDATE api_tokens SET expires_at_ms = expires_at_ms + 1 WHERE selector = ?", longer.row.selector);
  await refused(longer.token);
  const [mine, theirs] = [await make(thief), await make(victim)];
  await set("UPDATE api_tokens SET mac = (SELECT mac FROM api_tokens WHERE selector = ?) WHERE selector = ?", theirs.row.selector, mine.row.selector); // prettier-ignore
  await refused(mine.token);
  const other = await make(victim);
  await set("UPDATE api_tokens SET selector = ? WHERE selector = ?", "A".repeat(11), other.row.selector);
  await refused(other.token);
  await refused((await make(thief, -1)).token);
  const revoked = await make(victim);
  const cookie = await a.world.person.cookie("app");
  expect((await ask(`${config.appOrigin}/api/tokens/${revoked.row.selector}`, { method: "DELETE", cookie })).status).toBe(200);
  await refused(revoked.token);
});

test("[AT2] the account page makes a token once, lists it without its secret, with its last use, and revokes it; each is in the activity", async () => {
  const person = await newPerson();
  const cookie = await person.cookie("app");
  const call = async (method: string, path: string, body?: object): Promise<Response> =>
    ask(config.appOrigin + path, { method, cookie, ...(body === undefined ? {} : { body }) });
  for (const body of [
    { name: "", days: 1 },
    { name: "x", days: 0 },
    { name: "x", days: 367 },
    { name: "x", days: 1.5 },
  ])
    expect((await call("POST", "/api/tokens", body)).status).toBe(400);
  const made: { token: string; id: string } = await (await call("POST", "/api/tokens", { name: "Backup", days: 30 })).json();
  expect(made.token).toMatch(/^gtha_[0-9A-Za-z]{60}$/);
  const list = async (): Promise<string> => (await call("GET", "/api/tokens")).text();
  expect(JSON.parse(await list())).toMatchObject({ tokens: [{ id: made.id, name: "Backup", lastUsedAtMs: null }] });
  expect(await list()).not.toContain(made.token.slice(16, 59));
  expect(JSON.stringify(await env.DB.prepare("SELECT * FROM api_tokens").all())).not.toContain(made.token.slice(16, 59));
  const nowMs = Date.now();
  const lastUse = async (): Promise<number> => (JSON.parse(await list()) as { tokens: { lastUsedAtMs: number }[] }).tokens[0]?.lastUsedAtMs ?? 0; // prettier-ignore
  const useAt = async (ms: number): Promise<number> => {
    vi.useFakeTimers({ now: ms, toFake: ["Date"] });
    expect((await script("GET", URL_READ, made.token)).status).toBe(200);
    return lastUse();
  };
  // Noted at most so often: no row for each use.
  expect(await useAt(nowMs)).toBe(nowMs);
  expect(await useAt(nowMs + API_TOKEN_USED_EVERY_MS - 1)).toBe(nowMs);
  expect(await useAt(nowMs + API_TOKEN_USED_EVERY_MS)).toBe(nowMs + API_TOKEN_USED_EVERY_MS);
  for (let i = 1; i < MAX_API_TOKENS_PER_ACCOUNT; i += 1)
    expect((await call("POST", "/api/tokens", { name: "x", days: 1 })).status).toBe(200);
  expect((await call("POST", "/api/tokens", { name: "x", days: 1 })).status).toBe(429);
  expect((await call("DELETE", `/api/tokens/${made.id}`)).status).toBe(200);
  expect((await call("DELETE", `/api/tokens/${made.id}`)).status).toBe(404);
  const { events }: { events: { action: string }[] } = await (await call("GET", "/api/activity")).json();
  expect(events.map((event) => event.action)).toEqual(expect.arrayContaining(["api-token-made", "api-token-revoked"]));
});

test("[AT2] a token of the old secret works while that is live, and is kept under the new one from its next use on", async () => {
  const during: Env = {
    ...env,
    GATEHOUSE_SECRET: "bmV3LXNlY3JldC1mb3ItdG9rZW4tdGVzdHMtMDAwMDA",
    GATEHOUSE_SECRET_OLD: env.GATEHOUSE_SECRET,
  };
  const after: Env = { ...env, GATEHOUSE_SECRET: during.GATEHOUSE_SECRET };
  const { token } = await makeApiToken(env, a.world.person.id, "x", Date.now() + DAY_MS);
  const open = (of: Env) => apiTokenAccount(of, token, () => Promise.resolve());
  expect(await open(after)).toBe(null);
  expect(await open(during)).toMatchObject({ account: a.world.person.id });
  expect(await open(after)).toMatchObject({ account: a.world.person.id });
  expect(await open(env)).toBe(null);
});

test("the API's description names both ways in, and tokens only where they are taken", async () => {
  const described: { components: { securitySchemes: object }; paths: Record<string, Record<string, { security: object[] }>> } = await (await ask(`${config.appOrigin}/api/openapi.json`)).json(); // prettier-ignore
  expect(described.components.securitySchemes).toMatchObject({ apiToken: { type: "http", scheme: "bearer" } });
  const withToken = Object.entries(described.paths).flatMap(([path, methods]) =>
    Object.entries(methods).filter(([, { security }]) => JSON.stringify(security).includes("apiToken")).map(([method]) => `${method.toUpperCase()} ${path}`)); // prettier-ignore
  const taking = appRoutes.filter((route) => route.takesToken === true).map((route) => nameOf(route).replace(/:(\w+)/g, "{$1}"));
  expect(withToken.toSorted()).toEqual(taking.toSorted());
  expect(described.paths["/api/config"]?.["get"]?.security).toEqual([]);
});

// --- AT3 -----------------------------------------------------------------------------------------------------------------------------

async function streaming(world: GatewayWorld, connector: FakeConnector, cookie: string) {
  const answered = ask(`${world.origin}/`, { cookie, headers: { upgrade: "websocket" } });
  const { streamId } = await connector.nextFrame(FRAME_OPEN);
  connector.frame(FRAME_OPENED, 0, streamId, utf8(JSON.stringify({ status: 101, headers: [] })));
  const ws = (await answered).webSocket;
  if (ws === null) throw new Error("no socket");
  const closed = new Promise<number>((resolve) => {
    ws.addEventListener("close", ({ code }) => {
      ws.close();
      resolve(code);
    });
  });
  ws.accept();
  return { closed, ws };
}

test("[AT3] a token suspends a device: streams end, its session and key open nothing, also after a sleep; the grant, the key log and the connector stay as they are", async () => {
  const { world, connector, device, token } = await newAccount();
  const of = { world, connector, device, waiting: a.waiting, token };
  const first = await openSession(world, device);
  const { closed } = await streaming(world, connector, first.session ?? "");
  const rowsOf = () => runInDurableObject(world.room, (_room, state) => {
    const storage = new RoomStorage(state.storage);
    return { owed: storage.owed(), log: storage.keyLogLines(0, 100), grants: storage.all("grants") };
  }); // prettier-ignore
  const before = await rowsOf();
  const suspended = await script("POST", suspendUrl(of), token);
  expect([suspended.status, suspended.answer.includes('{"socketsClosed":1}')]).toEqual([200, true]);
  expect(await closed).toBe(CLOSE_CUT);
  expect(decodeClose((await connector.nextFrame(FRAME_RESET)).payload)).toMatchObject({ code: CLOSE_CUT });
  expect(await rowsOf()).toEqual(before);
  const shut = async (): Promise<void> => {
    const cookie = first.session ?? "";
    // At / the room itself tells the page (EA3); anywhere it opens nothing.
    const refused = await ask(`${world.origin}/socket`, { cookie, headers: { upgrade: "websocket" } });
    // Read to its end: what nobody reads keeps the room awake.
    expect([refused.status, await refused.text()]).toEqual([401, expect.stringContaining("sign this device in")]);
    const standing = await ask(`${world.origin}/.gatehouse/api/challenge`, { method: "POST", body: { key: device.device.key } });
    expect(await standing.json()).toMatchObject({ standing: "blocked" });
    expect(await openSession(world, device, { token: first.token })).toMatchObject({ status: 403, code: "not-allowed" });
  };
  await shut();
  await evictDurableObject(world.room);
  await shut();
  // Again: nothing more happens, and nothing more is written.
  const count = async (): Promise<number> => {
    const lines = await world.room.auditLines({ account: world.person.id, from: 0, isExport: false });
    return lines.ok ? lines.value.filter((line) => line.includes('"actor":"token"') && line.includes("device-suspended")).length : -1;
  };
  expect((await script("POST", suspendUrl(of), token)).answer).toContain('{"socketsClosed":0}');
  expect(await count()).toBe(1);
  // No token ends it; the owner does.
  const resume = suspendUrl(of).replace(/suspend$/, "resume");
  expect((await script("POST", resume, token)).status).toBe(403);
  await shut();
  const cookie = await world.person.cookie("app");
  const seen: { devices: { id: string; state: string }[] } = await (await ask(`${config.appOrigin}/api/gateways/${world.gateway}`, { cookie })).json(); // prettier-ignore
  expect(seen.devices.find((each) => each.id === device.id)?.state).toBe("suspended");
  expect((await ask(resume, { method: "POST", cookie })).status).toBe(200);
  expect((await ask(resume, { method: "POST", cookie })).status).toBe(409);
  // The session from before is gone for good; the key opens a new one.
  const old = await ask(`${world.origin}/socket`, { cookie: first.session ?? "", headers: { upgrade: "websocket" } });
  expect([old.status, (await old.text()) !== ""]).toEqual([401, true]);
  const again = await openSession(world, device, { token: first.token });
  expect(again.status).toBe(200);
  const opened = await streaming(world, connector, again.session ?? "");
  opened.ws.close(1000, "bye");
});

test("[AT3] a device that is suspended while its session is being opened gets none", async () => {
  const { world, device, token } = await newAccount();
  // A connector that answers late: the session waits for it while the token comes.
  const connector = await world.connect({ answer: false });
  const opening = openSession(world, device);
  const challenge = await connector.next("nonce-request");
  connector.send({ type: "nonce", id: challenge.id, nonce: "A".repeat(43), connectorKey: "A".repeat(43) });
  const asked = await connector.next("session");
  expect((await script("POST", suspendUrl({ ...a, world, device }), token)).status).toBe(200);
  connector.send({ type: "result", id: asked.id, ok: true });
  expect(await opening).toMatchObject({ status: 403, code: "not-allowed", session: null });
  // From here on the connector, which would never answer, is not even asked.
  expect(await openSession(world, device)).toMatchObject({ status: 403, code: "not-allowed" });
});

test("[AT3] a suspended device may not ask anew; a new grant of the owner, or a cut, ends the suspension", async () => {
  const { world, device, token } = await newAccount();
  const of = { ...a, world, device };
  await script("POST", suspendUrl(of), token);
  const asking = await askOwner(world, device.device);
  expect(await asking.next("refused")).toMatchObject({ end: { why: "paused" } });
  const cookie = await world.person.cookie("app");
  expect((await ask(suspendUrl(of).replace(/suspend$/, "cut"), { method: "POST", cookie })).status).toBe(200);
  expect((await script("POST", suspendUrl(of), token)).status).toBe(409);
  expect((await ask(suspendUrl(of).replace(/suspend$/, "resume"), { method: "POST", cookie })).status).toBe(409);
});
