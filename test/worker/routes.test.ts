import { expect, test } from "vitest";
import { appRoutes, approveRoutes, handle } from "../../src/worker/app.ts";
import { mintGatewayId } from "../../src/worker/auth/gateway-id.ts";
import { base62Bytes, readToken, writeToken } from "../../src/core/trust/token.ts";
import { ENROLMENT_CODE_TRIES } from "../../src/protocol/limits.ts";
import { issueCode, issueNonce, redeemCode, useNonce } from "../../src/worker/auth/one-time-code.ts";
import { newRecoveryCodes, redeemRecoveryCode } from "../../src/worker/auth/recovery-code.ts";
import { replaceRecoveryCodes } from "../../src/worker/db/account-queries.ts";
import { ask, config, env, newGateway, newPerson } from "./world.ts";

const PARALLEL = 60;

async function winners(work: () => Promise<unknown>): Promise<number> {
  const results = await Promise.all(Array.from({ length: PARALLEL }, work));
  return results.filter((result) => result !== null).length;
}

test.each(["handoff", "invitation"] as const)("[case 33] 60 parallel redemptions of one %s code: exactly one wins", async (kind) => {
  const { code } = await issueCode(env, kind, { a: 1 }, 60_000);
  expect(await winners(() => redeemCode(env, kind, code))).toBe(1);
  expect(await redeemCode(env, kind, code)).toBe(null);
});

test("60 parallel uses of one sign-in nonce, and of one recovery code: exactly one wins", async () => {
  const nonce = await issueNonce(env, 60_000);
  expect(await winners(() => useNonce(env, nonce))).toBe(1);
  const person = await newPerson();
  const { codes, macs } = await newRecoveryCodes(env, person.id);
  await replaceRecoveryCodes(env.DB, person.id, macs);
  const spoken = codes[0]?.toUpperCase().replaceAll("-", " ") ?? "";
  expect(await winners(() => redeemRecoveryCode(env, spoken, 1))).toBe(1);
});

test("a code of one kind is nothing as another, and an expired one is nothing", async () => {
  const { code } = await issueCode(env, "handoff", {}, 60_000);
  expect(await redeemCode(env, "invitation", code)).toBe(null);
  const late = await issueCode(env, "handoff", {}, -1);
  expect(await redeemCode(env, "handoff", late.code)).toBe(null);
});

test("[case 34] five wrong secrets end a hand-off, also for whoever holds the right one", async () => {
  const { code } = await issueCode(env, "handoff", {}, 60_000);
  const other = writeToken("o", Uint8Array.of(...(base62Bytes(readToken(code, "o")?.selector ?? "", 8) ?? []), ...new Uint8Array(32)));
  for (let i = 0; i < ENROLMENT_CODE_TRIES; i += 1) expect(await redeemCode(env, "handoff", other)).toBe(null);
  expect(await redeemCode(env, "handoff", code)).toBe(null);
});

const unsafe = [
  ...appRoutes.map((route) => ({ ...route, origin: config.appOrigin })),
  ...approveRoutes.map((route) => ({ ...route, origin: config.approveOrigin })),
].filter((route) => route.method !== "GET"); // prettier-ignore

test.each(unsafe.map((route) => [`${route.method} ${route.path}`, route] as const))(
  "%s refuses every origin but its own",
  async (_name, route) => {
    const url = route.origin + route.path.replace(/:\w+/g, "x");
    const sibling = route.origin === config.appOrigin ? config.approveOrigin : config.appOrigin;
    const attacks: Record<string, string>[] =
      route.auth === "connector"
        ? [{ origin: route.origin }, { origin: "null" }]
        : [
            { origin: "http://evil.example" },
            { origin: "null" },
            { origin: sibling },
            { origin: `${route.origin}.evil.example` },
            { origin: route.origin.replace(/:\d+$/, "") },
            { origin: route.origin, "sec-fetch-site": "cross-site" },
            { origin: route.origin, "sec-fetch-site": "same-site" },
          ];
    for (const headers of attacks) {
      const response = await ask(url, { method: route.method, body: {}, headers });
      expect(response.status, JSON.stringify(headers)).toBe(403);
      expect(await response.json()).toMatchObject({ error: { code: "wrong-origin" } });
    }
  },
);

test("without an Origin at all, a browser's route refuses", async () => {
  const request = new Request(`${config.appOrigin}/api/gateways`, {
    method: "POST",
    body: "{}",
    headers: { "content-type": "application/json" },
  });
  expect((await handle(request, env)).status).toBe(403);
});

test("a session of one origin is nothing at the other", async () => {
  const person = await newPerson();
  expect((await ask(`${config.appOrigin}/api/me`, { cookie: await person.cookie("app") })).status).toBe(200);
  expect((await ask(`${config.appOrigin}/api/me`, { cookie: await person.cookie("approve") })).status).toBe(401);
  expect((await ask(`${config.approveOrigin}/api/auth/me`, { cookie: await person.cookie("app") })).status).toBe(401);
});

test("missing and forbidden give the same bytes", async () => {
  const [mine, theirs] = [await newGateway(), await newGateway()];
  const cookie = await mine.person.cookie("app");
  const missing = await mintGatewayId(env, crypto.getRandomValues(new Uint8Array(10)));
  const bodies = new Set<string>();
  for (const [method, path] of [
    ["GET", ""],
    ["DELETE", ""],
    ["POST", "/devices/x/cut"],
    ["GET", "/devices/x/cut"],
    ["POST", "/enrolment"],
  ] as const) {
    for (const id of [theirs.gateway, missing, "x"]) {
      const response = await ask(`${config.appOrigin}/api/gateways/${id}${path}`, { method, cookie });
      expect(response.status).toBe(404);
      bodies.add(await response.text());
    }
  }
  expect(bodies.size).toBe(1);
  expect((await ask(`${config.appOrigin}/api/gateways/${theirs.gateway}`, { cookie: await theirs.person.cookie("app") })).status).toBe(200);
});

