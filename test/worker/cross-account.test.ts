/**
 * Account B against what is account A's, over every route, drawn from the table itself: a route without a case here fails. The oracle is the
 * answer for a thing that was never made, byte for byte, and every stored row as it was. The calls of a room are in cross-account-room.test.ts.
 */
import { genesisStatement } from "../support/genesis.ts";
import { blockDevice, hex, newAccount } from "./account-things.ts";
import type { Account, Things } from "./account-things.ts";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { newRowId } from "../../src/worker/routes/auth.ts";
import { toBase64url } from "../../src/protocol/statement-encoding.ts";
import { appRoutes, approveRoutes, handle } from "../../src/worker/app.ts";
import { mintGatewayId } from "../../src/worker/auth/gateway-id.ts";
import type { AnyRoute } from "../../src/worker/routes/checked-route.ts";
import { APPROVER, VIEWER, confirmedPerson } from "./persons-world.ts";
import { ask, config, dump, env, randomAddress } from "./world.ts";

const RUNS = 100;
/** Many dumps of two rooms: a busy machine needs longer than the suite's own end of what hangs. */
const HANGS_MS = 300_000;

let a: Account;
let b: Account;
/** Of the right shape, and never made. */
let missing: Things;

beforeAll(async () => {
  [a, b] = [await newAccount(), await newAccount()];
  missing = {
    account: newRowId(),
    gateway: await mintGatewayId(env, crypto.getRandomValues(new Uint8Array(10))),
    device: `x${a.things.device.slice(1)}`,
    request: `x${a.things.request.slice(1)}`,
    enrolment: newRowId(),
    passkey: toBase64url(crypto.getRandomValues(new Uint8Array(16))),
    token: "A".repeat(11),
    entry: hex(crypto.getRandomValues(new Uint8Array(32))),
    proposal: "A".repeat(43),
    person: newRowId(),
  };
});

const routes = [
  ...appRoutes.map((route) => ({ route, origin: config.appOrigin, audience: "app" as const })),
  ...approveRoutes.map((route) => ({ route, origin: config.approveOrigin, audience: "approve" as const })),
];
const nameOf = (route: AnyRoute): string => `${route.method} ${route.path}`;

/** What each parameter of a path names. A parameter without an entry fails the test. */
const PARAMETERS: Readonly<Record<string, keyof Things>> = {
  "/api/gateways/:gateway": "gateway",
  "/api/decisions/:gateway": "gateway",
  ":device": "device",
  ":request": "request",
  ":entry": "entry",
  ":person": "person",
  ":proposal": "proposal",
  "/api/enrolments/:id": "enrolment",
  "/api/auth/passkeys/:id": "passkey",
  "/api/tokens/:token": "token",
};

/** @returns the parameters of a path in order, with what they name */
function parametersOf(path: string): (keyof Things)[] {
  return [...path.matchAll(/:\w+/g)].map((match) => {
    const upTo = path.slice(0, match.index + match[0].length);
    const named = PARAMETERS[upTo] ?? PARAMETERS[match[0]];
    if (named === undefined) throw new Error(`say in PARAMETERS what ${match[0]} of ${path} names`);
    return named;
  });
}

function fill(path: string, values: readonly string[]): string {
  let at = 0;
  return path.replace(/:\w+/g, () => encodeURIComponent(values[at++] ?? ""));
}

/** The terms that an account's page would fix for its own gateway. */
function draftOf(of: Account): object {
  const { authenticator } = of.world.person;
  const input = { gateway: of.things.gateway, account: of.things.account, connectorKey: of.world.key, approveOrigin: config.approveOrigin };
  const { ceremony: _later, ...draft } = genesisStatement(authenticator.ownerKey, { ...input, appOrigin: config.appOrigin });
  return draft;
}

/** The shape of a passkey's answer, with A's credential in it. */
const passkeyAnswer = (): object => ({ id: a.things.passkey, rawId: a.things.passkey, type: "public-key", response: {} });

