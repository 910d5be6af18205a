/** The judge of owner-signed acts on the gateway's machine (PROTOCOL.md SA): the room asks it early, the connector last. Pure. */
import { LOCAL_ACT_MS } from "../../protocol/limits.ts";
import type { LocalActStatement, SignedByOwner } from "../../protocol/statements.ts";
import type { LocalActOutcome } from "../../protocol/words.ts";
import { verifySigned } from "./assertion.ts";
import { CLOCK_SKEW_MS } from "./grant-policy.ts";
import type { PinnedKey } from "./judge.ts";
import { isOwner } from "./key-log-owners.ts";
import { readLocalAct } from "./statement.ts";
import { statementHash } from "./statement-list.ts";

/** What the judge compares with. */
export interface LocalActExpected {
  readonly gateway: string;
  readonly approveOrigin: string;
  readonly rpId: string;
  readonly ownerKeys: readonly PinnedKey[];
  /** Whether this is the hash of an entry of the judge's own key log. */
  readonly knowsHead: (hash: string) => boolean;
  /** Hash of the settings diff that waits, computed by the judge itself; null: none waits. */
  readonly settings: string | null;
  /** Whether a statement was used before, by its hash. */
  readonly isSpent: (id: string) => boolean;
  readonly nowMs: number;
}

export type JudgedAct =
  | { readonly ok: true; readonly act: LocalActStatement["act"]; readonly id: string; readonly applyByMs: number }
  | { readonly ok: false; readonly outcome: LocalActOutcome };

function no(outcome: LocalActOutcome): JudgedAct {
  return { ok: false, outcome };
}

/**
 * Judges one act: form, gateway, time, the owner's signature, history, subject, and that it is used once.
 *
 * @returns the act with its hash, to be kept as spent before it is carried out; or why it is refused
 */
export async function judgeLocalAct(expected: LocalActExpected, signed: SignedByOwner): Promise<JudgedAct> {
  const read = readLocalAct(signed.statement);
  if (read === null || read.body.gateway !== expected.gateway) return no("bad-statement");
  const { act, subject, head, issuedAtMs, applyByMs } = read.body;
  if ((act === "apply-settings") !== (subject !== null)) return no("bad-statement");
  const { nowMs, approveOrigin: origin, rpId, ownerKeys } = expected;
  if (issuedAtMs > nowMs + CLOCK_SKEW_MS || applyByMs < nowMs || applyByMs > issuedAtMs + LOCAL_ACT_MS) return no("too-late");
  const signer = await verifySigned(signed, { type: "local-act", body: read.bytes, origin, rpId, ownerKeys });
  if (signer === "unknown-owner-key") return no("not-owner");
  if (typeof signer === "string") return no("bad-signature");
  if (!isOwner(signer)) return no("not-owner");
  if (!expected.knowsHead(head)) return no("stale-head");
  if (subject !== null && subject !== expected.settings) return no("over");
  const id = await statementHash("local-act", read.bytes);
  return expected.isSpent(id) ? no("spent") : { ok: true, act, id, applyByMs };
}
