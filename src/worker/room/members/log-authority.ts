/** Whose word stands behind an entry that gives somebody a say: the room checks by its own keys, because the machine's user could forge the log (PROTOCOL.md LP5). */
import { readOwnerKey, readRecover, readRecoveryKey } from "../../../core/trust/statement.ts";
import { verifyTagged } from "../../../core/trust/public-key.ts";
import { isWiderRole, wideningFor } from "../../../core/trust/local-policy.ts";
import type { KeyLogBody } from "../../../protocol/key-log.ts";
import type { Admission } from "../context.ts";
import { isByOwner, trustedKeys } from "./owners.ts";
import { proposalRow } from "./proposals.ts";

function isSame(a: object | null | undefined, b: object): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** @returns whether the entry gives nobody a say, or somebody whom the room trusts has signed it */
export async function hasAuthority(admission: Admission, body: KeyLogBody): Promise<boolean> {
  const { storage } = admission;
  const account = admission.mustMeta().account;
  // Also those on their way out: what they signed before then stands.
  const keys = storage.ownerKeys();
  switch (body.type) {
    case "owner-add": {
      const { key, role, authority } = body;
      // Verified when its owner decided, in this room.
      if (keys.some((each) => isSame(each, role === undefined ? key : { ...key, role }))) return true;
      const read = readOwnerKey(authority.signed.statement);
      if (read === null || read.body.account !== account || read.body.credentialId !== key.credentialId) return false;
      return isSame(read.body.key, key.key) && isByOwner(admission, "owner-key", read.bytes, authority.signed, keys);
    }
    case "owner-role": {
      const known = keys.find(({ credentialId }) => credentialId === body.credentialId);
      return known === undefined || !isWiderRole(known.role, body.role);
    }
    case "recovery-key": {
      const { key, authority } = body;
      if (key === null || authority.by === "host" || isSame(storage.recoveryKey()?.key, key)) return true;
      const read = readRecoveryKey(authority.signed.statement);
      if (read === null || read.body.account !== account || !isSame(read.body.key, key)) return false;
      return isByOwner(admission, "recovery-key", read.bytes, authority.signed, keys);
    }
    case "recover": {
      const read = readRecover(body.signed.statement);
      const recovery = storage.recoveryKey();
      if (read === null || read.body.account !== account) return false;
      if (keys.some(({ credentialId }) => credentialId === read.body.credentialId)) return true;
      return recovery !== null && verifyTagged(recovery.key, "recover", read.bytes, body.signed.signature);
    }
    default:
      return true;
  }
}

/** @returns whether an owner's signature over the proposal stands behind an effect, by the room's own keys */
export async function isApproved(admission: Admission, { proposal, signed }: Extract<KeyLogBody, { type: "effect" }>): Promise<boolean> {
  const row = proposalRow(admission, proposal);
  if (row === null || signed === null) return false;
  if (row.signed?.statement === signed.statement) return true;
  const read = wideningFor(admission.mustMeta().gateway, row, signed);
  return read !== null && (await isByOwner(admission, "widening", read.bytes, signed, trustedKeys(admission)));
}