/** Bodies that would be right if A sent them: only whose they are stands in the way. A route with a body and without an entry fails. */
const BODIES: Readonly<Record<string, () => object>> = {
  "POST /api/session": () => ({ code: a.code, verifier: "v".repeat(43) }),
  "POST /api/sign-out": () => ({ everywhere: true }),
  "POST /api/gateways": () => ({ name: "Another" }),
  "PATCH /api/gateways/:gateway": () => ({ name: "Mine now" }),
  "PATCH /api/gateways/:gateway/devices/:device": () => ({ name: "Mine now" }),
  "POST /api/enrolments/:id/claim": () => ({ name: "Mine now" }),
  "POST /api/enrolments/:id/propose": () => ({ nonce: "A".repeat(43), draft: draftOf(a) }),
  "POST /api/enrolments/:id/sign": () => ({ signed: a.signed }),
  "POST /api/connector/redeem": () => ({ code: "garbage", key: b.world.key, commitment: "A".repeat(43), machine: { name: "m", platform: "p" }, version: "1" }), // prettier-ignore
  "POST /api/connector/claims": () => ({ key: b.world.key, commitment: "A".repeat(43), machine: { name: "m", platform: "p" }, version: "1" }), // prettier-ignore
  "POST /api/connector/poll": () => ({ enrolment: a.things.enrolment, ticket: "A".repeat(43) }),
  "POST /api/connector/reveal": () => ({ enrolment: a.things.enrolment, ticket: "A".repeat(43), connectorNonce: "A".repeat(43) }),
  "POST /api/connector/confirm": () => ({ enrolment: a.things.enrolment, ticket: "A".repeat(43), signature: "A".repeat(86) }), // prettier-ignore
  "POST /api/auth/sign-up": () => ({ nonce: "A".repeat(43), name: "B", userHandle: "A".repeat(43), response: passkeyAnswer() }),
  "POST /api/auth/sign-in": () => ({ nonce: "A".repeat(43), response: passkeyAnswer() }),
  "POST /api/auth/recover": () => ({ code: "aaaa-bbbb-cccc-dddd-eeee" }),
  "POST /api/auth/passkeys": () => ({ nonce: "A".repeat(43), name: "B", response: passkeyAnswer() }),
  "POST /api/auth/passkeys/endorse": () => a.owners.add,
  "POST /api/auth/passkeys/remove": () => a.owners.remove,
  "POST /api/auth/recovery-key": () => a.owners.recoveryKey,
  "POST /api/auth/recover-gateways": () => a.owners.recover,
  "PATCH /api/auth/passkeys/:id": () => ({ name: "Mine now" }),
  "POST /api/auth/handoff": () => ({ challenge: "A".repeat(43) }),
  "POST /api/auth/sign-out": () => ({ everywhere: true }),
  "POST /api/gateways/:gateway/differences/:entry": () => ({ what: "remove" }),
  "POST /api/tokens": () => ({ name: "Script", days: 1 }),
  "PUT /api/gateways/:gateway/budget": () => ({ microUsd: 0, bytes: 0 }),
  "POST /api/decisions/:gateway/requests/:request/match": () => ({ code: a.waiting.digits }),
  "POST /api/decisions/:gateway/requests/:request/allow": () => ({ code: a.waiting.digits, signed: a.signed }),
  "POST /api/decisions/:gateway/requests/:request/deny": () => ({ block: true }),
  "POST /api/decisions/:gateway/owner": () => ({ signed: a.signed }),
  "POST /api/decisions/:gateway/approve-again": () => ({
    statements: [a.signed.statement],
    list: a.signed.list,
    assertion: a.signed.assertion,
  }),
  "POST /api/decisions/:gateway/proposals/:proposal/approve": () => ({ signed: a.widening }),
  "POST /api/decisions/:gateway/invitations": () => ({ name: "Mallory", role: { kind: "owner" } }),
  "POST /api/decisions/:gateway/persons/:person/confirm": () => ({ signed: a.owners.add }),
  "POST /api/decisions/:gateway/persons/:person/remove": () => ({ signed: a.owners.remove }),
  "POST /api/decisions/:gateway/leave": () => ({ signed: null }),
  "POST /api/decisions/:gateway/local-acts": () => ({ signed: a.owners.add }),
  "POST /api/auth/invitations/look": () => ({ code: a.code }),
  "POST /api/auth/invitations/accept": () => ({ code: a.code, passkey: a.world.person.authenticator.ownerKey, proof: null }),
};

/** Routes without an id whose answer may differ from "nobody": they are about the caller alone. The others say nothing about anybody. */
const ABOUT_THE_CALLER = new Set(routes.map(({ route }) => route).filter((route) => !route.path.includes(":")).map(nameOf)); // prettier-ignore

interface Asked {
  readonly answer: string;
  readonly status: number;
}

