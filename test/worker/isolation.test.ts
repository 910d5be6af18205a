/** Another account's ids, cookies, codes and tokens at this account's gateway: the same answer as for nothing, and nothing changes. */
import { runDurableObjectAlarm } from "cloudflare:test";
import { expect, test } from "vitest";
import { genesisStatement } from "../support/genesis.ts";
import { toBase64url } from "../../src/protocol/statement-encoding.ts";
import { appRoutes, approveRoutes, handle } from "../../src/worker/app.ts";
import { deviceTokenMacs } from "../../src/worker/auth/device-token.ts";
import { issueCode } from "../../src/worker/auth/one-time-code.ts";
import { sealSessionCookie } from "../../src/worker/auth/session-cookie.ts";
import {
  allowedDevice,
  ask,
  askOwner,
  claimAs,
  config,
  dump,
  env,
  grantFor,
  newGateway,
  newPerson,
  openSession,
  randomAddress,
} from "./world.ts";

/** Two accounts, each with a gateway that has an allowed device, a waiting one, a session, and an enrolment under way. */
async function twoAccounts() {
  const make = async () => {
    const world = await newGateway();
    const connector = await world.connect();
    const device = await allowedDevice(world);
    const { session, token } = await openSession(world, device);
    const waiting = await askOwner(world);
    const cookies = { app: await world.person.cookie("app"), approve: await world.person.cookie("approve") };
    const created: { enrolment: string; code: string } = await (await ask(`${config.appOrigin}/api/gateways/${world.gateway}/enrolment`, { method: "POST", cookie: cookies.app })).json(); // prettier-ignore
    await runDurableObjectAlarm(world.room);
    return { world, connector, device, session, token, waiting, cookies, ...created };
  };
  return { a: await make(), b: await make() };
}

test("[case 40] every route with an id in it: another account's ids, made-up ids and mixed ones give one 404, the same bytes, no effect", async () => {
  const { a, b } = await twoAccounts();
  const grant = await grantFor(a.world, a.waiting);
  const digits = a.waiting.digits;
  const input = { gateway: a.world.gateway, account: a.world.person.id, connectorKey: a.world.key, approveOrigin: config.approveOrigin };
  const { ceremony: _later, ...draft } = genesisStatement(a.world.person.authenticator.ownerKey, { ...input, appOrigin: config.appOrigin });
  const bodies: Readonly<Record<string, object>> = {
    "/match": { code: digits },
    "/allow": { code: digits, signed: grant.signed },
    "/deny": { block: true },
    "/owner": { signed: grant.signed },
    "/:entry": { what: "remove" },
    "/invitations": { name: "Mallory", role: { kind: "owner" } },
    "/confirm": { signed: grant.signed },
    "/remove": { signed: grant.signed },
    "/leave": { signed: null },
    "/budget": { microUsd: 0, bytes: 0 },
    "/propose": { nonce: toBase64url(crypto.getRandomValues(new Uint8Array(32))), draft },
    "/sign": { signed: grant.signed },
    "/local-acts": { signed: grant.signed },
    "/approve": { signed: grant.signed },
    "/approve-again": { statements: [grant.signed.statement], list: grant.signed.list, assertion: grant.signed.assertion },
  };
  const routes = [
    ...appRoutes.map((route) => ({ route, origin: config.appOrigin, cookie: b.cookies.app })),
    ...approveRoutes.map((route) => ({ route, origin: config.approveOrigin, cookie: b.cookies.approve })),
  ].filter(({ route }) => route.path.includes(":"));
  expect(routes.length).toBeGreaterThan(15);
  const before = [await dump(a.world.room), await dump(b.world.room)];
  const answers = new Map<string, string[]>();
  for (const { route, origin, cookie } of routes) {
    const ids: Readonly<Record<string, readonly string[]>> = {
      // Own gateway with the other's device, the other's gateway, none at all.
      ":gateway":
        route.path.includes("/devices/") || route.path.includes("/requests/")
          ? [a.world.gateway, "x"]
          : [a.world.gateway, "a".repeat(23), "x"],
      ":device": [a.device.id, b.device.id, "x"],
      ":entry": ["f".repeat(64), "x"],
      ":proposal": ["A".repeat(43), "x"],
      ":request": [a.waiting.request, b.waiting.request],
      ":id": route.path.includes("enrolments") ? [a.enrolment, "x"] : [a.world.person.authenticator.ownerKey.credentialId, "x"],
    };
    let paths = [route.path];
    for (const [name, values] of Object.entries(ids))
      paths = paths.flatMap((path) => (path.includes(name) ? values.map((value) => path.replace(name, value)) : [path]));
    const body = Object.entries(bodies).find(([end]) => route.path.endsWith(end))?.[1] ?? { name: "Mine" };
    for (const path of paths) {
      const answered = await ask(origin + path, { method: route.method, cookie, ...(route.body === undefined ? {} : { body }) });
      const seen = `${answered.status} ${JSON.stringify([...answered.headers])} ${await answered.text()}`;
      answers.set(seen, [...(answers.get(seen) ?? []), `${route.method} ${path}`]);
    }
  }
  expect([...answers.keys()], JSON.stringify([...answers], null, 1)).toHaveLength(1);
  expect([...answers.keys()][0]).toMatch(/^404 /);
  expect([await dump(a.world.room), await dump(b.world.room)]).toEqual(before);
});

