/** Recovery codes: five groups of four letters and digits, easy to write down, 100 bits, kept as MACs. */
import { toBase32 } from "../../core/digests.ts";
import { RECOVERY_CODE_COUNT } from "../../protocol/limits.ts";
import { joined, toBase64url } from "../../protocol/statement-encoding.ts";
import type { Env } from "../env.ts";
import { mac, signingKey } from "./mac-keys.ts";

const CHARS = 20;

function normalized(code: string): string {
  return code.toLowerCase().replace(/[^a-z2-7]/g, "");
}

/** @returns what D1 keeps of a code */
export async function recoveryCodeMac(env: Env, code: string): Promise<string> {
  return toBase64url(await mac(await signingKey(env, "recovery-code"), joined([normalized(code)])));
}

/** @returns ten new codes for the person, and their MACs for D1 */
export async function newRecoveryCodes(env: Env): Promise<{ codes: string[]; macs: string[] }> {
  const codes = Array.from({ length: RECOVERY_CODE_COUNT }, () => {
    const text = toBase32(crypto.getRandomValues(new Uint8Array(13))).slice(0, CHARS);
    return (text.match(/.{4}/g) ?? []).join("-");
  });
  return { codes, macs: await Promise.all(codes.map((code) => recoveryCodeMac(env, code))) };
}
