/** Recovery codes: five groups of four letters and digits, easy to write down, 100 bits, kept as MACs. */
import { toBase32 } from "../../core/trust/digests.ts";
import { RECOVERY_CODE_COUNT } from "../../protocol/limits.ts";
import type { Env } from "../env.ts";
import { consumeRecoveryCode, recoveryCodeByLookup } from "../db/account-queries.ts";
import { isTokenMac, tokenMacs } from "./token-macs.ts";

const CHARS = 20;

function normalized(code: string): string {
  return code.toLowerCase().replace(/[^a-z2-7]/g, "");
}

/** @returns what D1 keeps of a code: a MAC that finds it and one that names its account, so that a row moved elsewhere opens nothing */
async function stored(env: Env, account: string, code: string): Promise<string> {
  const [lookup] = await tokenMacs(env, "recovery-code", [normalized(code)]);
  const [bound] = await tokenMacs(env, "recovery-code", [account, normalized(code)]);
  return `${lookup}.${bound}`;
}

/** @returns ten new codes for the person, and their MACs for D1 */
export async function newRecoveryCodes(env: Env, account: string): Promise<{ codes: string[]; macs: string[] }> {
  const codes = Array.from({ length: RECOVERY_CODE_COUNT }, () => {
    const text = toBase32(crypto.getRandomValues(new Uint8Array(13))).slice(0, CHARS);
    return (text.match(/.{4}/g) ?? []).join("-");
  });
  return { codes, macs: await Promise.all(codes.map(async (code) => stored(env, account, code))) };
}

/** @returns the account that the unused code was made for, once; else null */
export async function redeemRecoveryCode(env: Env, code: string, nowMs: number): Promise<string | null> {
  // What cannot be one costs no look into D1.
  if (normalized(code).length !== CHARS) return null;
  for (const lookup of await tokenMacs(env, "recovery-code", [normalized(code)])) {
    const row = await recoveryCodeByLookup(env.DB, lookup);
    const bound = row?.mac.startsWith(`${lookup}.`) === true ? row.mac.slice(lookup.length + 1) : "";
    if (row === null || !(await isTokenMac(env, "recovery-code", [row.accountId, normalized(code)], bound))) continue;
    return consumeRecoveryCode(env.DB, row.mac, nowMs);
  }
  return null;
}
