/** Rotating the one secret: nobody is logged out, no device asks again, no gateway's name dies; and a secret that was dropped opens nothing. */
import { expect, test } from "vitest";
import { firstToken, judgeToken, recognised } from "../../src/core/trust/device-token-policy.ts";
import { currentSession, startSession } from "../../src/worker/auth/account-session.ts";
import { deviceTokenMacs, firstTokensOf, successorsOf } from "../../src/worker/auth/device-token.ts";
import { isGatewayId, mintGatewayId } from "../../src/worker/auth/gateway-id.ts";
import { issueCode, redeemCode } from "../../src/worker/auth/one-time-code.ts";
import { newRecoveryCodes, redeemRecoveryCode } from "../../src/worker/auth/recovery-code.ts";
import { openSessionCookie, sealSessionCookie } from "../../src/worker/auth/session-cookie.ts";
import { replaceRecoveryCodes } from "../../src/worker/db/account-queries.ts";
import type { Env } from "../../src/worker/env.ts";
import { env, newPerson } from "./world.ts";

const before = env;
const during: Env = { ...env, GATEHOUSE_SECRET: "bmV3LXNlY3JldC1mb3Itd29ya2VyZC10ZXN0cy0wMDA", GATEHOUSE_SECRET_OLD: env.GATEHOUSE_SECRET };
const after: Env = { ...env, GATEHOUSE_SECRET: during.GATEHOUSE_SECRET };

function withCookie(setCookie: string): Request {
  return new Request("http://localhost:8787/", { headers: { cookie: setCookie.split(";", 1)[0] ?? "" } });
}

test("an account session and a device session stay good while the old secret is live, and end with it", async () => {
  const person = await newPerson();
  const account = withCookie(await startSession(before, person.id, "app"));
  expect(await currentSession(during, account, "app")).toMatchObject({ account: person.id });
  expect(await currentSession(after, account, "app")).toBe(null);
  const nowMs = Date.now();
  const cookie = { session: "s".repeat(32), gateway: "g", device: "d", expiresAtMs: nowMs + 60_000 };
  const device = withCookie(await sealSessionCookie(before, cookie, nowMs));
  expect(await openSessionCookie(during, device, "g", nowMs)).toEqual(cookie);
  expect(await openSessionCookie(after, device, "g", nowMs)).toBe(null);
});

test("[SE4] a session cookie has one spelling: its seal covers the text, not what the text means", async () => {
  const nowMs = Date.now();
  const expiresAtMs = nowMs + 60_000;
  const sealed = await sealSessionCookie(env, { session: "s".repeat(32), gateway: "g", device: "d", expiresAtMs }, nowMs);
  const opens = (request: Request) => openSessionCookie(env, request, "g", nowMs);
  expect(await opens(withCookie(sealed))).toMatchObject({ expiresAtMs });
  for (const text of [
    `0x${expiresAtMs.toString(16)}`,
    `${expiresAtMs} `,
    ` ${expiresAtMs}`,
    `0${expiresAtMs}`,
    `${expiresAtMs}e0`,
    `+${expiresAtMs}`,
  ])
    expect([text, await opens(withCookie(sealed.replace(String(expiresAtMs), text)))]).toEqual([text, null]);
});

test("[TK1] a device's token of the old secret is known, and its successor is written under the new one", async () => {
  const [token = ""] = await firstTokensOf(before, "g", "d", "r");
  const [stored = ""] = await deviceTokenMacs(before, "g", "d", token);
  const state = firstToken(stored, 0);
  const macs = await deviceTokenMacs(during, "g", "d", token);
  expect(macs[0]).not.toBe(stored);
  expect(judgeToken(recognised(macs, state), state, 1)).toEqual({ verdict: "rotate" });
  const [successor = ""] = await successorsOf(during, token);
  const [kept = ""] = await deviceTokenMacs(during, "g", "d", successor);
  expect(await deviceTokenMacs(after, "g", "d", successor)).toEqual([kept]);
});

test("[TK2] a reply that was lost before the rotation gives the same successor after it", async () => {
  const [token = ""] = await firstTokensOf(before, "g", "d", "r");
  const [lost] = await successorsOf(before, token);
  expect(await successorsOf(during, token)).toContain(lost);
  expect(await successorsOf(after, token)).not.toContain(lost);
});

test("codes and recovery codes of the old secret work while it is live", async () => {
  const { code } = await issueCode(before, "invitation", { by: "x" }, 60_000);
  expect(await redeemCode(after, "invitation", code)).toBe(null);
  expect(await redeemCode(during, "invitation", code)).toMatchObject({ by: "x" });
  const person = await newPerson();
  const { codes, macs } = await newRecoveryCodes(before, person.id);
  await replaceRecoveryCodes(env.DB, person.id, macs);
  expect(await redeemRecoveryCode(after, codes[0] ?? "", 1)).toBe(null);
  expect(await redeemRecoveryCode(during, codes[0] ?? "", 1)).toBe(person.id);
});

test("a gateway's name outlives every rotation once its own secret is set apart", async () => {
  const id = await mintGatewayId(before, crypto.getRandomValues(new Uint8Array(10)));
  expect(await isGatewayId(during, id)).toBe(true);
  expect(await isGatewayId(after, id)).toBe(false);
  expect(await isGatewayId({ ...after, GATEHOUSE_ID_SECRET: before.GATEHOUSE_SECRET }, id)).toBe(true);
});
