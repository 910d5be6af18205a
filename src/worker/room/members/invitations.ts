/** Invitations to a gateway: made by an owner, used once, worth nothing until an owner signs (PROTOCOL.md PE2, PE3). */
import { isSoundKey } from "../../../core/trust/public-key.ts";
import { isRoleBelow } from "../../../core/trust/grant-policy.ts";
import { MAX_OPEN_GATEWAY_INVITATIONS, MAX_PERSONS_PER_GATEWAY } from "../../../protocol/limits.ts";
import type { InvitationView } from "../../../protocol/members.ts";
import type { OwnerKey, PersonRole } from "../../../protocol/statements.ts";
import type { Admission } from "../context.ts";
import { trustedKeys } from "./owners.ts";
import { policyOf } from "./proposals.ts";
import type { RoomResult } from "../rpc.ts";
import { byWhom } from "../roles.ts";
import type { Who } from "../roles.ts";
import type { InvitationRow, PersonRow } from "../storage/member-rows.ts";

const NOT_FOUND = { ok: false, failure: "not-found" } as const;
const CONFLICT = { ok: false, failure: "conflict" } as const;

/** A new invitation. `too-many` while as many are open, or as many persons here, as a gateway may have. */
export function invite(
  admission: Admission,
  input: { readonly id: string; readonly code: string; readonly name: string; readonly role: PersonRole; readonly expiresAtMs: number },
  who: Who,
): RoomResult<null> {
  const { storage, options } = admission;
  const nowMs = options.now();
  if (!isRoleBelow(input.role, policyOf(admission))) return { ok: false, failure: "grant-refused" };
  return storage.transaction((): RoomResult<null> => {
    for (const row of storage.invitations()) if (row.expiresAtMs <= nowMs) storage.delete("invitations", row.id);
    const open = storage.invitations().length;
    if (open >= MAX_OPEN_GATEWAY_INVITATIONS || open + storage.persons().length >= MAX_PERSONS_PER_GATEWAY)
      return { ok: false, failure: "too-many" };
    storage.put("invitations", input.id, { ...input, createdAtMs: nowMs, heldBy: null } satisfies InvitationRow);
    admission.audit(who.role, "person-invited", null, { whom: input.name, role: input.role.kind, ...byWhom(who) });
    return { ok: true, value: null };
  });
}

/** @returns the invitation behind a code while it is good for this account */
function openFor(admission: Admission, account: string, code: string): InvitationRow | null {
  const row = admission.storage.invitations().find((each) => each.code === code);
  if (row === undefined || row.expiresAtMs <= admission.options.now()) return null;
  return row.heldBy === null || row.heldBy === account ? row : null;
}

/** What the holder of a link sees: also afterwards, when it was this account that accepted. */
export function lookAtInvitation(
  admission: Admission,
  input: { readonly account: string; readonly code: string },
): RoomResult<InvitationView> {
  const { account, code } = input;
  const { gateway, name: gatewayName, account: claimedBy } = admission.mustMeta();
  const open = openFor(admission, account, code);
  if (open !== null) {
    const isHere = claimedBy === account || admission.storage.persons().some((row) => row.account === account);
    const state = isHere ? "already-here" : "open";
    return { ok: true, value: { gateway, gatewayName, role: open.role, state, isHeld: open.heldBy === account } };
  }
  const taken = admission.storage.persons().find((row) => row.account === account && row.code === code);
  if (taken === undefined) return NOT_FOUND;
  return { ok: true, value: { gateway, gatewayName, role: taken.role, state: taken.state, isHeld: true } };
}

/** The code was used up to make this account: from here on it is good for this account alone. */
export function holdInvitation(admission: Admission, input: { readonly account: string; readonly code: string }): RoomResult<null> {
  const row = openFor(admission, input.account, input.code);
  if (row === null) return NOT_FOUND;
  admission.storage.put("invitations", row.id, { ...row, heldBy: input.account } satisfies InvitationRow);
  return { ok: true, value: null };
}

/** Names one passkey of the invited account to the gateway. It has no word until an owner signs for it. */
export function acceptInvitation(
  admission: Admission,
  input: {
    readonly account: string;
    readonly code: string;
    readonly accountName: string;
    readonly passkey: OwnerKey;
    readonly proof: string | null;
  },
): RoomResult<null> {
  const { storage, options } = admission;
  const { account, code, accountName, passkey, proof } = input;
  const accepted = storage.transaction((): RoomResult<null> => {
    const row = openFor(admission, account, code);
    if (row === null) return NOT_FOUND;
    const persons = storage.persons();
    const isHere = admission.mustMeta().account === account || persons.some((each) => each.account === account);
    // A passkey that counts here already is somebody's: removing the one person must never remove the other.
    const isTaken = [...trustedKeys(admission), ...persons.map((each) => each.passkey)].some(
      (each) => each.credentialId === passkey.credentialId,
    );
    if (isHere || isTaken || !isSoundKey(passkey.key)) return CONFLICT;
    storage.delete("invitations", row.id);
    const person: PersonRow = {
      id: row.id,
      code,
      account,
      name: row.name,
      accountName,
      role: row.role,
      state: "accepted",
      passkey,
      proof,
      acceptedAtMs: options.now(),
      isRefused: false,
    };
    storage.put("persons", row.id, person);
    admission.audit("person", "person-accepted", null, { whom: row.name, role: row.role.kind });
    return { ok: true, value: null };
  });
  if (accepted.ok) admission.tellInbox();
  return accepted;
}
