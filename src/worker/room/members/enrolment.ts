/** A machine becomes the connector of this gateway: everything about the one before it ends (PROTOCOL.md EN6, EN7). */
import { NO_COPIES } from "../../../core/trust/copy-watch.ts";
import { keyText } from "../../../core/trust/digests.ts";
import { isOwner } from "../../../core/trust/key-log-owners.ts";
import { judgeGenesis } from "../../../core/trust/genesis.ts";
import { statementHash } from "../../../core/trust/statement-list.ts";
import type { OwnerKey, SignedByOwner } from "../../../protocol/statements.ts";
import type { Admission } from "../context.ts";
import { endFormerGrants, endFormerStreams } from "./approve-again.ts";
import { setRecoveryKey, trustedKeys } from "./owners.ts";
import { confirmAllAnew } from "./member-changes.ts";
import { forgetProposals } from "./proposals.ts";
import type { Relay } from "../relay/relay.ts";
import type { RoomResult } from "../rpc.ts";

export interface NewConnector {
  readonly account: string;
  readonly gateway: string;
  readonly name: string;
  /** Begins the machine's key log; signed by the passkey that becomes its first owner. */
  readonly genesis: SignedByOwner;
  readonly recovery?: SignedByOwner | null;
}

/**
 * Verifies the genesis, pins the new machine's key and its first owner, and ends what the old machine admitted, and its link. Idempotent by
 * the genesis.
 *
 * @returns `grant-refused` for a genesis that is not about this room, `not-owner-here` when another machine is there and the passkey does
 * not decide for it, `not-found` for another account
 */
export async function enrolConnector(admission: Admission, relay: Relay, input: NewConnector): Promise<RoomResult<null>> {
  const { config } = admission.options;
  const { storage } = admission;
  const isOthers = (): boolean => {
    const meta = storage.meta();
    return meta !== null && (meta.gateway !== input.gateway || meta.account !== input.account);
  };
  if (isOthers()) return { ok: false, failure: "not-found" };
  const judged = await judgeGenesis(input.genesis, null);
  if (typeof judged === "string") return { ok: false, failure: "grant-refused" };
  const { statement, owner } = judged;
  const genesis = await statementHash("genesis", judged.bytes);
  const isOurs =
    statement.gateway === input.gateway &&
    statement.account === input.account &&
    statement.gatewayOrigin === config.gatewayOrigin(input.gateway) &&
    statement.appOrigin === config.appOrigin &&
    statement.approveOrigin === config.approveOrigin &&
    statement.rpId === config.rpId;
  if (!isOurs) return { ok: false, failure: "grant-refused" };
  if (isOthers()) return { ok: false, failure: "not-found" };
  const meta = storage.meta();
  if (meta?.genesis === genesis) return { ok: true, value: null };
  if (meta !== null && meta.key !== null && !decidesHere(admission, owner)) return { ok: false, failure: "not-owner-here" };
  const isAnew = meta !== null && meta.key !== null;
  storage.transaction(() => {
    const kept = meta ?? { connectorVersion: null, lastSeenMs: null, name: input.name };
    const named = { gateway: input.gateway, account: input.account };
    const fresh = { key: statement.connectorKey, previousKey: null, copies: NO_COPIES, generation: 0, acknowledged: 0, genesis };
    storage.setMeta({ ...kept, ...named, ...fresh });
    storage.setOwnerKeys([owner]);
    storage.setRecoveryKey(null);
    storage.clearKeyLog();
    forgetProposals(admission);
    confirmAllAnew(admission);
    if (isAnew) admission.audit("owner", "connector-enrolled-anew", null, { devices: endFormerGrants(admission) });
    else admission.audit("owner", "connector-enrolled", null, { ownerKeys: 1 });
  });
  if (isAnew) endFormerStreams(admission);
  relay.endLink(4410, "another machine is this gateway's connector now");
  const { recovery = null } = input;
  if (recovery !== null) {
    const set = await setRecoveryKey(admission, input.account, recovery);
    // The connector reports its own refusal; this is the room's, for a passkey that is not pinned here.
    if (!set.ok) admission.audit("gatehouse", "recovery-key-not-taken", null, { why: set.failure });
  }
  admission.tellInbox();
  return { ok: true, value: null };
}

/** Who claimed the account alone is not enough: a stolen session must not take over a gateway that has an owner. */
function decidesHere(admission: Admission, owner: OwnerKey): boolean {
  return trustedKeys(admission).some(
    (key) => isOwner(key) && key.credentialId === owner.credentialId && keyText(key.key) === keyText(owner.key),
  );
}
