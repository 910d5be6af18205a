/** The shape of our tokens: kind, selector, secret, checksum. Garbage dies here, without any I/O. */

/**
 * `gthc_` enrolment code, `gthd_` device token, `gthi_` invitation, `gtha_` API token, `gths_` account session, `gtho_` one-time hand-off.
 * Recovery codes are written by hand and have a shorter form; they are kept and verified the same way (worker/auth/recovery-code.ts).
 */
export const TOKEN_KINDS = ["c", "d", "i", "a", "s", "o"] as const;
export type TokenKind = (typeof TOKEN_KINDS)[number];

export interface Token {
  readonly kind: TokenKind;
  /** Finds the row; not secret. 11 base62 digits (64 bits). */
  readonly selector: string;
  /** 43 base62 digits (32 bytes). */
  readonly secret: string;
}

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SELECTOR_BYTES = 8;
const SECRET_BYTES = 32;
/** Random bytes that one token needs. */
export const TOKEN_RANDOM_BYTES = SELECTOR_BYTES + SECRET_BYTES;

function base62(bytes: Uint8Array, chars: number): string {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  let out = "";
  for (let i = 0; i < chars; i += 1) {
    out = (BASE62[Number(value % 62n)] ?? "") + out;
    value /= 62n;
  }
  return out;
}

/** @returns the bytes that `writeToken` wrote as these digits, or null when they are more than `bytes` hold */
export function base62Bytes(digits: string, bytes: number): Uint8Array<ArrayBuffer> | null {
  let value = 0n;
  for (const digit of digits) value = value * 62n + BigInt(BASE62.indexOf(digit));
  const out = new Uint8Array(bytes);
  for (let i = bytes - 1; i >= 0; i -= 1) {
    out[i] = Number(value & 255n);
    value >>= 8n;
  }
  return value === 0n ? out : null;
}

/** CRC-32 (ISO 3309, polynomial 0xEDB88320) of ASCII text. */
export function crc32(text: string): number {
  let crc = 0xffffffff;
  for (let i = 0; i < text.length; i += 1) {
    crc ^= text.charCodeAt(i);
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function checksum(body: string): string {
  const crc = crc32(body);
  return base62(Uint8Array.of(crc >>> 24, crc >>> 16, crc >>> 8, crc), 6);
}

/**
 * Writes a token.
 *
 * @param random exactly TOKEN_RANDOM_BYTES fresh random bytes
 * @returns `gth<kind>_` + selector + secret + checksum
 */
export function writeToken(kind: TokenKind, random: Uint8Array): string {
  if (random.byteLength !== TOKEN_RANDOM_BYTES) throw new TypeError("a token needs 40 random bytes");
  const body = `gth${kind}_${base62(random.subarray(0, SELECTOR_BYTES), 11)}${base62(random.subarray(SELECTOR_BYTES), 43)}`;
  return body + checksum(body);
}

/** @returns the parts, or null for any other kind, shape or checksum. No I/O, no secret-dependent timing that matters: the secret is checked by MAC later. */
export function readToken(text: string, kind: TokenKind): Token | null {
  const match = /^(gth([a-z])_([0-9A-Za-z]{11})([0-9A-Za-z]{43}))([0-9A-Za-z]{6})$/.exec(text.trim());
  const [, body, tokenKind, selector, secret, sum] = match ?? [];
  if (body === undefined || selector === undefined || secret === undefined) return null;
  if (tokenKind !== kind || checksum(body) !== sum) return null;
  return { kind, selector, secret };
}