test("[case 40] own gateway, the other's devices and requests: not there", async () => {
  const { a, b } = await twoAccounts();
  const before = [await dump(a.world.room), await dump(b.world.room)];
  const own = `${config.appOrigin}/api/gateways/${b.world.gateway}/devices/${a.device.id}`;
  for (const [method, path, body] of [
    ["POST", "/cut", undefined],
    ["GET", "/cut", undefined],
    ["PATCH", "", { name: "x" }],
  ] as const)
    // prettier-ignore
    expect((await ask(own + path, { method, cookie: b.cookies.app, ...(body === undefined ? {} : { body }) })).status).toBe(404);
  const request = `${config.approveOrigin}/api/decisions/${b.world.gateway}/requests/${a.waiting.request}`;
  const { signed } = await grantFor(a.world, a.waiting);
  for (const [method, path, body] of [
    ["GET", "", undefined],
    ["POST", "/match", { code: a.waiting.digits }],
    ["POST", "/allow", { code: a.waiting.digits, signed }],
    ["POST", "/deny", { block: true }],
  ] as const)
    // prettier-ignore
    expect((await ask(request + path, { method, cookie: b.cookies.approve, ...(body === undefined ? {} : { body }) })).status).toBe(410);
  const theirs: { requests: { gateway: string }[] } = await (
    await ask(`${config.appOrigin}/api/requests`, { cookie: b.cookies.app })
  ).json();
  expect(theirs.requests.map((card) => card.gateway)).toEqual([b.world.gateway]);
  const events: { events: { gateway: string }[] } = await (
    await ask(`${config.appOrigin}/api/activity?gateway=${a.world.gateway}`, { cookie: b.cookies.app })
  ).json();
  expect(events.events).toEqual([]);
  expect([await dump(a.world.room), await dump(b.world.room)]).toEqual(before);
});

test("[case 40] sessions and device tokens of one gateway are nothing at another, and a session cookie cannot be re-labelled", async () => {
  const { a, b } = await twoAccounts();
  const headers = { "sec-fetch-mode": "no-cors" };
  const before = await dump(a.world.room);
  expect((await ask(`${a.world.origin}/x`, { cookie: b.session ?? "", headers })).status).toBe(401);
  expect((await ask(`${a.world.origin}/`, { cookie: b.session ?? "", headers: { upgrade: "websocket" } })).status).toBe(401);
  const [, value = ""] = (b.session ?? "").split("=");
  const [session = "", , expires = "", tag = ""] = value.split(".");
  expect((await ask(`${b.world.origin}/x`, { cookie: `__Host-gth_s=${session}.${a.device.id}.${expires}.${tag}`, headers })).status).toBe(
    401,
  );
  expect(
    (await ask(`${b.world.origin}/x`, { cookie: `__Host-gth_s=${session}.${b.device.id}.${Number(expires) + 1}.${tag}`, headers })).status,
  ).toBe(401);
  // Sealed with the right key for a session that the room never opened: the room is asked, and says no.
  const [sealed = ""] = (await sealSessionCookie(env, { session: "s".repeat(32), gateway: a.world.gateway, device: a.device.id, expiresAtMs: Date.now() + 60_000 }, Date.now())).split(";", 1); // prettier-ignore
  expect((await ask(`${a.world.origin}/x`, { cookie: sealed, headers })).status).toBe(401);
  expect((await openSession(a.world, a.device, { token: b.token })).status).toBe(403);
  expect((await openSession(a.world, b.device, {})).status).toBe(403);
  expect(await dump(a.world.room)).toBe(before);
  // The stored MAC is of one gateway and one device: a row moved elsewhere matches nothing.
  const token = (a.token ?? "").split("=")[1] ?? "";
  const macs = await Promise.all([
    deviceTokenMacs(env, a.world.gateway, a.device.id, token),
    deviceTokenMacs(env, b.world.gateway, a.device.id, token),
    deviceTokenMacs(env, a.world.gateway, b.device.id, token),
  ]);
  expect(new Set(macs.flat()).size).toBe(3);
});

