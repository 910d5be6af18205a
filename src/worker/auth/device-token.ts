/** Device tokens (`gthd_`): minted, turned into their successor, and kept only as MACs. */
import { TOKEN_RANDOM_BYTES, readToken, writeToken } from "../../core/trust/token.ts";
import { joined } from "../../protocol/statement-encoding.ts";
import { DEVICE_TOKEN_COOKIE } from "../../protocol/words.ts";
import type { Env } from "../env.ts";
import { mac, verifyingKeys } from "./mac-keys.ts";
import { tokenMacs } from "./token-macs.ts";

/** One token for each live secret, the newest first: a secret may be rotated between two replies that must give the same token. */
async function derived(env: Env, from: readonly string[]): Promise<readonly string[]> {
  const keys = await verifyingKeys(env, "device-token");
  return Promise.all(
    keys.map(async (key) => {
      const first = await mac(key, joined([`${from[0] ?? ""} 1`, ...from.slice(1)]));
      const second = await mac(key, joined([`${from[0] ?? ""} 2`, ...from.slice(1)]));
      const random = new Uint8Array(TOKEN_RANDOM_BYTES);
      random.set(first.subarray(0, 32));
      random.set(second.subarray(0, TOKEN_RANDOM_BYTES - 32), 32);
      return writeToken("d", random);
    }),
  );
}

/** The token of a grant's first session: derived, so that two pages which open it side by side receive the same one. @see successorsOf */
export function firstTokensOf(env: Env, gateway: string, device: string, grant: string): Promise<readonly string[]> {
  return derived(env, ["first", gateway, device, grant]);
}

/**
 * The one successor of a token: derived, so that a device whose reply got lost receives the very same one (PROTOCOL.md TK2)
 * although nobody stores it. One for each live secret, the newest first.
 */
export function successorsOf(env: Env, token: string): Promise<readonly string[]> {
  return derived(env, ["successor", token]);
}

/**
 * What is stored of a token, under each live secret, the newest first: the first is written, any is recognised.
 *
 * @returns base64url HMACs over gateway, device and token; empty for anything that is no device token
 */
export async function deviceTokenMacs(env: Env, gateway: string, device: string, token: string): Promise<readonly string[]> {
  if (readToken(token, "d") === null) return [];
  return tokenMacs(env, "device-token", ["stored", gateway, device, token]);
}

/** @param maxAgeSeconds until the grant ends */
export function deviceTokenCookie(token: string, maxAgeSeconds: number): string {
  return `${DEVICE_TOKEN_COOKIE}=${token}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=${maxAgeSeconds}`;
}
