/** Recovery codes: five groups of four letters and digits, easy to write down, 100 bits, kept as MACs. */
import { toBase32 } from "../../core/digests.ts";
import { RECOVERY_CODE_COUNT } from "../../protocol/limits.ts";
import type { Env } from "../env.ts";
import { tokenMacs } from "./token-macs.ts";

const CHARS = 20;

function normalized(code: string): string {
  return code.toLowerCase().replace(/[^a-z2-7]/g, "");
}

/** @returns what D1 may keep of a code: its MAC under each live secret, the newest first */
export async function recoveryCodeMacs(env: Env, code: string): Promise<readonly string[]> {
  return tokenMacs(env, "recovery-code", [normalized(code)]);
}

/** @returns ten new codes for the person, and their MACs for D1 */
export async function newRecoveryCodes(env: Env): Promise<{ codes: string[]; macs: string[] }> {
  const codes = Array.from({ length: RECOVERY_CODE_COUNT }, () => {
    const text = toBase32(crypto.getRandomValues(new Uint8Array(13))).slice(0, CHARS);
    return (text.match(/.{4}/g) ?? []).join("-");
  });
  return { codes, macs: await Promise.all(codes.map(async (code) => (await recoveryCodeMacs(env, code))[0] ?? "")) };
}
