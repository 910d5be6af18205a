/** Public keys that pass every pattern and must be refused all the same (fault case 32). */
import { toBase64url } from "../../src/protocol/statement-encoding.ts";
import type { ConnectorKey, DeviceKey } from "../../src/protocol/statements.ts";

function littleEndian(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));
}

function bigEndian(value: bigint): Uint8Array {
  return littleEndian(value).toReversed();
}

const ED25519_P = 2n ** 255n - 19n;
const P256_P = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
/** The generator of P-256 (SP 800-186 3.2.1.3). */
const G = {
  x: 0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
  y: 0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
};

function ed(x: string): ConnectorKey {
  return { kty: "OKP", crv: "Ed25519", x };
}

function p256(x: bigint, y: bigint): DeviceKey {
  return { kty: "EC", crv: "P-256", x: toBase64url(bigEndian(x)), y: toBase64url(bigEndian(y)) };
}

/** The same bytes in another spelling: the last digit's two unused bits are set. */
function otherSpelling(text: string): string {
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return text.slice(0, -1) + (digits[digits.indexOf(text.slice(-1)) | 1] ?? "");
}

const SOUND_X = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
/** One key of each kind that is fine, so that a door which refuses everything is noticed. */
export const SOUND_KEYS = [ed(SOUND_X), p256(G.x, G.y)] as const;

/** What and key. */
export const BAD_ED25519: readonly (readonly [what: string, key: ConnectorKey])[] = [
  ["the identity", ed(toBase64url(littleEndian(1n)))],
  ["order 2", ed(toBase64url(littleEndian(ED25519_P - 1n)))],
  ["order 4", ed(toBase64url(littleEndian(0n)))],
  ["order 8", ed(toBase64url(littleEndian(2707385501144840649318225287225658788936804267575313519463743609750303402022n)))],
  ["order 8, the other", ed(toBase64url(littleEndian(55188659117513257062467267217118295137698188065244968500265048394206261417927n)))],
  ["order 4 with the sign bit", ed(toBase64url(littleEndian(2n ** 255n)))],
  ["y above p", ed(toBase64url(littleEndian(ED25519_P + 1n)))],
  ["y that no point has", ed(toBase64url(littleEndian(2n)))],
  ["another spelling of a sound key", ed(otherSpelling(SOUND_X))],
];

export const BAD_P256: readonly (readonly [what: string, key: DeviceKey])[] = [
  ["off the curve", p256(G.x, G.y + 1n)],
  ["zero", p256(0n, 0n)],
  ["x above p", p256(G.x + P256_P < 2n ** 256n ? G.x + P256_P : 2n ** 256n - 1n, G.y)],
  ["another spelling of a sound key", { ...p256(G.x, G.y), y: otherSpelling(toBase64url(bigEndian(G.y))) } as DeviceKey],
];

export const BAD_KEYS: readonly (readonly [what: string, key: DeviceKey])[] = [
  ...BAD_ED25519.map(([what, key]) => [`Ed25519, ${what}`, key] as const),
  ...BAD_P256.map(([what, key]) => [`P-256, ${what}`, key] as const),
];
