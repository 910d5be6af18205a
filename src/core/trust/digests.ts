/** Ids and codes that follow from keys and nonces, so that every end computes the same ones. */
import { MATCH_CODE_DIGITS } from "../../protocol/limits.ts";
import { joined, tagged, toBase64url, utf8 } from "../../protocol/statement-encoding.ts";
import type { StatementType } from "../../protocol/statement-encoding.ts";
import type { Access } from "../../protocol/words.ts";

const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";
const DIGEST_ID_CHARS = 26;

/** A public key in JWK form with its members in schema order, as `JSON.stringify` writes them. */
type KeyLike = Readonly<Record<string, string>>;

/** @returns lower-case base32 (RFC 4648 §6 alphabet) without padding */
export function toBase32(bytes: Uint8Array): string {
  let out = "";
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += BASE32[(value >>> bits) & 31] ?? "";
    }
    value &= (1 << bits) - 1;
  }
  if (bits > 0) out += BASE32[(value << (5 - bits)) & 31] ?? "";
  return out;
}

/** @returns the bytes, or null when `text` is not exactly what `toBase32` writes for them */
export function fromBase32(text: string): Uint8Array<ArrayBuffer> | null {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8));
  let bits = 0;
  let value = 0;
  let at = 0;
  for (const char of text) {
    const digit = BASE32.indexOf(char);
    if (digit === -1) return null;
    value = (value << 5) | digit;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at] = value >>> bits;
    at += 1;
    value &= (1 << bits) - 1;
  }
  return toBase32(bytes) === text ? bytes : null;
}

/** @returns SHA-256 (FIPS 180-4), 32 bytes */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

async function digestId(type: StatementType, fields: readonly string[]): Promise<string> {
  return toBase32(await sha256(tagged(type, joined(fields)))).slice(0, DIGEST_ID_CHARS);
}

/**
 * The one text form of a public key: members in the order kty, crv, x, y, n, e.
 *
 * @param key a key that already passed its schema
 */
export function keyText(key: KeyLike): string {
  const ordered: Record<string, string> = {};
  for (const member of ["kty", "crv", "x", "y", "n", "e"]) {
    const value = key[member];
    if (value !== undefined) ordered[member] = value;
  }
  return JSON.stringify(ordered);
}

/** @returns base64url SHA-256 of the key's text form: how a connector key is named in session statements */
export async function keyThumbprint(key: KeyLike): Promise<string> {
  return toBase64url(await sha256(utf8(keyText(key))));
}

/** Device id: the same key at two gateways gives two ids. PROTOCOL.md ID1. */
export function deviceId(gateway: string, key: KeyLike): Promise<string> {
  return digestId("device", [gateway, keyText(key)]);
}

/** Request id: any change of key, access or nonce makes another request and voids an approval in flight. PROTOCOL.md ID2. */
export function requestId(gateway: string, key: KeyLike, access: Access, roomNonce: string): Promise<string> {
  return digestId("request", [gateway, keyText(key), access, roomNonce]);
}

/** Grant id: digest of the exact signed bytes. PROTOCOL.md ID3. */
export async function grantId(statement: Uint8Array<ArrayBuffer>): Promise<string> {
  return toBase32(await sha256(tagged("grant", statement))).slice(0, DIGEST_ID_CHARS);
}

/** @returns base64url SHA-256 of an activation code, as it stands in the grant */
export async function activationHash(code: string): Promise<string> {
  return toBase64url(await sha256(utf8(code)));
}

/**
 * The four digits that the device shows and the owner types. The room draws the nonce after it has seen the key, so a device
 * cannot grind a key towards a wanted code.
 *
 * @see PROTOCOL.md MC1
 */
export async function matchCode(gateway: string, key: KeyLike, roomNonce: string): Promise<string> {
  const hash = await sha256(tagged("match", joined([gateway, keyText(key), roomNonce])));
  const value = new DataView(hash.buffer).getBigUint64(0) % BigInt(10 ** MATCH_CODE_DIGITS);
  return value.toString().padStart(MATCH_CODE_DIGITS, "0");
}
