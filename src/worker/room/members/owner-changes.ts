/** What follows in the room when the connector took, or refused, a change of owners. */
import { passkeysIn } from "../../../core/trust/owner-passkeys.ts";
import { readRecover, readRecoveryKey } from "../../../core/trust/statement.ts";
import type { KeyLogBody } from "../../../protocol/key-log.ts";
import type { LinkResult } from "../../../protocol/link-messages.ts";
import type { SignedByRecovery } from "../../../protocol/statements.ts";
import type { Admission } from "../context.ts";
import { confirmationRefused, passkeyLost } from "./member-changes.ts";
import type { Owed } from "../storage/rows.ts";

type OwnerMessage = Extract<Owed, { type: "owner-key" | "owner-remove" | "recovery-key" | "recover" }>;

/** The room says what the connector says: a passkey or recovery key that it refused counts here no longer, one that it took out is gone. */
export function ownerChangeSettled(admission: Admission, message: OwnerMessage, result: LinkResult): void {
  const { storage } = admission;
  const { adds, removes } = passkeysIn(message);
  storage.transaction(() => {
    if (result.ok) for (const credentialId of removes) storage.delete("owner_keys", credentialId);
    else if (adds !== null) {
      storage.delete("owner_keys", adds);
      confirmationRefused(admission, adds);
    }
    if (!result.ok && message.type === "recovery-key") {
      const refused = readRecoveryKey(message.signed.statement)?.body;
      if (refused !== undefined && storage.recoveryKey()?.key.x === refused.key.x) storage.setRecoveryKey(null);
    }
    if (!result.ok) admission.audit("gateway", `${message.type}-refused`, null, { why: result.refusal ?? "unknown" });
  });
  admission.tellInbox();
}

/** The connector pinned a recovery key, or the host took it out. */
export function followRecoveryKey(admission: Admission, body: Extract<KeyLogBody, { type: "recovery-key" }>): void {
  const { storage } = admission;
  if (body.key === null) return storage.setRecoveryKey(null);
  const issuedAtMs = body.authority.by === "owner" ? readRecoveryKey(body.authority.signed.statement)?.body.issuedAtMs : undefined;
  if (issuedAtMs !== undefined && issuedAtMs >= (storage.recoveryKey()?.issuedAtMs ?? 0))
    storage.setRecoveryKey({ key: body.key, issuedAtMs });
}

/** The recovery key changed the owners on the machine. */
export function followRecover(admission: Admission, signed: SignedByRecovery): void {
  const body = readRecover(signed.statement)?.body;
  if (body === undefined) return;
  for (const credentialId of body.remove) {
    admission.storage.delete("owner_keys", credentialId);
    passkeyLost(admission, credentialId);
  }
  admission.storage.put("owner_keys", body.credentialId, { credentialId: body.credentialId, key: body.key });
}
