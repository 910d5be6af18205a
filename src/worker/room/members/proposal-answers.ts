/** What an owner answers to a widening of the gateway's machine: Approve with a passkey, Cancel without one (PROTOCOL.md LP2, LP3). */
import { wideningFor } from "../../../core/trust/local-policy.ts";
import type { RoomProposal } from "../../../core/trust/local-policy.ts";
import type { ProposalNotice } from "../../../protocol/proposals-api.ts";
import type { SignedByOwner } from "../../../protocol/statements.ts";
import type { Admission } from "../context.ts";
import { deliver } from "../pending-commands.ts";
import { commitAndTell, isByOwner, trustedKeys } from "./owners.ts";
import { dropProposalNotice, follow, proposalNotice, proposalRow, stepId, sweepProposals } from "./proposals.ts";
import type { OwnerChange, RoomResult } from "../rpc.ts";
import { byWhom } from "../roles.ts";
import type { Who } from "../roles.ts";

const NOT_FOUND = { ok: false, failure: "not-found" } as const;
const REFUSED = { ok: false, failure: "grant-refused" } as const;
const CONFLICT = { ok: false, failure: "conflict" } as const;
const DONE = { ok: true, value: "done" } as const;

function isAnswered({ state }: RoomProposal): boolean {
  return state === "signed" || state === "cancelled";
}

/** @returns what the owner is asked; `not-found` once it is answered */
export function proposalView(admission: Admission, id: string): RoomResult<ProposalNotice> {
  const row = proposalRow(admission, id);
  return row === null || isAnswered(row) ? NOT_FOUND : { ok: true, value: proposalNotice(admission, row) };
}

/** An owner's signature: the widening takes effect now. */
export async function approveProposal(
  admission: Admission,
  input: { readonly proposal: string; readonly signed: SignedByOwner },
  who: Who,
): Promise<RoomResult<OwnerChange>> {
  const { storage } = admission;
  const { proposal, signed } = input;
  const row = proposalRow(admission, proposal);
  if (row === null) return NOT_FOUND;
  const read = wideningFor(admission.mustMeta().gateway, row, signed);
  if (read === null || !(await isByOwner(admission, "widening", read.bytes, signed, trustedKeys(admission)))) return REFUSED;
  // The check waited: somebody may have answered in between.
  const fresh = proposalRow(admission, proposal);
  if (fresh === null || isAnswered(fresh)) return CONFLICT;
  const audit = (): void => {
    admission.audit(who.role, "proposal-approved", null, { what: fresh.change.kind, ...byWhom(who) });
  };
  if (fresh.isEarly) {
    storage.transaction(() => {
      audit();
      follow(admission, fresh);
    });
    return DONE;
  }
  const message = { type: "proposal", id: stepId(proposal), proposal, step: "signed", signed } as const;
  const told = commitAndTell(admission, message, () => {
    storage.put("proposals", proposal, { ...fresh, state: "signed", signed } satisfies RoomProposal);
    audit();
  });
  dropProposalNotice(admission, proposal);
  return told;
}

/** One owner's no ends it, also when the machine is away. */
export async function cancelProposal(admission: Admission, proposal: string, who: Who): Promise<RoomResult<OwnerChange>> {
  const { storage } = admission;
  const row = proposalRow(admission, proposal);
  if (row === null) return NOT_FOUND;
  if (isAnswered(row)) return CONFLICT;
  const end = (): void => {
    storage.put("proposals", proposal, { ...row, state: "cancelled" } satisfies RoomProposal);
    admission.audit(who.role, "proposal-cancelled", null, { what: row.change.kind, ...byWhom(who) });
  };
  dropProposalNotice(admission, proposal);
  if (row.isEarly) {
    // The machine's log cannot take it back: the room goes on not obeying it.
    storage.transaction(end);
    admission.tellInbox();
    return Promise.resolve(DONE);
  }
  return commitAndTell(admission, { type: "proposal", id: stepId(proposal), proposal, step: "cancel" }, end);
}

/** What time alone brings. @returns the next time, in ms, or null */
export function endProposals(admission: Admission, nowMs: number): number | null {
  const { due, next } = sweepProposals(admission, nowMs);
  for (const message of due) void deliver(admission, message);
  return next;
}
