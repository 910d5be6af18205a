/** Rows of the room about its persons, and about what they decided. */
import type { OwnerKey, PersonRole } from "../../../protocol/statements.ts";

/** An invitation that nobody has accepted yet. */
export interface InvitationRow {
  readonly id: string;
  /** SHA-256 of the code, base64url: whoever names it has the link. */
  readonly code: string;
  /** What the owner calls the person. */
  readonly name: string;
  readonly role: PersonRole;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  /** The account that was made with the code, for which alone it is good from there on. */
  readonly heldBy: string | null;
}

/** Somebody who accepted an invitation. */
export interface PersonRow {
  /** The invitation's. */
  readonly id: string;
  readonly code: string;
  readonly account: string;
  readonly name: string;
  /** What the account calls itself. */
  readonly accountName: string;
  readonly role: PersonRole;
  /** `accepted`: waits for an owner's signature, and is nobody here until then. */
  readonly state: "accepted" | "confirmed";
  readonly passkey: OwnerKey;
  /** HMAC over the passkey under the link's second secret, which no server has; null from a link without one. */
  readonly proof: string | null;
  readonly acceptedAtMs: number;
  /** The gateway's machine refused the passkey after an owner had signed. */
  readonly isRefused: boolean;
}

/** What became of a request that somebody decided. */
export interface DecidedRow {
  readonly id: string;
  readonly outcome: "allowed" | "denied";
  readonly atMs: number;
}
