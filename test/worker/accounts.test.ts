/** Sign-up, sign-in, recovery, invitations, sign-out and enrolment codes over HTTP: once, in time, and only for whom they are. */
import { env as bindings } from "cloudflare:workers";
import { afterEach, expect, test, vi } from "vitest";
import { enrolmentCommitment } from "../../src/core/trust/enrolment.ts";
import { ENROLMENT_CODE_MS, ENROLMENT_CODE_TRIES, INVITATION_MS, MAX_UNUSED_ENROLMENTS_PER_HOUR } from "../../src/protocol/limits.ts";
import { toBase64url } from "../../src/protocol/statement-encoding.ts";
import { base62Bytes, readToken, writeToken } from "../../src/core/trust/token.ts";
import { handle } from "../../src/worker/app.ts";
import type { Env } from "../../src/worker/env.ts";
import { newAuthenticator } from "../support/fake-authenticator.ts";
import { ask, config, env, newGateway, newPerson, randomAddress } from "./world.ts";
import { passTime } from "./room-clock.ts";

afterEach(() => {
  vi.useRealTimers();
});

const nonce32 = (): string => toBase64url(crypto.getRandomValues(new Uint8Array(32)));

/** One request to the approval origin under another `SIGN_UP`. */
function approve(path: string, signUp: string, body: object): Promise<Response> {
  const headers = { origin: config.approveOrigin, "content-type": "application/json", "cf-connecting-ip": randomAddress() };
  const changed = { ...(bindings as unknown as Env), SIGN_UP: signUp };
  return handle(new Request(config.approveOrigin + path, { method: "POST", headers, body: JSON.stringify(body) }), changed);
}

async function signUp(mode: string, invitation?: string): Promise<Response> {
  const authenticator = await newAuthenticator(config.approveOrigin);
  const { nonce }: { nonce: string } = await (await approve("/api/auth/nonce", mode, {})).json();
  const body = { nonce, name: "Ada", userHandle: nonce32(), response: await authenticator.register(nonce) };
  return approve("/api/auth/sign-up", mode, { ...body, ...(invitation === undefined ? {} : { invitation }) });
}

const accounts = async (): Promise<number> => (await env.DB.prepare("SELECT count(*) AS n FROM accounts").first<{ n: number }>())?.n ?? -1;

test("[case 33] SIGN_UP first: of sixty who sign up at once on an empty server one gets the account, and nothing is left of the others", async () => {
  await env.DB.exec("DELETE FROM accounts");
  const answers = await Promise.all(Array.from({ length: 60 }, () => signUp("first")));
  expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1);
  const refused = new Set(await Promise.all(answers.filter((answer) => answer.status !== 200).map((answer) => answer.text())));
  expect([...refused].map((text) => (JSON.parse(text) as { error: { code: string } }).error.code)).toEqual(["closed-for-sign-up"]);
  expect(await accounts()).toBe(1);
  expect(await env.DB.prepare("SELECT count(*) AS n FROM passkeys").first()).toEqual({ n: 1 });
  expect((await signUp("first")).status).toBe(403);
});

