/** A room's nonces for sessions: self-checking, so that handing one out stores nothing and no flood of visitors can use them up. */
import { fromBase64url, joined, toBase64url } from "../../protocol/statement-encoding.ts";
import type { Env } from "../env.ts";
import { mac, signingKey, verifyingKeys } from "./mac-keys.ts";
import type { MacKey } from "./mac-keys.ts";

const RANDOM_BYTES = 10;
const TIME_BYTES = 6;
const TAG_BYTES = 16;
const BODY_BYTES = RANDOM_BYTES + TIME_BYTES;

async function tag(key: MacKey, gateway: string, body: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  return (await mac(key, joined([gateway, toBase64url(body)]))).slice(0, TAG_BYTES);
}

/** @param random 10 fresh random bytes @returns 32 bytes, base64url: good at this gateway until `expiresAtMs` */
export async function mintRoomNonce(env: Env, gateway: string, random: Uint8Array, expiresAtMs: number): Promise<string> {
  const nonce = new Uint8Array(BODY_BYTES + TAG_BYTES);
  nonce.set(random.subarray(0, RANDOM_BYTES));
  const view = new DataView(nonce.buffer);
  view.setUint16(RANDOM_BYTES, Math.floor(expiresAtMs / 2 ** 32));
  view.setUint32(RANDOM_BYTES + 2, expiresAtMs % 2 ** 32);
  nonce.set(await tag(await signingKey(env, "room-nonce"), gateway, nonce.subarray(0, BODY_BYTES)), BODY_BYTES);
  return toBase64url(nonce);
}

/** @returns when the nonce ends, in ms, or null when this gateway's room did not make it or it is over. Whether it was used is the caller's. */
export async function readRoomNonce(env: Env, gateway: string, nonce: string, nowMs: number): Promise<number | null> {
  const bytes = fromBase64url(nonce);
  if (bytes === null || bytes.byteLength !== BODY_BYTES + TAG_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const expiresAtMs = view.getUint16(RANDOM_BYTES) * 2 ** 32 + view.getUint32(RANDOM_BYTES + 2);
  if (expiresAtMs <= nowMs) return null;
  for (const key of await verifyingKeys(env, "room-nonce")) {
    const expected = await tag(key, gateway, bytes.subarray(0, BODY_BYTES));
    if (crypto.subtle.timingSafeEqual(expected, bytes.subarray(BODY_BYTES))) return expiresAtMs;
  }
  return null;
}
