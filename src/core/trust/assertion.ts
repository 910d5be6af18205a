/** Checks a passkey's signature over one of our statements: the same code judges in the room and, last, in the connector. */
import { fromBase64url, utf8 } from "../../protocol/statement-encoding.ts";
import type { StatementType } from "../../protocol/statement-encoding.ts";
import type { Assertion, OwnerKey, SignedByOwner } from "../../protocol/statements.ts";
import { sha256 } from "./digests.ts";
import { verifyRaw } from "./public-key.ts";
import { listChallenge, statementHash } from "./statement-list.ts";

export type AssertionError =
  | "unknown-owner-key"
  | "bad-client-data"
  | "wrong-challenge"
  | "wrong-origin"
  | "cross-origin"
  | "wrong-rp"
  | "not-verified"
  | "bad-signature";

/** Who must have signed, and where. */
export interface SignerExpectation<Key extends OwnerKey = OwnerKey> {
  /** Exactly the approval origin. */
  readonly origin: string;
  /** Exactly its host, without port. */
  readonly rpId: string;
  readonly ownerKeys: readonly Key[];
}

export interface StatementExpectation<Key extends OwnerKey = OwnerKey> extends SignerExpectation<Key> {
  readonly type: StatementType;
  /** Exact body bytes of the statement. */
  readonly body: Uint8Array<ArrayBuffer>;
}

const FLAG_USER_PRESENT = 0x01;
const FLAG_USER_VERIFIED = 0x04;
const MIN_AUTHENTICATOR_DATA_BYTES = 37;

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i]);
}

/**
 * ECDSA-Sig-Value (RFC 3279 §2.2.3, DER) to r||s.
 *
 * @returns 64 bytes, or null when it is not exactly that structure
 */
function derToRaw(der: Uint8Array): Uint8Array<ArrayBuffer> | null {
  if (der[0] !== 0x30 || der[1] !== der.byteLength - 2) return null;
  const out = new Uint8Array(64);
  let at = 2;
  for (let part = 0; part < 2; part += 1) {
    const length = der[at + 1] ?? 0;
    if (der[at] !== 0x02 || length === 0 || at + 2 + length > der.byteLength) return null;
    let value = der.subarray(at + 2, at + 2 + length);
    if (value[0] === 0 && value.byteLength > 1) value = value.subarray(1);
    if (value.byteLength > 32) return null;
    out.set(value, part * 32 + 32 - value.byteLength);
    at += 2 + length;
  }
  return at === der.byteLength ? out : null;
}

interface ClientData {
  readonly type?: unknown;
  readonly challenge?: unknown;
  readonly origin?: unknown;
  readonly crossOrigin?: unknown;
  readonly topOrigin?: unknown;
}

function parseClientData(bytes: Uint8Array<ArrayBuffer>): ClientData | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes));
    return typeof value === "object" && value !== null ? value : null;
  } catch {
    return null;
  }
}

/**
 * Verifies that an owner's passkey signed this statement, alone or in a list.
 *
 * @returns the owner key that signed, or why the signature is refused
 * @see PROTOCOL.md OS1, OS2
 */
export async function verifySigned<Key extends OwnerKey>(
  signed: Pick<SignedByOwner, "list" | "assertion">,
  expected: StatementExpectation<Key>,
): Promise<Key | AssertionError> {
  if (!signed.list.includes(await statementHash(expected.type, expected.body))) return "wrong-challenge";
  const challenge = await listChallenge(signed.list);
  return challenge === null ? "wrong-challenge" : verifyAssertion(signed.assertion, challenge, expected);
}

/**
 * Verifies an assertion as WebAuthn Level 3 §7.2 asks. Signature counters are ignored: synced passkeys send 0.
 *
 * @param challenge base64url, made by the verifier itself
 * @returns the owner key that signed, or why the assertion is refused
 * @see PROTOCOL.md OS1
 */
export async function verifyAssertion<Key extends OwnerKey>(
  assertion: Assertion,
  challenge: string,
  expected: SignerExpectation<Key>,
): Promise<Key | AssertionError> {
  const owner = expected.ownerKeys.find((key) => key.credentialId === assertion.credentialId);
  if (owner === undefined) return "unknown-owner-key";
  const clientDataBytes = fromBase64url(assertion.clientDataJSON);
  const authenticatorData = fromBase64url(assertion.authenticatorData);
  const signature = fromBase64url(assertion.signature);
  if (clientDataBytes === null || authenticatorData === null || signature === null) return "bad-client-data";
  const clientData = parseClientData(clientDataBytes);
  if (clientData === null || clientData.type !== "webauthn.get") return "bad-client-data";
  if (clientData.challenge !== challenge) return "wrong-challenge";
  if (clientData.origin !== expected.origin) return "wrong-origin";
  if ((clientData.crossOrigin ?? false) !== false || clientData.topOrigin !== undefined) return "cross-origin";
  if (authenticatorData.byteLength < MIN_AUTHENTICATOR_DATA_BYTES) return "bad-client-data";
  if (!equal(authenticatorData.subarray(0, 32), await sha256(utf8(expected.rpId)))) return "wrong-rp";
  const flags = authenticatorData[32] ?? 0;
  if ((flags & FLAG_USER_PRESENT) === 0 || (flags & FLAG_USER_VERIFIED) === 0) return "not-verified";
  const clientDataHash = await sha256(clientDataBytes);
  const signed = new Uint8Array(authenticatorData.byteLength + clientDataHash.byteLength);
  signed.set(authenticatorData);
  signed.set(clientDataHash, authenticatorData.byteLength);
  const raw = owner.key.kty === "EC" ? derToRaw(signature) : signature;
  if (raw === null || !(await verifyRaw(owner.key, raw, signed))) return "bad-signature";
  return owner;
}
