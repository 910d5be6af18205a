/** Device tokens (`gthd_`): minted, turned into their successor, and kept only as MACs. */
import { TOKEN_RANDOM_BYTES, readToken, writeToken } from "../../core/token.ts";
import { joined, toBase64url } from "../../protocol/statement-encoding.ts";
import { DEVICE_TOKEN_COOKIE } from "../../protocol/words.ts";
import type { Env } from "../env.ts";
import { mac, signingKey } from "./mac-keys.ts";

async function derived(env: Env, from: readonly string[]): Promise<string> {
  const key = await signingKey(env, "device-token");
  const first = await mac(key, joined([`${from[0] ?? ""} 1`, ...from.slice(1)]));
  const second = await mac(key, joined([`${from[0] ?? ""} 2`, ...from.slice(1)]));
  const random = new Uint8Array(TOKEN_RANDOM_BYTES);
  random.set(first.subarray(0, 32));
  random.set(second.subarray(0, TOKEN_RANDOM_BYTES - 32), 32);
  return writeToken("d", random);
}

/** The token of a grant's first session: derived, so that two pages which open it side by side receive the same one. */
export function firstTokenOf(env: Env, gateway: string, device: string, grant: string): Promise<string> {
  return derived(env, ["first", gateway, device, grant]);
}

/**
 * The one successor of a token: derived, so that a device whose reply got lost receives the very same one (PROTOCOL.md TK2)
 * although nobody stores it.
 */
export function successorOf(env: Env, token: string): Promise<string> {
  return derived(env, ["successor", token]);
}

/** @returns base64url HMAC over gateway, device and token: what is stored; null for anything that is no device token */
export async function deviceTokenMac(env: Env, gateway: string, device: string, token: string): Promise<string | null> {
  if (readToken(token, "d") === null) return null;
  return toBase64url(await mac(await signingKey(env, "device-token"), joined(["stored", gateway, device, token])));
}

/** @param maxAgeSeconds until the grant ends */
export function deviceTokenCookie(token: string, maxAgeSeconds: number): string {
  return `${DEVICE_TOKEN_COOKIE}=${token}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=${maxAgeSeconds}`;
}