async function asB({ route, origin, audience }: (typeof routes)[number], path: string): Promise<Asked> {
  const body = BODIES[nameOf(route)]?.();
  const headers = new Headers({ "content-type": "application/json", "cf-connecting-ip": randomAddress() });
  if (route.auth !== "connector") headers.set("origin", origin);
  // Fresh each time: signing out everywhere is one of the routes.
  if (route.auth === "account") headers.set("cookie", await b.world.person.cookie(audience));
  const init = { method: route.method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
  const response = await handle(new Request(origin + path, init), env);
  return { status: response.status, answer: `${response.status} ${JSON.stringify([...response.headers])} ${await response.text()}` };
}

/** Every row of D1 that names something of A's, and A's room: what nothing of B's may change. */
async function rowsOfA(): Promise<string> {
  const [d1, room] = JSON.parse(await dump(a.world.room)) as [unknown[], unknown];
  const ids = [a.things.account, a.things.gateway, a.things.enrolment, a.things.passkey];
  const own = d1.flatMap((rows) => (Array.isArray(rows) ? rows : [])).filter((row) => ids.some((id) => JSON.stringify(row).includes(id)));
  return JSON.stringify([own, room], null, 1);
}

test("[case 40] every route has its case: what its parameters name, and a body that would be right", () => {
  for (const { route } of routes) expect(() => parametersOf(route.path)).not.toThrow();
  const withBody = routes.filter(({ route }) => route.body !== undefined).map(({ route }) => nameOf(route));
  expect(Object.keys(BODIES).toSorted()).toEqual(withBody.toSorted());
});

test("[case 40] bodies that would be right are: each passes its route's own schema", () => {
  for (const { route } of routes)
    if (route.body !== undefined) expect(route.body.safeParse(BODIES[nameOf(route)]?.()).success, nameOf(route)).toBe(true);
});

test(
  "[case 40] whichever ids of A's B names on whichever route: the answer for a thing that was never made, and no row changes",
  async () => {
    const withIds = routes.filter(({ route }) => route.path.includes(":"));
    const whose = fc.constantFrom<"theirs" | "missing">("theirs", "missing");
    const drawn = fc.record({
      at: fc.nat({ max: withIds.length - 1 }),
      // An own gateway with somebody else's device in it is the subtle way in.
      ownGateway: fc.boolean(),
      picks: fc.array(whose, { minLength: 3, maxLength: 3 }),
    });
    const seen = new Set<string>();
    const statuses = new Set<number>();
    const inboxes = () => Promise.all([a, b].map(({ things }) => env.INBOX.getByName(things.account).list()));
    const stored = async () => [await dump(a.world.room), await dump(b.world.room), await inboxes()];
    const before = await stored();
    const one = async ({ at, ownGateway, picks }: { at: number; ownGateway: boolean; picks: readonly ("theirs" | "missing")[] }) => {
      const each = withIds[at];
      if (each === undefined) return;
      const names = parametersOf(each.route.path);
      const isOwn = ownGateway && names.length > 1 && names[0] === "gateway";
      const path = (from: (index: number) => Things): string =>
      fill(each.route.path, names.map((name, index) => (isOwn && index === 0 ? b.things : from(index))[name])); // prettier-ignore
      const cookiesBefore = await sessionsOf(b.things.account);
      const theirs = await asB(
        each,
        path((index) => (picks[index] === "theirs" ? a.things : missing)),
      );
      const nobody = await asB(
        each,
        path(() => missing),
      );
      await forgetSessions(cookiesBefore);
      expect(theirs.answer, `${nameOf(each.route)} ${path(() => a.things)}`).toBe(nobody.answer);
      if (!isOwn) expect(theirs.answer).toMatch(/^404 /);
      seen.add(`${each.audience} ${nameOf(each.route)} ${isOwn}`);
      statuses.add(theirs.status);
      expect(await stored()).toEqual(before);
    };
    // Each route with all of A's ids, outside and inside an own gateway, and then whatever else can be drawn.
    for (let at = 0; at < withIds.length; at += 1)
      for (const ownGateway of [false, true]) await one({ at, ownGateway, picks: ["theirs", "theirs", "theirs"] });
    await fc.assert(fc.asyncProperty(drawn, one), { numRuns: RUNS });
    expect(new Set([...seen].map((key) => key.replace(/ (true|false)$/, ""))).size).toBe(withIds.length);
    expect([...statuses].toSorted((x, y) => x - y)).toEqual([404, 410]);
  },
  HANGS_MS,
);

async function sessionsOf(account: string): Promise<string[]> {
  const { results } = await env.DB.prepare("SELECT selector FROM account_sessions WHERE account_id = ?").bind(account).all<{ selector: string }>(); // prettier-ignore
  return results.map((row) => row.selector);
}

/** Takes away the sessions that only the test's own asking made. */
async function forgetSessions(kept: readonly string[]): Promise<void> {
  for (const selector of await sessionsOf(b.things.account))
    if (!kept.includes(selector)) await env.DB.prepare("DELETE FROM account_sessions WHERE selector = ?").bind(selector).run();
}

test("[case 40] whatever B does on the routes without an id, in any order: nothing of A's is said or changed", async () => {
  const plain = routes.filter(({ route }) => ABOUT_THE_CALLER.has(nameOf(route)) && route.path !== "/api/inbox");
  const before = await rowsOfA();
  const secrets = [a.things.account, a.things.gateway, a.things.device, a.things.request, a.things.enrolment, a.things.passkey];
  const queries = ["", `?gateway=${a.things.gateway}`, "?before=9999999999999.aaaaaaaaaaaaaaaaaaaaaaaaaa"];
  const step = fc.record({ at: fc.nat({ max: plain.length - 1 }), query: fc.constantFrom(...queries) });
  const one = async ({ at, query }: { at: number; query: string }) => {
    const each = plain[at];
    if (each === undefined) return;
    const { answer } = await asB(each, each.route.path + query);
    for (const secret of secrets) expect(answer, nameOf(each.route)).not.toContain(secret);
  };
  for (let at = 0; at < plain.length; at += 1) await one({ at, query: queries[1] ?? "" });
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 6 }), async (steps) => {
    for (const each of steps) await one(each);
  }), { numRuns: RUNS / 5 }); // prettier-ignore
  expect(await rowsOfA()).toBe(before);
});

