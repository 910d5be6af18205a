/** What a key log says after its last entry, and why a line is not its next one (PROTOCOL.md KL). Types and one default; `core/trust/key-log.ts` judges. */
import type { KeyLogAlarm, KeyLogHead, OwnerPolicy, ProposedChange } from "../../protocol/key-log.ts";
import type { RecoveryKey } from "../../protocol/statements.ts";
import { EXPIRY_CHOICES_MS } from "../../protocol/words.ts";
import type { HeldGrant, Pinned } from "./judge.ts";

/** A widening that waits. */
export interface Proposal {
  /** Hash of its entry: what an owner signs. */
  readonly id: string;
  readonly atMs: number;
  readonly change: ProposedChange;
  /** When the machine recorded that the owners were told, by its clock; null before that. */
  readonly noticedAtMs: number | null;
}

/** The last resume in force: alarms of this kind that are not younger are settled. */
export interface Resumed {
  readonly alarm: KeyLogAlarm;
  readonly atMs: number;
}

/** Everything that a log says, after its last entry. */
export interface KeyLogState extends Pinned {
  readonly head: KeyLogHead;
  readonly policy: OwnerPolicy;
  readonly grants: ReadonlyMap<string, HeldGrant>;
  /** Passkeys that were taken out, with the place of the entry that did: an old endorsement never brings one back. */
  readonly removedOwners: ReadonlyMap<string, number>;
  /** Statements that took a passkey out here once: said again, after the host brought it back, they do nothing. */
  readonly spentRemovals: ReadonlySet<string>;
  /** Changes owners and nothing else; `issuedAtMs` of the last statement that pinned one, 0 before there was any. */
  readonly recovery: { readonly key: RecoveryKey | null; readonly issuedAtMs: number };
  /** Place of the last entry that took something away from a device, or (under `*`) from everybody. */
  readonly subtractedAt: ReadonlyMap<string, number>;
  /** Widenings that wait for an owner or for time, by the hash of their entry. */
  readonly proposals: ReadonlyMap<string, Proposal>;
  /** Those that took effect. */
  readonly effects: ReadonlySet<string>;
  readonly resumed: Resumed | null;
  /** Hash of every line, for heads that somebody else names. */
  readonly hashes: readonly string[];
  readonly lastAtMs: number;
}

/** Before anything was said on the host: what the owner may give remotely. */
export const DEFAULT_POLICY: OwnerPolicy = { maxAccess: "full", maxExpiryMs: EXPIRY_CHOICES_MS.quarter };

/** Why an entry is not the next one of this log. */
export type KeyLogProblem =
  | "not-canonical"
  | "wrong-gateway"
  | "wrong-place"
  | "chain-broken"
  | "bad-entry-signature"
  | "bad-genesis"
  | "bad-statement"
  | "bad-signature"
  | "unknown-owner-key"
  | "expired"
  | "too-late"
  | "stale-head"
  | "over-ceiling"
  | "unknown-grant"
  | "revoked"
  | "last-owner-key"
  | "too-many-owner-keys"
  | "wrong-order"
  | "nothing-changes"
  /** A widening by the machine's word alone. */
  | "needs-owner"
  | "unknown-proposal"
  | "too-early"
  | "too-many-proposals";

/** What an entry makes different. */
export type Change = Partial<KeyLogState>;