test("[case 40] an account session whose row was moved to another account opens nothing", async () => {
  const [a, b] = [await newPerson(), await newPerson()];
  const cookie = await b.cookie("app");
  expect((await ask(`${config.appOrigin}/api/me`, { cookie })).status).toBe(200);
  await env.DB.prepare("UPDATE account_sessions SET account_id = ? WHERE account_id = ?").bind(a.id, b.id).run();
  expect((await ask(`${config.appOrigin}/api/me`, { cookie })).status).toBe(401);
});

test("[case 40] a hand-off code signs in whoever made its challenge, nobody else, and is used up by the first try", async () => {
  const person = await newPerson();
  const verifier = "v".repeat(43);
  const challenge = toBase64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
  const redeem = (code: string, wanted: string): Promise<Response> => ask(`${config.appOrigin}/api/session`, { method: "POST", body: { code, verifier: wanted } }); // prettier-ignore
  const stolen = await issueCode(env, "handoff", { account: person.id, challenge }, 60_000);
  expect((await redeem(stolen.code, "w".repeat(43))).status).toBe(410);
  expect((await redeem(stolen.code, verifier)).status).toBe(410);
  const own = await issueCode(env, "handoff", { account: person.id, challenge }, 60_000);
  const answers = await Promise.all(Array.from({ length: 20 }, () => redeem(own.code, verifier)));
  expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1);
});

test("[case 40] the ticket of one enrolment moves no other, and without a ticket nothing is told", async () => {
  const { a, b } = await twoAccounts();
  const before = await dump(a.world.room);
  const bodies = new Set<string>();
  const ticket = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
  for (const enrolment of [a.enrolment, b.enrolment, "z".repeat(26)])
    for (const [path, more] of [
      ["poll", {}],
      ["reveal", { connectorNonce: ticket }],
      ["confirm", { signature: "A".repeat(86) }],
    ] as const) {
      const headers = { "content-type": "application/json", "cf-connecting-ip": randomAddress() };
      const request = new Request(`${config.appOrigin}/api/connector/${path}`, {
        method: "POST",
        headers,
        body: JSON.stringify({ enrolment, ticket, ...more }),
      });
      const response = await handle(request, env);
      bodies.add(`${response.status} ${await response.text()}`);
    }
  expect([...bodies]).toEqual([expect.stringMatching(/^404 /)]);
  expect(await dump(a.world.room)).toBe(before);
});

test("[case 40] a stranger's account reaches no request, device or decision of this gateway", async () => {
  const [world, stranger] = [await newGateway(), await newPerson()];
  await world.connect();
  const device = await allowedDevice(world);
  const waiting = await askOwner(world);
  const { signed } = await grantFor(world, waiting);
  await runDurableObjectAlarm(world.room);
  const before = await dump(world.room);
  const account = stranger.id;
  const { request, digits: code } = waiting;
  const answers = await Promise.all([
    claimAs(world.room, { gateway: world.gateway, account, connectorKey: world.key, by: stranger.authenticator }),
    world.room.rename({ account, name: "Mine" }),
    world.room.snapshot({ account }),
    world.room.request({ account, request }),
    world.room.checkMatchCode({ account, request, code: "0000" }),
    world.room.allow({ account, request, code, signed }),
    world.room.deny({ account, request, block: true }),
    world.room.ownerGrant({ account, signed }),
    world.room.renameDevice({ account, device: device.id, name: "x" }),
    world.room.cut({ account, device: device.id }),
    world.room.receipt({ account, device: device.id }),
    world.room.addOwnerKey({ account, signed }),
    world.room.remove({ account }),
  ]);
  for (const answer of answers) expect(answer).toEqual({ ok: false, failure: "not-found" });
  expect(await dump(world.room)).toBe(before);
});
