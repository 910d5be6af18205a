/** The control plane's root secret as an operator sets it: 32 random bytes or more, as text. Pure. */
import { fromBase64url } from "../../protocol/statement-encoding.ts";

/** Fewer bytes could be guessed, and every MAC of a deployment hangs on them. */
export const MIN_SECRET_BYTES = 32;

export type SecretProblem = "missing" | "malformed" | "too-short";

/**
 * Reads a secret in base64 or base64url (RFC 4648), with or without padding and space around it.
 *
 * @param text the variable's value; undefined when it is not set
 * @returns the decoded bytes, or why they are none
 */
export function readServerSecret(text: string | undefined): Uint8Array<ArrayBuffer> | SecretProblem {
  const trimmed = text?.trim() ?? "";
  if (trimmed === "") return "missing";
  const bytes = fromBase64url(
    trimmed
      .replace(/={1,2}$/, "")
      .replaceAll("+", "-")
      .replaceAll("/", "_"),
  );
  if (bytes === null) return "malformed";
  return bytes.byteLength < MIN_SECRET_BYTES ? "too-short" : bytes;
}
