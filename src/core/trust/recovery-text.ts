/** The recovery key as it is written down: letters and digits in nine groups of four, with a checksum, so that a slip of the pen is noticed. */
import { joined, tagged } from "../../protocol/statement-encoding.ts";
import { fromBase32, sha256, toBase32 } from "./digests.ts";

/** 160 random bits: 32 of the 36 characters. */
export const RECOVERY_BYTES = 20;
const CHECK_CHARS = 4;
const GROUP = /.{4}/g;

async function derived(purpose: "seed" | "check", secret: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return sha256(tagged("recovery-seed", joined([purpose, secret])));
}

async function checkOf(secret: Uint8Array<ArrayBuffer>): Promise<string> {
  return toBase32(await derived("check", secret)).slice(0, CHECK_CHARS);
}

/**
 * @param secret RECOVERY_BYTES random bytes
 * @returns what its owner writes down
 */
export async function writeRecoveryText(secret: Uint8Array<ArrayBuffer>): Promise<string> {
  return ((toBase32(secret) + (await checkOf(secret))).match(GROUP) ?? []).join("-");
}

/**
 * @param typed as somebody copied it from paper: case, spaces and hyphens do not matter
 * @returns the secret, or null when a character is missing, wrong or in the wrong place
 */
export async function readRecoveryText(typed: string): Promise<Uint8Array<ArrayBuffer> | null> {
  const text = typed.toLowerCase().replace(/[\s-]/g, "");
  const secret = fromBase32(text.slice(0, -CHECK_CHARS));
  if (secret === null || secret.byteLength !== RECOVERY_BYTES) return null;
  return text.slice(-CHECK_CHARS) === (await checkOf(secret)) ? secret : null;
}

/** @returns the Ed25519 seed (RFC 8032 §5.1.5) of a recovery key, 32 bytes */
export function recoverySeed(secret: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return derived("seed", secret);
}