test("SIGN_UP open lets everybody in; invite only with an invitation, which works once, for a week, and for nothing else", async () => {
  expect((await signUp("open")).status).toBe(200);
  const person = await newPerson();
  const cookie = await person.cookie("app");
  const invite = async (): Promise<string> =>
    (await (await ask(`${config.appOrigin}/api/invitations`, { method: "POST", cookie })).json<{ code: string }>()).code;
  const before = await accounts();
  expect((await signUp("invite")).status).toBe(403);
  expect((await signUp("invite", writeToken("i", crypto.getRandomValues(new Uint8Array(40))))).status).toBe(403);
  const code = await invite();
  const many = await Promise.all(Array.from({ length: 20 }, () => signUp("invite", code)));
  expect(many.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([200, ...Array.from({ length: 19 }, () => 403)]);
  expect(await accounts()).toBe(before + 1);
  const late = await invite();
  passTime(INVITATION_MS + 1);
  expect((await signUp("invite", late)).status).toBe(403);
});

test("the passkey of one account is nobody else's: it cannot be registered twice, and an invitation is not spent on the try", async () => {
  const authenticator = await newAuthenticator(config.approveOrigin);
  const once = async (): Promise<Response> => {
    const { nonce }: { nonce: string } = await (await approve("/api/auth/nonce", "open", {})).json();
    return approve("/api/auth/sign-up", "open", {
      nonce,
      name: "Ada",
      userHandle: nonce32(),
      response: await authenticator.register(nonce),
    });
  };
  expect((await once()).status).toBe(200);
  const again = await once();
  expect([again.status, await again.json()]).toMatchObject([403, { error: { code: "passkey-refused" } }]);
});

test("a sign-in nonce works once, for its own purpose; a registration is no sign-in", async () => {
  const authenticator = await newAuthenticator(config.approveOrigin);
  const nonce = async (): Promise<string> => (await (await approve("/api/auth/nonce", "open", {})).json<{ nonce: string }>()).nonce;
  const first = await nonce();
  const body = { nonce: first, name: "Ada", userHandle: nonce32(), response: await authenticator.register(first) };
  expect((await approve("/api/auth/sign-up", "open", body)).status).toBe(200);
  expect((await approve("/api/auth/sign-up", "open", body)).status).toBe(403);
  const second = await nonce();
  const response = await authenticator.signIn(second);
  expect((await approve("/api/auth/sign-in", "open", { nonce: await nonce(), response })).status).toBe(403);
  expect((await approve("/api/auth/sign-in", "open", { nonce: second, response })).status).toBe(200);
  expect((await approve("/api/auth/sign-in", "open", { nonce: second, response })).status).toBe(403);
});

test("[case 33] a recovery code signs in once; new ones end the old", async () => {
  const person = await newPerson();
  const cookie = await person.cookie("approve");
  const renew = async (): Promise<string[]> =>
    (await (await ask(`${config.approveOrigin}/api/auth/recovery-codes`, { method: "POST", cookie })).json<{ recoveryCodes: string[] }>())
      .recoveryCodes;
  const recover = async (code: string): Promise<number> => (await approve("/api/auth/recover", "first", { code })).status;
  const [old = ""] = await renew();
  const [code = "", other = ""] = await renew();
  expect(await recover(old)).toBe(410);
  const tries = await Promise.all(Array.from({ length: 30 }, () => recover(code)));
  expect(tries.toSorted((a, b) => a - b)).toEqual([200, ...Array.from({ length: 29 }, () => 410)]);
  expect(await recover(other.toUpperCase().replaceAll("-", ""))).toBe(200);
});

async function dashboard(cookie: string): Promise<{ closed: Promise<number> }> {
  const { webSocket } = await ask(`${config.appOrigin}/api/inbox`, { cookie, headers: { upgrade: "websocket" } });
  if (webSocket === null) throw new Error("no inbox");
  const closed = new Promise<number>((resolve) => webSocket.addEventListener("close", ({ code }) => resolve(code)));
  webSocket.accept();
  return { closed };
}

test("signing out ends this session and the dashboards of this session; everywhere ends all of them on every origin, and is remembered", async () => {
  const person = await newPerson();
  const [a, b, c] = [await person.cookie("app"), await person.cookie("app"), await person.cookie("approve")];
  const [first, second] = [await dashboard(a), await dashboard(b)];
  const me = async (cookie: string): Promise<number> => (await ask(`${config.appOrigin}/api/me`, { cookie })).status;
  expect((await ask(`${config.appOrigin}/api/sign-out`, { method: "POST", cookie: a, body: { everywhere: false } })).status).toBe(200);
  expect(await first.closed).toBe(4401);
  expect([await me(a), await me(b)]).toEqual([401, 200]);
  expect((await ask(`${config.appOrigin}/api/sign-out`, { method: "POST", cookie: b, body: { everywhere: true } })).status).toBe(200);
  expect(await second.closed).toBe(4401);
  expect([await me(b), (await ask(`${config.approveOrigin}/api/auth/me`, { cookie: c })).status]).toEqual([401, 401]);
  const events = await env.DB.prepare("SELECT action FROM audit_events WHERE account_id = ?").bind(person.id).all();
  expect(events.results).toEqual([{ action: "signed-out-everywhere" }]);
});

async function newEnrolment(cookie: string): Promise<{ status: number; code: string; enrolment: string; retryAfter: string | null }> {
  const answered = await ask(`${config.appOrigin}/api/gateways`, { method: "POST", cookie, body: { name: "Home" } });
  const { code = "", enrolment = "" }: { code?: string; enrolment?: string } = await answered.json();
  return { status: answered.status, code, enrolment, retryAfter: answered.headers.get("retry-after") };
}

async function redeem(code: string): Promise<{ status: number; text: string }> {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  const { x = "" } = (await crypto.subtle.exportKey("jwk", pair.publicKey)) as { x?: string };
  const key = { kty: "OKP", crv: "Ed25519", x } as const;
  const body = {
    code,
    key,
    commitment: await enrolmentCommitment(key, nonce32()),
    machine: { name: "box", platform: "linux" },
    version: "1",
  };
  const headers = { "content-type": "application/json", "cf-connecting-ip": randomAddress() };
  const request = new Request(`${config.appOrigin}/api/connector/redeem`, { method: "POST", headers, body: JSON.stringify(body) });
  const response = await handle(request, env);
  return { status: response.status, text: await response.text() };
}

test("[case 33] one enrolment code, sixty machines at once: one gets the ticket, the others the same answer", async () => {
  const { code } = await newEnrolment(await (await newPerson()).cookie("app"));
  const answers = await Promise.all(Array.from({ length: 60 }, () => redeem(code)));
  expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1);
  expect(new Set(answers.filter((answer) => answer.status !== 200).map((answer) => `${answer.status} ${answer.text}`)).size).toBe(1);
});

test("an enrolment code is good for ten minutes", async () => {
  const { code } = await newEnrolment(await (await newPerson()).cookie("app"));
  passTime(ENROLMENT_CODE_MS + 1);
  expect((await redeem(code)).status).toBe(410);
});

