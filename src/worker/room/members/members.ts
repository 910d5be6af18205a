/** The persons of a gateway: an owner's signature makes somebody one, and its end takes everything that this person had (PROTOCOL.md PE4, PE5). */
import { verifySigned } from "../../../core/trust/assertion.ts";
import { isRoleBelow } from "../../../core/trust/grant-policy.ts";
import { isOwner } from "../../../core/trust/key-log-owners.ts";
import { mayDo } from "../../../core/trust/roles.ts";
import { readOwnerKey, readOwnerRemoval } from "../../../core/trust/statement.ts";
import type { Ceiling } from "../../../protocol/approval-api.ts";
import type { Leaving, PersonsView } from "../../../protocol/members.ts";
import type { OwnerRole } from "../../../protocol/key-log.ts";
import { MAX_OWNER_KEYS } from "../../../protocol/limits.ts";
import type { SignedByOwner } from "../../../protocol/statements.ts";
import type { Admission } from "../context.ts";
import { cut } from "../devices/cuts.ts";
import { ID_CHARS, commitAndTell, isByOwner, trustedKeys } from "./owners.ts";
import { forget, welcome } from "./member-changes.ts";
import { policyOf, showProposalsTo } from "./proposals.ts";
import type { OwnerChange, RoomResult } from "../rpc.ts";
import { byWhom } from "../roles.ts";
import type { Who } from "../roles.ts";
import type { InvitationRow, PersonRow } from "../storage/member-rows.ts";
import type { DeviceRow, GrantRow } from "../storage/rows.ts";

const NOT_FOUND = { ok: false, failure: "not-found" } as const;
const REFUSED = { ok: false, failure: "grant-refused" } as const;
const CONFLICT = { ok: false, failure: "conflict" } as const;
const DONE = { ok: true, value: "done" } as const;

/** Everybody who is invited, accepted or confirmed, as an owner sees it. */
export function personsOf(admission: Admission): PersonsView {
  const { storage, options } = admission;
  const { gateway, name, account } = admission.mustMeta();
  const open = storage.invitations().filter((row) => row.expiresAtMs > options.now());
  return {
    gateway,
    gatewayName: name,
    account,
    head: admission.keyLog.head()?.hash ?? null,
    policy: policyOf(admission),
    invitations: open.map(({ id, name: called, role, createdAtMs, expiresAtMs }) => ({ id, name: called, role, createdAtMs, expiresAtMs })),
    persons: storage.persons().map(({ id, name: called, accountName, role, state, passkey, proof, acceptedAtMs, isRefused }) => ({
      id,
      name: called,
      accountName,
      role,
      state,
      passkey,
      proof,
      acceptedAtMs,
      isRefused,
    })),
  };
}

/** An owner's signature makes somebody who accepted a person of this gateway, in the role that the invitation named (PROTOCOL.md PE4, KL13). */
export async function confirmPerson(
  admission: Admission,
  input: { readonly person: string; readonly signed: SignedByOwner },
  who: Who,
): Promise<RoomResult<OwnerChange>> {
  const { storage } = admission;
  const { gateway, account } = admission.mustMeta();
  const read = readOwnerKey(input.signed.statement);
  const row = storage.get<PersonRow>("persons", input.person);
  if (row === null) return NOT_FOUND;
  const about = read?.body.person;
  if (read === null || about === undefined || about.gateway !== gateway || read.body.account !== account) return REFUSED;
  if (JSON.stringify(about.role) !== JSON.stringify(row.role) || !isRoleBelow(about.role, policyOf(admission))) return REFUSED;
  const { credentialId, key } = read.body;
  if (JSON.stringify({ credentialId, key }) !== JSON.stringify(row.passkey)) return REFUSED;
  if (!(await isByOwner(admission, "owner-key", read.bytes, input.signed, trustedKeys(admission)))) return REFUSED;
  // The check waited: somebody may have decided about the person in between.
  const fresh = storage.get<PersonRow>("persons", input.person);
  if (fresh?.state !== "accepted") return CONFLICT;
  const confirm = (): void => {
    storage.put("persons", row.id, { ...fresh, state: "confirmed", isRefused: false } satisfies PersonRow);
    admission.outbox.add({ kind: "member", row: { gatewayId: gateway, accountId: row.account, role: row.role.kind } });
    admission.audit(who.role, "person-confirmed", null, { whom: row.name, role: row.role.kind, ...byWhom(who) });
  };
  if (about.role.kind === "viewer") {
    // The machine has nothing to do with whom the room only shows things.
    storage.transaction(confirm);
    welcome(admission, row);
    return DONE;
  }
  if (trustedKeys(admission).length >= MAX_OWNER_KEYS) return CONFLICT;
  const role: OwnerRole = about.role;
  const message = { type: "owner-key", id: `owner-${credentialId.slice(0, ID_CHARS)}`, signed: input.signed } as const;
  const told = commitAndTell(admission, message, () => {
    confirm();
    storage.put("owner_keys", credentialId, role.kind === "owner" ? row.passkey : { ...row.passkey, role });
  });
  welcome(admission, row);
  if (mayDo(role.kind, "keys")) showProposalsTo(admission, row.account);
  return told;
}

