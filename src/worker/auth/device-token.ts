/** Device tokens (`gthd_`): minted, turned into their successor, and kept only as MACs. */
import { TOKEN_RANDOM_BYTES, readToken, writeToken } from "../../core/token.ts";
import { joined, toBase64url } from "../../protocol/statement-encoding.ts";
import { DEVICE_TOKEN_COOKIE } from "../../protocol/words.ts";
import type { Env } from "../env.ts";
import { mac, verifyingKeys } from "./mac-keys.ts";
import type { MacKey } from "./mac-keys.ts";

/** @returns a new token for a device's first session */
export function mintDeviceToken(): string {
  return writeToken("d", crypto.getRandomValues(new Uint8Array(TOKEN_RANDOM_BYTES)));
}

async function successorUnder(key: MacKey, token: string): Promise<string> {
  const first = await mac(key, joined(["successor 1", token]));
  const second = await mac(key, joined(["successor 2", token]));
  const random = new Uint8Array(TOKEN_RANDOM_BYTES);
  random.set(first.subarray(0, 32));
  random.set(second.subarray(0, TOKEN_RANDOM_BYTES - 32), 32);
  return writeToken("d", random);
}

/**
 * The one successor of a token: derived, so that a device whose reply got lost receives the very same one (PROTOCOL.md TK2)
 * although nobody stores it. One for each live secret, the newest first: a secret may have been rotated between the two replies.
 */
export async function successorsOf(env: Env, token: string): Promise<readonly [string, ...string[]]> {
  const [newest, ...older] = await verifyingKeys(env, "device-token");
  if (newest === undefined) throw new TypeError("no secret");
  return [await successorUnder(newest, token), ...(await Promise.all(older.map((key) => successorUnder(key, token))))];
}

/**
 * What is stored of a token, under each live secret, the newest first: the first is written, any is recognised.
 *
 * @returns base64url HMACs over gateway, device and token; empty for anything that is no device token
 */
export async function deviceTokenMacs(env: Env, gateway: string, device: string, token: string): Promise<readonly string[]> {
  if (readToken(token, "d") === null) return [];
  const covered = joined(["stored", gateway, device, token]);
  return Promise.all((await verifyingKeys(env, "device-token")).map(async (key) => toBase64url(await mac(key, covered))));
}

/** @param maxAgeSeconds until the grant ends */
export function deviceTokenCookie(token: string, maxAgeSeconds: number): string {
  return `${DEVICE_TOKEN_COOKIE}=${token}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=${maxAgeSeconds}`;
}
