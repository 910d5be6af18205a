/** The one way in which secrets of ours are kept and recognised: as MACs, under the newest secret when written, under any live one when shown. */
import { joined, toBase64url } from "../../protocol/statement-encoding.ts";
import type { Env } from "../env.ts";
import { mac, verifyingKeys } from "./mac-keys.ts";
import type { MacPurpose } from "./mac-keys.ts";
import { isSameText } from "./session-cookie.ts";

/**
 * @param covered everything that the token is good for, and the token itself: a row that is moved elsewhere fits nothing there
 * @returns base64url HMACs under each live secret, the newest first: that one is stored, any is recognised
 */
export async function tokenMacs(env: Env, purpose: MacPurpose, covered: readonly string[]): Promise<readonly [string, ...string[]]> {
  const bytes = joined(covered);
  const [newest = "", ...older] = await Promise.all(
    (await verifyingKeys(env, purpose)).map(async (key) => toBase64url(await mac(key, bytes))),
  );
  return [newest, ...older];
}

/** @returns whether a stored MAC is that of what was shown; in constant time for each live secret */
export async function isTokenMac(env: Env, purpose: MacPurpose, covered: readonly string[], stored: string): Promise<boolean> {
  let isKnown = false;
  for (const each of await tokenMacs(env, purpose, covered)) isKnown = isSameText(stored, each) || isKnown;
  return isKnown;
}
