/** Checks and uses of public keys: small-order, non-canonical and off-curve points refused everywhere, one way to verify for room and connector. */
import { tagged } from "../../protocol/statement-encoding.ts";
import type { StatementType } from "../../protocol/statement-encoding.ts";
import { fromBase64url } from "../../protocol/statement-encoding.ts";
import type { ConnectorKey, DeviceKey, OwnerKey } from "../../protocol/statements.ts";

type PasskeyKey = OwnerKey["key"];

const ED25519_P = 2n ** 255n - 19n;
const ED25519_D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;
/** y coordinates of the eight points of small order; x sign does not matter (RFC 8032 §5.1; a key of these verifies one signature for any message). */
const SMALL_ORDER_Y: readonly bigint[] = [
  0n,
  1n,
  ED25519_P - 1n,
  2707385501144840649318225287225658788936804267575313519463743609750303402022n,
  55188659117513257062467267217118295137698188065244968500265048394206261417927n,
];

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.byteLength - 1; i >= 0; i -= 1) value = (value << 8n) | BigInt(bytes[i] ?? 0);
  return value;
}

/** One sign-in asks about the same key several times, and the power below is most of what it costs. */
const judged = new Map<string, boolean>();
const MAX_JUDGED = 512;

/**
 * @param x base64url of a 32-byte Ed25519 public key
 * @returns false for a wrong length, a non-canonical y (at or above p), one that no point has, and every point of small order
 */
export function isSoundEd25519(x: string): boolean {
  const known = judged.get(x);
  if (known !== undefined) return known;
  const bytes = fromBase64url(x);
  if (bytes === null || bytes.byteLength !== 32) return false;
  const y = littleEndian(bytes) & (2n ** 255n - 1n);
  const isSound = y < ED25519_P && !SMALL_ORDER_Y.includes(y) && isOnEd25519(y);
  if (judged.size >= MAX_JUDGED) judged.clear();
  judged.set(x, isSound);
  return isSound;
}

/** Whether some x belongs to this y: x² = (y² - 1) / (d y² + 1) must be a square (RFC 8032 §5.1.3). */
function isOnEd25519(y: bigint): boolean {
  const square = (y * y) % ED25519_P;
  // u/v is a square exactly when u·v is: v is never 0, and v² is a square.
  const product = ((square + ED25519_P - 1n) * (ED25519_D * square + 1n)) % ED25519_P;
  return power(product, (ED25519_P - 1n) / 2n, ED25519_P) <= 1n;
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let [result, factor, left] = [1n, base % modulus, exponent];
  while (left > 0n) {
    if ((left & 1n) === 1n) result = (result * factor) % modulus;
    factor = (factor * factor) % modulus;
    left >>= 1n;
  }
  return result;
}

/** The field of P-256 and its b; a is -3 (FIPS 186-5, SP 800-186 3.2.1.3). */
const P256_P = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
const P256_B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;

function bigEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

/**
 * @param x base64url of 32 bytes, big endian
 * @param y the same
 * @returns whether that is a point of the curve in its one form; the point at infinity has none
 */
export function isSoundP256(x: string, y: string): boolean {
  const [left, right] = [fromBase64url(x), fromBase64url(y)];
  if (left?.byteLength !== 32 || right?.byteLength !== 32) return false;
  const [u, v] = [bigEndian(left), bigEndian(right)];
  if (u >= P256_P || v >= P256_P) return false;
  return (v * v - (u * u * u - 3n * u + P256_B)) % P256_P === 0n;
}

/** @returns whether a key that passed its schema may be used at all: every door that takes a key asks this first (fault case 32) */
export function isSoundKey(key: DeviceKey | ConnectorKey | PasskeyKey): boolean {
  if (key.kty === "OKP") return isSoundEd25519(key.x);
  return key.kty !== "EC" || isSoundP256(key.x, key.y);
}

async function importKey(key: PasskeyKey): Promise<{ key: PureKey; algorithm: { name: string; hash?: string } } | null> {
  if (!isSoundKey(key)) return null;
  const importAlgorithm =
    key.kty === "OKP"
      ? { name: "Ed25519" }
      : key.kty === "EC"
        ? { name: "ECDSA", namedCurve: "P-256" }
        : { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const algorithm = key.kty === "EC" ? { name: "ECDSA", hash: "SHA-256" } : { name: importAlgorithm.name };
  try {
    return { key: await crypto.subtle.importKey("jwk", { ...key }, importAlgorithm, false, ["verify"]), algorithm };
  } catch {
    return null;
  }
}
type PureKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/**
 * Verifies a raw signature: Ed25519 (RFC 8032), ECDSA P-256 with SHA-256 as r||s (IEEE P1363), RSASSA-PKCS1-v1_5 with SHA-256.
 *
 * @returns false for anything wrong: key, length, signature. Never throws.
 */
export async function verifyRaw(key: PasskeyKey, signature: Uint8Array<ArrayBuffer>, data: Uint8Array<ArrayBuffer>): Promise<boolean> {
  const imported = await importKey(key);
  if (imported === null) return false;
  try {
    return await crypto.subtle.verify(imported.algorithm, imported.key, signature, data);
  } catch {
    return false;
  }
}

/**
 * Verifies a device's or connector's signature over tagged bytes.
 *
 * @param signature base64url, 64 bytes
 */
export async function verifyTagged(
  key: DeviceKey | ConnectorKey,
  type: StatementType,
  body: Uint8Array<ArrayBuffer>,
  signature: string,
): Promise<boolean> {
  const bytes = fromBase64url(signature);
  return bytes !== null && bytes.byteLength === 64 && verifyRaw(key, bytes, tagged(type, body));
}
