/** How signed statements become bytes. Imports nothing: door and approval page sign with it. */

export type StatementType =
  | "genesis"
  | "list"
  | "grant"
  | "session"
  | "ask"
  | "login"
  | "register"
  | "owner-key"
  | "owner-remove"
  | "widening"
  | "recovery-key"
  | "recover"
  | "recovery-seed"
  | "local-act"
  | "settings"
  | "key-log"
  | "audit"
  | "receipt"
  | "words"
  | "claim"
  | "invite"
  | "match"
  | "request"
  | "device"
  | "edge"
  | "link"
  | "enrol";

const ENCODER = new TextEncoder();

/** @returns the text as UTF-8 (RFC 3629) */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  // What it names its buffer differs between the runtimes' types.
  const bytes: Uint8Array = ENCODER.encode(text);
  return bytes as Uint8Array<ArrayBuffer>;
}

/**
 * Domain separation: every signed or hashed statement starts with `gatehouse/<type>/v1\0`, so that a signature made for one
 * purpose never serves another (reference: security.md 4).
 *
 * @param type what the bytes are for
 * @param body the exact bytes after the tag
 * @returns tag followed by body
 */
export function tagged(type: StatementType, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const tag = utf8(`gatehouse/${type}/v1\0`);
  const out = new Uint8Array(tag.byteLength + body.byteLength);
  out.set(tag);
  out.set(body, tag.byteLength);
  return out;
}

/**
 * Joins fields so that no two different lists give the same bytes: each is preceded by its length as u32, big endian.
 *
 * @param fields strings are taken as UTF-8
 */
export function joined(fields: readonly (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  const parts = fields.map((field) => (typeof field === "string" ? utf8(field) : field));
  const out = new Uint8Array(parts.reduce((sum, part) => sum + 4 + part.byteLength, 0));
  const view = new DataView(out.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.byteLength);
    out.set(part, at + 4);
    at += 4 + part.byteLength;
  }
  return out;
}

/**
 * The one byte form of a statement body: JSON without white space, members in the order of `keys`.
 *
 * @param body object of strings, integers, nulls and objects, which keep their own member order; what is undefined is left out
 * @param keys every member, in the order of the statement's schema
 */
export function encodeBody(body: Readonly<Record<string, unknown>>, keys: readonly string[]): Uint8Array<ArrayBuffer> {
  const ordered: Record<string, unknown> = {};
  for (const key of keys) ordered[key] = body[key];
  return utf8(JSON.stringify(ordered));
}

/** Member order of each signed statement; the schemas in statements.ts have the same members. */
export const GRANT_KEYS = [
  "v", "gateway", "device", "key", "name", "access", "kind", "request", "activation", "head", "issuedAtMs", "applyByMs", "notAfterMs",
] as const; // prettier-ignore
export const SESSION_KEYS = [
  "v", "gateway", "device", "grant", "origin", "roomNonce", "connectorNonce", "connectorKey", "handover", "iatMs", "expMs",
] as const; // prettier-ignore
export const ASK_KEYS = ["v", "gateway", "key", "origin", "access", "roomNonce"] as const;
export const GENESIS_KEYS = [
  "v", "gateway", "gatewayOrigin", "appOrigin", "approveOrigin", "rpId", "connectorKey", "account", "ownerKey", "ceremony", "issuedAtMs", "applyByMs",
] as const; // prettier-ignore
/** `gateway` and, below, `person` may be missing: then they are not written at all. */
export const OWNER_REMOVE_KEYS = ["v", "account", "credentialId", "issuedAtMs", "gateway"] as const;
export const RECOVERY_KEY_KEYS = ["v", "account", "key", "issuedAtMs"] as const;
export const RECOVER_KEYS = ["v", "account", "credentialId", "key", "remove", "issuedAtMs"] as const;
/** Not signed: a passkey as it is carried to a gateway's machine. */
export const PASSKEY_TEXT_KEYS = ["v", "credentialId", "key"] as const;
export const RECEIPT_KEYS = [
  "v", "gateway", "device", "grant", "cut", "by", "cutAtMs", "audit", "deniedAtMs", "removedAtMs", "streamsClosed", "removed", "absent", "entries", "log", "head",
] as const; // prettier-ignore
export const LOCAL_ACT_KEYS = ["v", "gateway", "act", "subject", "head", "issuedAtMs", "applyByMs"] as const;
export const WIDENING_KEYS = ["v", "gateway", "proposal", "change", "issuedAtMs"] as const;
export const OWNER_KEY_KEYS = ["v", "account", "credentialId", "key", "issuedAtMs", "person"] as const;

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const NO_DIGIT = 255;
const DIGIT_OF = new Uint8Array(128).fill(NO_DIGIT);
for (let i = 0; i < DIGITS.length; i += 1) DIGIT_OF[DIGITS.charCodeAt(i)] = i;

/** @returns base64url without padding (RFC 4648 §5) */
export function toBase64url(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.byteLength; i += 3) {
    const value = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text += digit(value >>> 18) + digit(value >>> 12) + digit(value >>> 6) + digit(value);
  }
  const rest = bytes.byteLength % 3;
  return rest === 0 ? text : text.slice(0, rest - 3);
}

function digit(value: number): string {
  return DIGITS[value & 63] ?? "";
}

/**
 * @param text base64url without padding
 * @returns the bytes, or null when `text` is not exactly the form that `toBase64url` writes
 */
export function fromBase64url(text: string): Uint8Array<ArrayBuffer> | null {
  if (text.length % 4 === 1) return null;
  const bytes = new Uint8Array((text.length * 3) >>> 2);
  let at = 0;
  let bits = 0;
  let value = 0;
  for (let i = 0; i < text.length; i += 1) {
    const six = DIGIT_OF[text.charCodeAt(i)] ?? NO_DIGIT;
    if (six === NO_DIGIT) return null;
    value = ((value << 6) | six) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at] = value >>> bits;
    at += 1;
  }
  // What the last digit says beyond the bytes must be nothing: one value has one text.
  return (value & ((1 << bits) - 1)) === 0 ? bytes : null;
}