test("[case 34] five wrong secrets from five addresses: the code is dead for its owner, too, who is told; the answers do not differ", async () => {
  const person = await newPerson();
  const cookie = await person.cookie("app");
  const { code, enrolment } = await newEnrolment(cookie);
  const guess = (): string => wrongSecret(code);
  const answers = [];
  for (let i = 0; i < ENROLMENT_CODE_TRIES; i += 1) answers.push(await redeem(guess()));
  const own = await redeem(code);
  const unknown = await redeem(writeToken("c", crypto.getRandomValues(new Uint8Array(40))));
  for (const answer of [...answers, own]) expect(answer).toEqual(unknown);
  expect(unknown.status).toBe(410);
  expect(await (await ask(`${config.appOrigin}/api/enrolments/${enrolment}`, { cookie })).json()).toMatchObject({ state: "failed" });
  const events = await env.DB.prepare("SELECT action FROM audit_events WHERE account_id = ?").bind(person.id).all();
  expect(events.results).toEqual([{ action: "enrolment-code-guessed" }]);
});

test("[case 34] four wrong secrets and then the right one: it works", async () => {
  const { code } = await newEnrolment(await (await newPerson()).cookie("app"));
  for (let i = 0; i < ENROLMENT_CODE_TRIES - 1; i += 1) {
    expect((await redeem(wrongSecret(code))).status).toBe(410);
  }
  expect((await redeem(code)).status).toBe(200);
});

/** The right selector and mark with another secret: what only somebody who saw most of the code can send. */
function wrongSecret(code: string): string {
  const token = readToken(code, "c");
  const selector = base62Bytes(token?.selector ?? "", 8) ?? new Uint8Array();
  const secret = base62Bytes(token?.secret ?? "", 32) ?? new Uint8Array();
  return writeToken("c", Uint8Array.of(...selector, ...crypto.getRandomValues(new Uint8Array(28)), ...secret.subarray(28)));
}

test("[EN1] a code with a made-up secret reaches no ceremony: any number of tries leaves the right one good", async () => {
  const { code } = await newEnrolment(await (await newPerson()).cookie("app"));
  const selector = base62Bytes(readToken(code, "c")?.selector ?? "", 8) ?? new Uint8Array();
  for (let i = 0; i < ENROLMENT_CODE_TRIES * 2; i += 1)
    expect((await redeem(writeToken("c", Uint8Array.of(...selector, ...crypto.getRandomValues(new Uint8Array(32)))))).status).toBe(410);
  expect((await redeem(code)).status).toBe(200);
});

test("enrolment codes that no machine uses: ten an hour, then Retry-After, and no gateway is made for the eleventh", async () => {
  const cookie = await (await newPerson()).cookie("app");
  for (let i = 0; i < MAX_UNUSED_ENROLMENTS_PER_HOUR; i += 1) expect((await newEnrolment(cookie)).status).toBe(200);
  const more = await newEnrolment(cookie);
  expect([more.status, Number(more.retryAfter) > 0]).toEqual([429, true]);
  const listed: { gateways: unknown[] } = await (await ask(`${config.appOrigin}/api/gateways`, { cookie })).json();
  expect(listed.gateways).toHaveLength(MAX_UNUSED_ENROLMENTS_PER_HOUR);
  passTime(3_600_001);
  expect((await newEnrolment(cookie)).status).toBe(200);
});

test("[case 33] a claim link: of twenty accounts one claims the machine, and the others get no gateway", async () => {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  const { x = "" } = (await crypto.subtle.exportKey("jwk", pair.publicKey)) as { x?: string };
  const key = { kty: "OKP", crv: "Ed25519", x } as const;
  const body = { key, commitment: await enrolmentCommitment(key, nonce32()), machine: { name: "box", platform: "linux" }, version: "1" };
  const headers = { "content-type": "application/json", "cf-connecting-ip": randomAddress() };
  const started: { enrolment: string } = await (await handle(new Request(`${config.appOrigin}/api/connector/claims`, { method: "POST", headers, body: JSON.stringify(body) }), env)).json(); // prettier-ignore
  const people = await Promise.all(Array.from({ length: 20 }, () => newPerson()));
  const cookies = await Promise.all(people.map((person) => person.cookie("approve")));
  const claim = (cookie: string): Promise<Response> =>
    ask(`${config.approveOrigin}/api/enrolments/${started.enrolment}/claim`, { method: "POST", cookie, body: { name: "Home" } });
  const answers = await Promise.all(cookies.map(claim));
  expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1);
  // Nothing is made before the machine confirms.
  const lists = await Promise.all(people.map(async (person) => ((await (await ask(`${config.appOrigin}/api/gateways`, { cookie: await person.cookie("app") })).json<{ gateways: unknown[] }>())).gateways.length)); // prettier-ignore
  expect(lists).toEqual(Array.from({ length: 20 }, () => 0));
  const { person } = await newGateway();
  expect((await claim(await person.cookie("approve"))).status).toBe(404);
});
