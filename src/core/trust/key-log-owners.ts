/** Who may decide for a gateway, and who may change that: passkeys with their roles, and the recovery key (PROTOCOL.md KL5, KL8-KL13). */
import type { KeyLogBody, OwnerRole } from "../../protocol/key-log.ts";
import { MAX_OWNER_KEYS } from "../../protocol/limits.ts";
import type { StatementType } from "../../protocol/statement-encoding.ts";
import type { OwnerKey, OwnerKeyStatement, SignedByOwner } from "../../protocol/statements.ts";
import { verifySigned } from "./assertion.ts";
import { isRoleBelow } from "./grant-policy.ts";
import type { PinnedKey } from "./judge.ts";
import type { Change, KeyLogProblem, KeyLogState } from "./key-log-state.ts";
import { isSoundKey, verifyTagged } from "./public-key.ts";
import { readOwnerKey, readOwnerRemoval, readRecover, readRecoveryKey } from "./statement.ts";
import type { ReadStatement } from "./statement.ts";

type Body<Type extends KeyLogBody["type"]> = Extract<KeyLogBody, { type: Type }>;

/** @returns whether a pinned passkey is an owner's: it may grant up to the policy, and change who else may decide */
export function isOwner(key: PinnedKey): boolean {
  return key.role?.kind !== "approver";
}