/** Which routes answer a person of A's with something else than "never made", of all that name a gateway. */
const ROUTES_OF: Readonly<Record<"approver" | "viewer", readonly string[]>> = {
  viewer: [
    "GET /api/gateways/:gateway",
    "GET /api/gateways/:gateway/devices/:device/cut",
    "GET /api/decisions/:gateway/leave",
    "POST /api/decisions/:gateway/leave",
  ],
  approver: [
    "GET /api/gateways/:gateway",
    "POST /api/gateways/:gateway/devices/:device/suspend",
    "POST /api/gateways/:gateway/devices/:device/block-for-good",
    "POST /api/gateways/:gateway/devices/:device/unblock",
    "POST /api/gateways/:gateway/devices/:device/cut",
    "GET /api/gateways/:gateway/devices/:device/cut",
    "GET /api/decisions/:gateway/requests/:request",
    "POST /api/decisions/:gateway/requests/:request/match",
    "POST /api/decisions/:gateway/requests/:request/allow",
    "POST /api/decisions/:gateway/requests/:request/deny",
    "GET /api/decisions/:gateway/owner",
    "POST /api/decisions/:gateway/owner",
    "GET /api/decisions/:gateway/approve-again",
    "POST /api/decisions/:gateway/approve-again",
    "GET /api/decisions/:gateway/leave",
    "POST /api/decisions/:gateway/leave",
  ],
};

test.each(["approver", "viewer"] as const)(
  "[case 40] [PE1] the routes that answer a person who is %s are exactly these",
  async (role) => {
    const kept = [a, b] as const;
    a = await newAccount();
    const { person } = await confirmedPerson(a.world, role === "viewer" ? VIEWER : APPROVER);
    const cut = `${config.appOrigin}/api/gateways/${a.things.gateway}/devices/${a.things.device}/cut`;
    expect((await ask(cut, { method: "POST", cookie: a.cookies.app })).status).toBe(200);
    await blockDevice(a);
    b = { ...b, world: { ...b.world, person } };
    const answered: string[] = [];
    const named = routes.filter(({ route }) => route.path.includes(":gateway"));
    for (const each of named) {
      const path = fill(each.route.path, parametersOf(each.route.path).map((name) => a.things[name])); // prettier-ignore
      if ((await asB(each, path)).status !== 404) answered.push(nameOf(each.route));
    }
    [a, b] = kept;
    expect(answered.toSorted()).toEqual([...ROUTES_OF[role]].toSorted());
  },
  HANGS_MS,
);
