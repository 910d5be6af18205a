/** One mechanism for everything that may be used once: nonces, hand-offs, invitations. */
import { TOKEN_RANDOM_BYTES, readToken, writeToken } from "../../core/trust/token.ts";
import type { TokenKind } from "../../core/trust/token.ts";
import { ENROLMENT_CODE_TRIES } from "../../protocol/limits.ts";
import { fromBase64url, toBase64url } from "../../protocol/statement-encoding.ts";
import type { Env } from "../env.ts";
import { codeByMac, consumeCode, countWrongTry, dropExpired, insertCode } from "../db/account-queries.ts";
import type { OneTimeKind } from "../db/account-queries.ts";
import { isTokenMac, tokenMacs } from "./token-macs.ts";

const LETTER: Readonly<Record<Exclude<OneTimeKind, "nonce">, TokenKind>> = { handoff: "o", invitation: "i" };

function random(bytes: number): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(bytes));
}

/** What is stored beside a code: its payload, sealed to its row, so that a writer of D1 cannot make a code speak for another account. */
interface StoredPayload {
  readonly text: string;
  readonly seal: string;
}

/** What the seal of a payload covers. */
function sealed(kind: OneTimeKind, selector: string, text: string): readonly string[] {
  return ["payload", kind, selector, text];
}

/** @returns the payload as it was issued, or null when its row was changed by hand */
async function openPayload(env: Env, kind: OneTimeKind, selector: string, stored: string): Promise<unknown> {
  const { text, seal } = JSON.parse(stored) as Partial<StoredPayload>;
  if (typeof text !== "string" || typeof seal !== "string") return null;
  const isOurs = await isTokenMac(env, "one-time-code", sealed(kind, selector, text), seal);
  return isOurs ? (JSON.parse(text) as unknown) : null;
}

/** @returns a code that is stored only as a MAC; `payload` comes back to whoever redeems it */
export async function issueCode(
  env: Env,
  kind: Exclude<OneTimeKind, "nonce">,
  payload: object,
  lifeMs: number,
): Promise<{ code: string; expiresAtMs: number }> {
  const code = writeToken(LETTER[kind], random(TOKEN_RANDOM_BYTES));
  const token = readToken(code, LETTER[kind]);
  const expiresAtMs = Date.now() + lifeMs;
  const [tag] = await tokenMacs(env, "one-time-code", [kind, code]);
  const selector = token?.selector ?? "";
  const text = JSON.stringify(payload);
  const [seal] = await tokenMacs(env, "one-time-code", sealed(kind, selector, text));
  await insertCode(env.DB, {
    selector,
    kind,
    mac: tag,
    payload: JSON.stringify({ text, seal } satisfies StoredPayload),
    expiresAtMs,
    consumedAtMs: null,
  });
  return { code, expiresAtMs };
}

/**
 * Redeems a code. Wrong secrets end it (`ENROLMENT_CODE_TRIES`).
 *
 * @returns the payload for the one caller that redeems the code in time; null for everybody else, whatever the reason
 */
export async function redeemCode(env: Env, kind: Exclude<OneTimeKind, "nonce">, code: string): Promise<unknown> {
  const token = readToken(code, LETTER[kind]);
  if (token === null) return null;
  const nowMs = Date.now();
  let tag = "";
  for (tag of await tokenMacs(env, "one-time-code", [kind, code.trim()])) {
    const payload = await consumeCode(env.DB, { selector: token.selector, kind, mac: tag, nowMs });
    if (payload !== null) return openPayload(env, kind, token.selector, payload);
  }
  await countWrongTry(env.DB, { selector: token.selector, kind, mac: tag, maxTries: ENROLMENT_CODE_TRIES, nowMs });
  return null;
}

/**
 * Looks at a code without using it up.
 *
 * @returns its payload, and whether somebody has used it; null for a code that is wrong or too old
 */
export async function readCode(
  env: Env,
  kind: Exclude<OneTimeKind, "nonce">,
  code: string,
): Promise<{ readonly payload: unknown; readonly isUsed: boolean } | null> {
  const token = readToken(code, LETTER[kind]);
  if (token === null) return null;
  for (const mac of await tokenMacs(env, "one-time-code", [kind, code.trim()])) {
    const row = await codeByMac(env.DB, { selector: token.selector, kind, mac, nowMs: Date.now() });
    if (row !== null) return { payload: await openPayload(env, kind, token.selector, row.payload), isUsed: row.consumedAtMs !== null };
  }
  return null;
}

/** @returns 32 random bytes, base64url, good for one sign-in or registration */
export async function issueNonce(env: Env, lifeMs: number): Promise<string> {
  const nonce = toBase64url(random(32));
  await dropExpired(env.DB, Date.now());
  await insertCode(env.DB, {
    selector: nonce,
    kind: "nonce",
    mac: nonce,
    payload: "{}",
    expiresAtMs: Date.now() + lifeMs,
    consumedAtMs: null,
  });
  return nonce;
}

/** @returns the nonce's bytes for the one caller that uses it, else null */
export async function useNonce(env: Env, nonce: string): Promise<Uint8Array<ArrayBuffer> | null> {
  const payload = await consumeCode(env.DB, { selector: nonce, kind: "nonce", mac: nonce, nowMs: Date.now() });
  return payload === null ? null : fromBase64url(nonce);
}