test("bad input: wrong type, too large, no JSON; typed errors, nothing changed", async () => {
  const person = await newPerson();
  const cookie = await person.cookie("app");
  const url = `${config.appOrigin}/api/gateways`;
  expect((await ask(url, { method: "POST", cookie, body: { name: 5 } })).status).toBe(400);
  expect((await ask(url, { method: "POST", cookie, body: { name: "a\u202eb" } })).status).toBe(400);
  expect((await ask(url, { method: "POST", cookie, body: { name: "x".repeat(20_000) } })).status).toBe(413);
  expect((await ask(url, { method: "POST", cookie, body: {}, headers: { "content-type": "text/plain" } })).status).toBe(400);
  expect(await (await ask(url, { cookie })).json()).toEqual({ gateways: [] });
});

test("D1 down: a typed 503 with a constant body, no inner message", async () => {
  const person = await newPerson();
  const cookie = await person.cookie("app");
  const broken = { ...env, DB: { prepare: () => { throw new Error("D1_ERROR: secret inner detail"); } } } as unknown as typeof env; // prettier-ignore
  const response = await handle(new Request(`${config.appOrigin}/api/gateways`, { headers: { cookie } }), broken);
  expect(response.status).toBe(503);
  expect(await response.text()).not.toContain("secret inner");
});

test("gateway origins: guesses die without a room, strangers get the door or a plain 401, other hosts nothing", async () => {
  expect((await ask(`http://${"a".repeat(23)}.localhost:8787/`)).status).toBe(404);
  expect((await ask("http://nobody.localhost:8787/")).status).toBe(404);
  expect((await ask("http://a.b.localhost:8787/")).status).toBe(404);
  const { origin } = await newGateway();
  expect((await ask(`${origin}/assets/x.js`, { headers: { "sec-fetch-mode": "no-cors" } })).status).toBe(401);
  expect((await ask(`${origin}/`, { headers: { upgrade: "websocket" } })).status).toBe(401);
  expect((await ask(`${origin}/.gatehouse/unknown`)).status).toBe(404);
  for (const attack of ["http://evil.example", "null", config.appOrigin, config.approveOrigin]) {
    expect((await ask(`${origin}/.gatehouse/wait`, { headers: { upgrade: "websocket", origin: attack } })).status).toBe(403);
    expect((await ask(`${origin}/.gatehouse/api/challenge`, { method: "POST", body: {}, headers: { origin: attack } })).status).toBe(403);
  }
  expect((await ask(`${origin}/.gatehouse/activate`, { method: "POST", body: {}, headers: { origin } })).status).toBe(403);
});

test("no page may act as a connector", async () => {
  const { gateway } = await newGateway();
  expect(
    (await ask(`${config.appOrigin}/link/${gateway}`, { headers: { upgrade: "websocket", origin: "http://evil.example" } })).status,
  ).toBe(404);
});

test("healthz and the API description answer", async () => {
  expect(await (await ask(`${config.appOrigin}/healthz`)).json()).toMatchObject({ ok: true, version: "0.1.0" });
  const answered = await ask(`${config.appOrigin}/api/openapi.json`);
  const described: {
    paths: Record<string, Record<string, unknown>>;
  } = await answered.json();
  for (const route of appRoutes) expect(described.paths[route.path.replace(/:(\w+)/g, "{$1}")]).toHaveProperty(route.method.toLowerCase());
});

test.each(["/api/openapi.json", "/connector-0.1.0.tgz"])(
  "[AB7] %s is made by the build: the same bytes each time, and 304 for its ETag",
  async (path) => {
    const first = await ask(`${config.appOrigin}${path}`);
    const bytes = await first.arrayBuffer();
    const etag = first.headers.get("etag") ?? "";
    expect([first.status, bytes.byteLength > 1_000, etag]).toEqual([200, true, expect.stringMatching(/^"[\w-]{8,}"$/)]);
    expect(new Uint8Array(await (await ask(`${config.appOrigin}${path}`)).arrayBuffer())).toEqual(new Uint8Array(bytes));
    const again = await ask(`${config.appOrigin}${path}`, { headers: { "if-none-match": etag } });
    expect([again.status, (await again.arrayBuffer()).byteLength, again.headers.get("etag")]).toEqual([304, 0, etag]);
  },
);

test("[AB7] the connector's archive holds the program, its description and this deployment's origin", async () => {
  const whole = await (await ask(`${config.appOrigin}/connector-0.1.0.tgz`)).arrayBuffer();
  // Two members of one gzip file (RFC 1952 §2.2), which this runtime unpacks one by one.
  const { byteLength } = await (await env.ASSETS.fetch("http://pages/connector/program.tgz")).arrayBuffer();
  const parts = [whole.slice(0, byteLength), whole.slice(byteLength)];
  const unpacked = parts.map((part) => new Response(new Blob([part]).stream().pipeThrough(new DecompressionStream("gzip"))).text());
  const text = (await Promise.all(unpacked)).join("");
  for (const part of [
    "package/package.json",
    "package/gatehouse.mjs",
    "package/connector.mjs",
    "package/origin.json",
    JSON.stringify({ appOrigin: config.appOrigin }),
  ])
    expect(text).toContain(part);
});
