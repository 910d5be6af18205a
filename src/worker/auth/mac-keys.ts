/** HMAC keys, one per purpose, derived from the one secret; old secret still verifies while it is being rotated out. */
import { readServerSecret } from "../../core/trust/server-secret.ts";
import { utf8 } from "../../protocol/statement-encoding.ts";
import { ConfigError } from "../config.ts";
import type { Env } from "../env.ts";

/** One key per purpose (reference: security.md 4): a MAC made for one never serves another. */
export type MacPurpose =
  | "gateway-id"
  | "ceremony"
  | "passkey-seal"
  | "recovery-key-seal"
  | "room-nonce"
  | "session-cookie"
  | "device-token"
  | "one-time-code"
  | "account-session"
  | "account-session-tag"
  | "api-token"
  | "recovery-code"
  | "log-id";

export interface MacKey {
  /** Names the secret a stored MAC was made with. */
  readonly kid: string;
  readonly key: CryptoKey;
}

const cache = new Map<string, Promise<MacKey>>();

function hkdf(info: string) {
  return { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info: utf8(`gatehouse/${info}`) };
}

async function derive(secret: string, purpose: MacPurpose): Promise<MacKey> {
  const bytes = readServerSecret(secret);
  // HKDF takes an empty key, too, and whoever knows that could make every MAC at home.
  if (typeof bytes === "string") throw new ConfigError(`secret-${bytes}`);
  const root = await crypto.subtle.importKey("raw", bytes, "HKDF", false, ["deriveBits", "deriveKey"]);
  const kidBits = new Uint8Array(await crypto.subtle.deriveBits(hkdf("kid"), root, 32));
  const key = await crypto.subtle.deriveKey(hkdf(purpose), root, { name: "HMAC", hash: "SHA-256", length: 256 }, false, ["sign", "verify"]);
  return { kid: [...kidBits].map((byte) => byte.toString(16).padStart(2, "0")).join(""), key };
}

function cached(secret: string, purpose: MacPurpose): Promise<MacKey> {
  const name = `${purpose} ${secret}`;
  let key = cache.get(name);
  if (key === undefined) {
    key = derive(secret, purpose);
    cache.set(name, key);
  }
  return key;
}

function secretsFor(env: Env, purpose: MacPurpose): readonly [string, ...string[]] {
  // What lives as long as the deployment cannot hang on a secret that rotates.
  const isLasting = purpose === "gateway-id" || purpose === "passkey-seal" || purpose === "recovery-key-seal";
  if (isLasting && env.GATEHOUSE_ID_SECRET !== undefined) return [env.GATEHOUSE_ID_SECRET];
  return env.GATEHOUSE_SECRET_OLD === undefined ? [env.GATEHOUSE_SECRET] : [env.GATEHOUSE_SECRET, env.GATEHOUSE_SECRET_OLD];
}

/** The key that makes new MACs. */
export function signingKey(env: Env, purpose: MacPurpose): Promise<MacKey> {
  return cached(secretsFor(env, purpose)[0], purpose);
}

/** Every key that may verify, newest first: one or two. */
export async function verifyingKeys(env: Env, purpose: MacPurpose): Promise<readonly MacKey[]> {
  return Promise.all(secretsFor(env, purpose).map((secret) => cached(secret, purpose)));
}

/** @returns HMAC-SHA-256 (RFC 2104), 32 bytes */
export async function mac(key: MacKey, data: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.sign("HMAC", key.key, data));
}
