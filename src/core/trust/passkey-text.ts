/** A passkey's public half as one word that a person carries from the account page to the gateway's machine, and the words to compare there. */
import { PASSKEY_TEXT_KEYS, encodeBody, fromBase64url, joined, tagged, toBase64url } from "../../protocol/statement-encoding.ts";
import type { OwnerKey } from "../../protocol/statements.ts";
import { WORDS } from "./check-words.ts";
import { keyText, sha256 } from "./digests.ts";
import { isSoundKey } from "./public-key.ts";

const PREFIX = "passkey-";
/** Twelve of 32 words, 60 bits: nobody commits to a key here, so that whoever can swap it may also try many. */
const WORD_COUNT = 12;

/** @returns the word for `gatehouse owners add` */
export function writePasskey({ credentialId, key }: OwnerKey): string {
  return PREFIX + toBase64url(encodeBody({ v: 1, credentialId, key }, PASSKEY_TEXT_KEYS));
}

/**
 * @param text what somebody pasted
 * @param parse the strict schema of a passkey's public half; null for anything else
 * @returns null for anything that `writePasskey` does not write, and for keys that nobody may use
 */
export function readPasskey(text: string, parse: (value: unknown) => OwnerKey | null): OwnerKey | null {
  const bytes = text.startsWith(PREFIX) ? fromBase64url(text.slice(PREFIX.length)) : null;
  if (bytes === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { credentialId, key } = value as Record<string, unknown>;
  const passkey = parse({ credentialId, key });
  return passkey !== null && isSoundKey(passkey.key) && writePasskey(passkey) === text ? passkey : null;
}

/** Twelve words that page and terminal must share. @returns joined with single spaces */
export async function passkeyWords({ credentialId, key }: OwnerKey): Promise<string> {
  const hash = await sha256(tagged("words", joined(["passkey", credentialId, keyText(key)])));
  return Array.from({ length: WORD_COUNT }, (_, i) => WORDS[(hash[i] ?? 0) & 31] ?? "").join(" ");
}
