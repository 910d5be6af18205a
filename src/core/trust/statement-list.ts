/** One gesture signs a list of statements: each is named by its hash, and the passkey's challenge covers the hashes in order (PROTOCOL.md OS2). */
import { fromBase64url, tagged, toBase64url } from "../../protocol/statement-encoding.ts";
import type { StatementType } from "../../protocol/statement-encoding.ts";

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/**
 * @param type purpose of the statement
 * @param body its exact bytes, without the tag
 * @returns base64url SHA-256 of the tagged statement, as a list names it
 */
export async function statementHash(type: StatementType, body: Uint8Array): Promise<string> {
  return toBase64url(await sha256(tagged(type, body)));
}

/**
 * @param hashes base64url SHA-256 of each statement, in the order of the list
 * @returns the WebAuthn challenge, base64url, or null when a member is no SHA-256
 */
export async function listChallenge(hashes: readonly string[]): Promise<string | null> {
  const all = new Uint8Array(hashes.length * 32);
  for (const [index, hash] of hashes.entries()) {
    const bytes = fromBase64url(hash);
    if (bytes?.byteLength !== 32) return null;
    all.set(bytes, index * 32);
  }
  return toBase64url(await sha256(tagged("list", all)));
}
