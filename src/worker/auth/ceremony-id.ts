/** Names of enrolment ceremonies: random bits and a MAC, as gateway ids, so that a guess dies in the Worker before any object is asked. */
import { base62Bytes, TOKEN_RANDOM_BYTES, readToken, writeToken } from "../../core/trust/token.ts";
import { toBase32 } from "../../core/trust/digests.ts";
import { joined, utf8 } from "../../protocol/statement-encoding.ts";
import type { Env } from "../env.ts";
import { mac, signingKey, verifyingKeys } from "./mac-keys.ts";
import type { MacKey } from "./mac-keys.ts";
import { isSameText } from "./session-cookie.ts";

const RANDOM_BYTES = 8;
const ID_CHARS = 20; // 64 random bits and 35 bits of MAC
const RANDOM_CHARS = 13;
/** Of a code's secret: random bytes, then the MAC that names its ceremony as one of ours. */
const CODE_RANDOM_BYTES = 28;
const CODE_MAC_BYTES = 4;

async function nameOf(key: MacKey, random: Uint8Array): Promise<string> {
  const body = toBase32(random);
  return body + toBase32(await mac(key, utf8(body))).slice(0, ID_CHARS - RANDOM_CHARS);
}

async function codeMac(key: MacKey, random: Uint8Array): Promise<Uint8Array> {
  return (await mac(key, joined(["code", random]))).subarray(0, CODE_MAC_BYTES);
}

/** @returns the id of a new ceremony that a claim link names */
export async function mintCeremonyId(env: Env): Promise<string> {
  return nameOf(await signingKey(env, "ceremony"), crypto.getRandomValues(new Uint8Array(RANDOM_BYTES)));
}

/** @returns a new enrolment code with the id of its ceremony, which follows from the code's selector */
export async function mintEnrolmentCode(env: Env): Promise<{ readonly id: string; readonly code: string }> {
  const key = await signingKey(env, "ceremony");
  const bytes = crypto.getRandomValues(new Uint8Array(TOKEN_RANDOM_BYTES));
  const random = bytes.subarray(0, RANDOM_BYTES);
  bytes.set(await codeMac(key, random), RANDOM_BYTES + CODE_RANDOM_BYTES);
  return { id: await nameOf(key, random), code: writeToken("c", bytes) };
}

/** @returns whether `id` was made here with a live secret. No I/O. */
export async function isCeremonyId(env: Env, id: string): Promise<boolean> {
  if (!/^[a-z2-7]{20}$/.test(id)) return false;
  const body = id.slice(0, RANDOM_CHARS);
  for (const key of await verifyingKeys(env, "ceremony"))
    if (isSameText(body + toBase32(await mac(key, utf8(body))).slice(0, ID_CHARS - RANDOM_CHARS), id)) return true;
  return false;
}

/** @returns the ceremony that a code belongs to, or null for a text that is no code of ours. No I/O; the object judges the secret. */
export async function ceremonyOfCode(env: Env, code: string): Promise<string | null> {
  const token = readToken(code, "c");
  const random = token === null ? null : base62Bytes(token.selector, RANDOM_BYTES);
  const secret = token === null ? null : base62Bytes(token.secret, CODE_RANDOM_BYTES + CODE_MAC_BYTES);
  if (random === null || secret === null) return null;
  const shown = toBase32(secret.subarray(CODE_RANDOM_BYTES));
  for (const key of await verifyingKeys(env, "ceremony"))
    if (isSameText(toBase32(await codeMac(key, random)), shown)) return nameOf(key, random);
  return null;
}
