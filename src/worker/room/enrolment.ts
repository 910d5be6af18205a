/** A machine becomes the connector of this gateway: everything about the one before it ends. */
import { NO_COPIES } from "../../core/copy-watch.ts";
import type { ConnectorKey, OwnerKey, SignedByOwner } from "../../protocol/statements.ts";
import type { Admission } from "./admission.ts";
import { setRecoveryKey } from "./owners.ts";
import { confirmAllAnew } from "./person-changes.ts";
import { forgetProposals } from "./proposals.ts";
import type { Relay } from "./relay.ts";
import type { RoomResult } from "./room-rpc.ts";
import type { Who } from "./standing.ts";

export interface NewConnector {
  readonly account: string;
  readonly key: ConnectorKey;
  /** Passkeys that the new key log begins with. */
  readonly ownerKeys: readonly OwnerKey[];
  readonly recovery?: SignedByOwner | null;
}

/**
 * Pins the new machine's key and ends the link of the old one.
 *
 * @returns `not-found` for everybody but the account that claimed the gateway
 */
export async function enrolConnector(admission: Admission, relay: Relay, input: NewConnector, who: Who): Promise<RoomResult<null>> {
  const meta = admission.mustMeta();
  // The new key log begins with the passkeys of the account that claimed the gateway.
  if (who.person !== null) return { ok: false, failure: "not-found" };
  relay.endLink(4410, "another machine is this gateway's connector now");
  admission.storage.transaction(() => {
    admission.storage.setMeta({ ...meta, key: input.key, previousKey: null, copies: NO_COPIES, generation: 0, acknowledged: 0 });
    admission.storage.setOwnerKeys(input.ownerKeys);
    admission.storage.setRecoveryKey(null);
    admission.storage.clearKeyLog();
    forgetProposals(admission);
    confirmAllAnew(admission);
    admission.audit("owner", "connector-enrolled", null, { ownerKeys: input.ownerKeys.length });
  });
  const { recovery = null } = input;
  if (recovery !== null) {
    const set = await setRecoveryKey(admission, input.account, recovery);
    // What the connector refuses it says itself; this is the room's own no, say to a passkey that is not pinned here.
    if (!set.ok) admission.audit("gatehouse", "recovery-key-not-taken", null, { why: set.failure });
  }
  admission.tellInbox();
  return { ok: true, value: null };
}