/**
 * Takes an invitation back, turns somebody down who accepted, or removes a person; whoever has a say goes by another owner's signature, in the
 * room at once and, as soon as it hears of it, at the gateway's machine (PROTOCOL.md PE5).
 */
export async function removePerson(
  admission: Admission,
  input: { readonly person: string; readonly signed: SignedByOwner | null },
  who: Who,
): Promise<RoomResult<OwnerChange>> {
  const { storage } = admission;
  const invitation = storage.get<InvitationRow>("invitations", input.person);
  if (invitation !== null) {
    storage.transaction(() => {
      storage.delete("invitations", invitation.id);
      admission.audit(who.role, "invitation-withdrawn", null, { whom: invitation.name, role: invitation.role.kind, ...byWhom(who) });
    });
    admission.tellInbox();
    return DONE;
  }
  const row = storage.get<PersonRow>("persons", input.person);
  if (row === null) return NOT_FOUND;
  const action = row.state === "accepted" ? "person-declined" : "person-removed";
  const end = (): void => forget(admission, row, action, who);
  if (row.state === "accepted" || row.role.kind === "viewer") {
    storage.transaction(end);
    await farewell(admission, row);
    return DONE;
  }
  if (input.signed === null) return REFUSED;
  const others = trustedKeys(admission).filter((key) => key.credentialId !== row.passkey.credentialId);
  if (!others.some(isOwner)) return CONFLICT;
  const read = removalOf(admission, row, input.signed);
  if (read === null || !(await isByOwner(admission, "owner-remove", read.bytes, input.signed, others))) return REFUSED;
  return endSay(admission, row, input.signed, end);
}

/** A person goes by itself; with a passkey in the key log by that passkey's own signature, so that the machine forgets it, too. */
export async function leave(admission: Admission, signed: SignedByOwner | null, who: Who): Promise<RoomResult<OwnerChange>> {
  const row = who.person;
  // A gateway goes to another account by a new claim (PROTOCOL.md KL12).
  if (row === null) return CONFLICT;
  const { storage, options } = admission;
  const end = (): void => forget(admission, row, "person-left", who);
  if (row.role.kind === "viewer") {
    storage.transaction(end);
    await farewell(admission, row);
    return DONE;
  }
  const keys = trustedKeys(admission);
  const own = keys.filter((key) => key.credentialId === row.passkey.credentialId);
  if (!keys.some((key) => isOwner(key) && key.credentialId !== row.passkey.credentialId)) return CONFLICT;
  const read = signed === null ? null : removalOf(admission, row, signed);
  if (signed === null || read === null) return REFUSED;
  const { approveOrigin: origin, rpId } = options.config;
  const signer = await verifySigned(signed, { type: "owner-remove", body: read.bytes, origin, rpId, ownerKeys: own });
  return typeof signer === "string" ? REFUSED : endSay(admission, row, signed, end);
}

/** What somebody would leave, and which passkey must say so. */
export function leavingOf(admission: Admission, { person }: Who): Leaving {
  const { name: gatewayName, account } = admission.mustMeta();
  const credentialId = person === null || person.role.kind === "viewer" ? null : person.passkey.credentialId;
  return { gatewayName, account, credentialId, mayLeave: person !== null };
}

/** @returns what an approver may give at most; null for whom only the machine's policy bounds */
export function ceilingOf(person: PersonRow | null): Ceiling | null {
  if (person === null || person.role.kind !== "approver") return null;
  return { maxAccess: person.role.maxAccess, maxExpiryMs: person.role.maxExpiryMs };
}

/** @returns the statement when it is about this person's passkey at this gateway */
function removalOf(admission: Admission, row: PersonRow, signed: SignedByOwner) {
  const { gateway, account } = admission.mustMeta();
  const read = readOwnerRemoval(signed.statement);
  if (read === null || read.body.gateway !== gateway || read.body.account !== account) return null;
  return read.body.credentialId === row.passkey.credentialId ? read : null;
}

async function endSay(admission: Admission, row: PersonRow, signed: SignedByOwner, end: () => void): Promise<RoomResult<OwnerChange>> {
  // The check waited: another removal may have come first.
  if (admission.storage.get<PersonRow>("persons", row.id)?.state !== "confirmed") return CONFLICT;
  const message = { type: "owner-remove", id: `owner-gone-${row.passkey.credentialId.slice(0, ID_CHARS)}`, signed } as const;
  const told = commitAndTell(admission, message, () => {
    end();
    admission.storage.delete("owed", `owner-${row.passkey.credentialId.slice(0, ID_CHARS)}`);
  });
  await farewell(admission, row);
  return told;
}

/** The devices that the person opened for itself end; its dashboards lose the gateway. */
export async function farewell(admission: Admission, row: PersonRow): Promise<void> {
  const gone = { gateway: admission.mustMeta().gateway, state: admission.state() };
  void admission.notices.inboxOf(row.account, (inbox) => inbox.forgetGateway(gone));
  const own = admission.storage.all<DeviceRow>("devices").filter((device) => {
    const grant = admission.storage.get<GrantRow>("grants", device.grant);
    return device.kind === "owner" && device.state !== "cut" && grant?.signed.assertion.credentialId === row.passkey.credentialId;
  });
  await Promise.all(own.map((device) => cut(admission, device.id)));
  admission.tellInbox();
}