function sameKey(a: OwnerKey["key"], b: OwnerKey["key"]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Whether an owner's passkey signed this statement. An approver's did not: its word counts for devices, never for keys. */
export async function ownerProblem(
  state: KeyLogState,
  type: StatementType,
  read: ReadStatement<unknown>,
  signed: SignedByOwner,
  ownerKeys: readonly PinnedKey[] = state.ownerKeys,
): Promise<KeyLogProblem | null> {
  const { approveOrigin: origin, rpId } = state;
  const signer = await verifySigned(signed, { type, body: read.bytes, origin, rpId, ownerKeys });
  if (typeof signer === "string") return signer === "unknown-owner-key" ? signer : "bad-signature";
  return isOwner(signer) ? null : "over-ceiling";
}

/**
 * The role that an entry must carry for what its owner signed: nothing for an owner's, as in logs from before there were persons.
 *
 * @returns null for a role that has no place in a log: a viewer decides nothing
 */
export function loggedRole(statement: OwnerKeyStatement): OwnerRole | undefined | null {
  const role = statement.person?.role;
  if (role === undefined || role.kind === "owner") return undefined;
  return role.kind === "approver" ? role : null;
}

/**
 * Whether an owner's word about a passkey is void for what happened before it: an endorsement of the account's own never brings back one that
 * was taken out; one about a person does, if whoever signed it knew of the removal (PROTOCOL.md KL5, KL13).
 */
function isOutlived(state: KeyLogState, { credentialId, person }: OwnerKeyStatement): boolean {
  const removedAt = state.removedOwners.get(credentialId);
  if (removedAt === undefined) return false;
  const head = person?.head ?? null;
  return head === null || state.hashes.indexOf(head) < removedAt;
}

/** Whether a passkey said itself that it goes, whatever its role. It takes away nobody's word but its own. */
async function leavingProblem(state: KeyLogState, read: ReadStatement<unknown>, signed: SignedByOwner): Promise<KeyLogProblem | null> {
  const { approveOrigin: origin, rpId, ownerKeys } = state;
  const signer = await verifySigned(signed, { type: "owner-remove", body: read.bytes, origin, rpId, ownerKeys });
  if (typeof signer === "string") return signer === "unknown-owner-key" ? signer : "bad-signature";
  return null;
}

/** Pins one more passkey, whoever may have said so. */
function withKey(state: KeyLogState, key: OwnerKey, role: OwnerRole | undefined): Change | KeyLogProblem {
  if (!isSoundKey(key.key)) return "bad-statement";
  if (state.ownerKeys.some((owner) => owner.credentialId === key.credentialId)) return "nothing-changes";
  if (state.ownerKeys.length >= MAX_OWNER_KEYS) return "too-many-owner-keys";
  const removedOwners = new Map(state.removedOwners);
  removedOwners.delete(key.credentialId);
  return { ownerKeys: [...state.ownerKeys, role === undefined ? key : { ...key, role }], removedOwners };
}

/** A passkey that the machine proposed; that an owner approved it is the caller's to judge (core/trust/local-policy.ts). */
export function addProposedOwner(state: KeyLogState, key: OwnerKey, role: OwnerRole): Change | KeyLogProblem {
  return withKey(state, key, role.kind === "owner" ? undefined : role);
}

/** One more passkey, signed by an owner's, who can give an approver's role for one gateway (PROTOCOL.md KL5, KL13). */
export async function addOwner(state: KeyLogState, body: Body<"owner-add">): Promise<Change | KeyLogProblem> {
  const { key, authority, role } = body;
  const change = withKey(state, key, role);
  if (typeof change === "string") return change;
  const read = readOwnerKey(authority.signed.statement);
  if (read === null || read.body.account !== state.account) return "bad-statement";
  const { person } = read.body;
  if (person !== undefined && person.gateway !== state.gateway) return "wrong-gateway";
  if (JSON.stringify(role) !== JSON.stringify(loggedRole(read.body))) return "bad-statement";
  if (read.body.credentialId !== key.credentialId || !sameKey(read.body.key, key.key)) return "bad-statement";
  if (isOutlived(state, read.body)) return "revoked";
  const problem = await ownerProblem(state, "owner-key", read, authority.signed);
  if (problem !== null) return problem;
  return person !== undefined && !isRoleBelow(person.role, state.policy) ? "over-ceiling" : change;
}

/** A passkey goes. One that never came is written down, too: an endorsement of it that was held back on its way must find the removal. */
export async function removeOwner(state: KeyLogState, body: Body<"owner-remove">): Promise<Change | KeyLogProblem> {
  const { credentialId, authority } = body;
  // A passkey cannot take itself out, and a stolen one cannot take out the last other: the signer stays, and is another.
  const left = state.ownerKeys.filter((owner) => owner.credentialId !== credentialId);
  if (left.length === state.ownerKeys.length && state.removedOwners.has(credentialId)) return "nothing-changes";
  if (!left.some(isOwner)) return "last-owner-key";
  if (authority.by === "owner") {
    const read = readOwnerRemoval(authority.signed.statement);
    if (read === null || read.body.account !== state.account || read.body.credentialId !== credentialId) return "bad-statement";
    const { gateway } = read.body;
    if (gateway !== undefined && gateway !== state.gateway) return "wrong-gateway";
    const { statement } = authority.signed;
    if (state.spentRemovals.has(statement)) return "revoked";
    const isLeaving = gateway !== undefined && authority.signed.assertion.credentialId === credentialId;
    const problem = isLeaving
      ? await leavingProblem(state, read, authority.signed)
      : await ownerProblem(state, "owner-remove", read, authority.signed, left);
    if (problem !== null) return problem;
    return { ...removed(state, left, [credentialId]), spentRemovals: new Set(state.spentRemovals).add(statement) };
  }
  return removed(state, left, [credentialId]);
}

function removed(state: KeyLogState, left: readonly PinnedKey[], gone: readonly string[]): Change {
  const at = state.head.seq + 1;
  return { ownerKeys: left, removedOwners: new Map([...state.removedOwners, ...gone.map((id) => [id, at] as const)]) };
}

/** Another role for a passkey; somebody with an owner's stays. */
export function changeRole(
  state: KeyLogState,
  { credentialId, role }: { readonly credentialId: string; readonly role: OwnerRole },
): Change | KeyLogProblem {
  if (!state.ownerKeys.some((owner) => owner.credentialId === credentialId)) return "unknown-owner-key";
  const ownerKeys = state.ownerKeys.map((owner) => (owner.credentialId === credentialId ? { ...owner, role } : owner));
  return ownerKeys.some(isOwner) ? { ownerKeys } : "last-owner-key";
}

/** Pins the recovery key. The statement of a later moment wins, so that a key that was replaced never comes back, held back or repeated. */
export async function setRecoveryKey(state: KeyLogState, body: Body<"recovery-key">): Promise<Change | KeyLogProblem> {
  const { key, authority } = body;
  if (key !== null && !isSoundKey(key)) return "bad-statement";
  if (authority.by === "host") {
    if (key !== null) return "bad-statement";
    return state.recovery.key === null ? "nothing-changes" : { recovery: { ...state.recovery, key } };
  }
  const read = readRecoveryKey(authority.signed.statement);
  if (read === null || key === null || read.body.account !== state.account || !sameKey(read.body.key, key)) return "bad-statement";
  if (state.recovery.key !== null && sameKey(state.recovery.key, key)) return "nothing-changes";
  if (read.body.issuedAtMs <= state.recovery.issuedAtMs) return "revoked";
  const problem = await ownerProblem(state, "recovery-key", read, authority.signed);
  return problem ?? { recovery: { key, issuedAtMs: read.body.issuedAtMs } };
}

/** The recovery key's word: a passkey comes as an owner's, lost ones go, in one step. */
export async function recover(state: KeyLogState, body: Body<"recover">): Promise<Change | KeyLogProblem> {
  const read = readRecover(body.signed.statement);
  if (read === null || read.body.account !== state.account || !isSoundKey(read.body.key)) return "bad-statement";
  const { credentialId, key, remove } = read.body;
  if (state.recovery.key === null) return "unknown-owner-key";
  if (!(await verifyTagged(state.recovery.key, "recover", read.bytes, body.signed.signature))) return "bad-signature";
  const { statement } = body.signed;
  const known = state.ownerKeys.find((owner) => owner.credentialId === credentialId);
  if (state.spentRemovals.has(statement)) return known === undefined ? "revoked" : "nothing-changes";
  if (state.removedOwners.has(credentialId) || remove.includes(credentialId)) return "revoked";
  const left = state.ownerKeys.filter((owner) => ![credentialId, ...remove].includes(owner.credentialId));
  if (left.length >= MAX_OWNER_KEYS) return "too-many-owner-keys";
  return {
    ...removed(state, [...left, { credentialId, key }], remove),
    spentRemovals: new Set(state.spentRemovals).add(statement),
  };
}
