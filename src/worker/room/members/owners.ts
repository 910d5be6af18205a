/** Who may decide for this gateway, as the room sees it: it refuses early, the connector has the last word (PROTOCOL.md KL5, KL9-KL11). */
import { verifySigned } from "../../../core/trust/assertion.ts";
import type { PinnedKey } from "../../../core/trust/judge.ts";
import { isOwner } from "../../../core/trust/key-log-owners.ts";
import { passkeysIn } from "../../../core/trust/owner-passkeys.ts";
import { isSoundKey, verifyTagged } from "../../../core/trust/public-key.ts";
import { readOwnerKey, readOwnerRemoval, readRecover, readRecoveryKey } from "../../../core/trust/statement.ts";
import type { StatementType } from "../../../protocol/statement-encoding.ts";
import type { SignedByOwner, SignedByRecovery } from "../../../protocol/statements.ts";
import type { Admission } from "../context.ts";
import { deliver } from "../pending-commands.ts";
import { passkeyLost } from "./member-changes.ts";
import type { OwnerChange, RoomOwners, RoomResult } from "../rpc.ts";
import type { Owed } from "../storage/rows.ts";

const REFUSED = { ok: false, failure: "grant-refused" } as const;
/** Of a credential id, in the name of what is owed about it. */
export const ID_CHARS = 40;

/** @returns the passkeys whose word counts here: one that is being taken out has none, whenever the connector hears of it */
export function trustedKeys(admission: Admission): PinnedKey[] {
  const going = new Set(admission.storage.owed().flatMap((message) => passkeysIn(message).removes));
  return admission.storage.ownerKeys().filter((key) => !going.has(key.credentialId));
}

/** What the owner's page shows about this gateway. */
export function ownersOf(admission: Admission): RoomOwners {
  const { storage } = admission;
  const owed = storage.owed();
  const [coming, going] = [new Set<string | null>(), new Set<string>()];
  for (const message of owed) {
    const { adds, removes } = passkeysIn(message);
    coming.add(adds);
    for (const credentialId of removes) going.add(credentialId);
  }
  const recovery = storage.recoveryKey();
  return {
    keys: storage.ownerKeys().map(({ credentialId, role }) => ({
      credentialId,
      person: storage.persons().find((row) => row.passkey.credentialId === credentialId)?.name ?? null,
      state: going.has(credentialId) ? "removing" : coming.has(credentialId) ? "adding" : "trusted",
      role: role ?? { kind: "owner" },
    })),
    recovery:
      recovery === null
        ? null
        : { key: recovery.key, state: owed.some((message) => message.type === "recovery-key") ? "adding" : "trusted" },
  };
}

/** @returns whether an owner's passkey, of those given, signed exactly this */
export async function isByOwner(
  admission: Admission,
  type: StatementType,
  body: Uint8Array<ArrayBuffer>,
  signed: SignedByOwner,
  ownerKeys: readonly PinnedKey[],
): Promise<boolean> {
  const { approveOrigin: origin, rpId } = admission.options.config;
  const signer = await verifySigned(signed, { type, body, origin, rpId, ownerKeys });
  return typeof signer !== "string" && isOwner(signer);
}

/** Commits, then tells the connector. @param change inside the transaction @returns how far it came */
async function commit(admission: Admission, message: Owed, action: string, change: () => void): Promise<RoomResult<OwnerChange>> {
  return commitAndTell(admission, message, () => {
    change();
    admission.audit("owner", action, null, {});
  });
}

/** @see commit; for changes that say themselves what the audit says of them */
export async function commitAndTell(admission: Admission, message: Owed, change: () => void): Promise<RoomResult<OwnerChange>> {
  admission.storage.transaction(() => {
    change();
    admission.storage.owe(message);
  });
  const result = await deliver(admission, message);
  admission.tellInbox();
  const isOwed = admission.storage.get("owed", message.id) !== null;
  return { ok: true, value: isOwed || result === null ? "waiting" : result.ok ? "done" : "refused" };
}

/** Pins one more owner passkey, endorsed by one that the room already holds. */
export async function addOwnerKey(admission: Admission, account: string, signed: SignedByOwner): Promise<RoomResult<OwnerChange>> {
  const statement = readOwnerKey(signed.statement);
  if (statement === null || statement.body.account !== account || !isSoundKey(statement.body.key)) return REFUSED;
  // Another member's passkey comes by an invitation: members.ts.
  if (statement.body.person !== undefined) return REFUSED;
  if (!(await isByOwner(admission, "owner-key", statement.bytes, signed, trustedKeys(admission)))) return REFUSED;
  const { credentialId, key } = statement.body;
  const isKnown = trustedKeys(admission).some((each) => each.credentialId === credentialId);
  const message = { type: "owner-key", id: `owner-${credentialId.slice(0, ID_CHARS)}`, signed } as const;
  return commit(admission, message, "owner-key-added", () => {
    if (!isKnown) admission.storage.put("owner_keys", credentialId, { credentialId, key });
  });
}

/** Takes one owner passkey out: signed by another one that the room holds. Its word ends here at once. */
export async function removeOwnerKey(admission: Admission, account: string, signed: SignedByOwner): Promise<RoomResult<OwnerChange>> {
  const statement = readOwnerRemoval(signed.statement);
  if (statement === null || statement.body.account !== account || statement.body.gateway !== undefined) return REFUSED;
  const { credentialId } = statement.body;
  const others = trustedKeys(admission).filter((key) => key.credentialId !== credentialId);
  if (!(await isByOwner(admission, "owner-remove", statement.bytes, signed, others))) return REFUSED;
  const message = { type: "owner-remove", id: `owner-gone-${credentialId.slice(0, ID_CHARS)}`, signed } as const;
  return commit(admission, message, "owner-key-removed", () => passkeyLost(admission, credentialId));
}

/** Pins the account's recovery key; the statement of a later moment wins. */
export async function setRecoveryKey(admission: Admission, account: string, signed: SignedByOwner): Promise<RoomResult<OwnerChange>> {
  const statement = readRecoveryKey(signed.statement);
  if (statement === null || statement.body.account !== account || !isSoundKey(statement.body.key)) return REFUSED;
  const { key, issuedAtMs } = statement.body;
  const before = admission.storage.recoveryKey();
  if (before !== null && before.key.x !== key.x && before.issuedAtMs >= issuedAtMs) return REFUSED;
  if (!(await isByOwner(admission, "recovery-key", statement.bytes, signed, trustedKeys(admission)))) return REFUSED;
  const message = { type: "recovery-key", id: "recovery-key", signed } as const;
  return commit(admission, message, "recovery-key-set", () => admission.storage.setRecoveryKey({ key, issuedAtMs }));
}

/** The recovery key's word: one passkey comes, lost ones go. */
export async function recoverOwners(admission: Admission, account: string, signed: SignedByRecovery): Promise<RoomResult<OwnerChange>> {
  const statement = readRecover(signed.statement);
  if (statement === null || statement.body.account !== account || !isSoundKey(statement.body.key)) return REFUSED;
  const { credentialId, key, remove } = statement.body;
  const recovery = admission.storage.recoveryKey();
  if (recovery === null || remove.includes(credentialId)) return REFUSED;
  if (!(await verifyTagged(recovery.key, "recover", statement.bytes, signed.signature))) return REFUSED;
  const message = { type: "recover", id: `recover-${credentialId.slice(0, ID_CHARS)}`, signed } as const;
  return commit(admission, message, "owners-recovered", () => {
    admission.storage.put("owner_keys", credentialId, { credentialId, key });
    for (const gone of remove) passkeyLost(admission, gone);
  });
}
