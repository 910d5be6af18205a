/** Another machine became the connector of this gateway: what the log before admitted ends, and its devices can be approved together (PROTOCOL.md EN11, GR6). */
import { narrowerOf } from "../../../core/trust/local-policy.ts";
import { isAgainOf } from "../../../core/trust/approve-again.ts";
import type { ApproveAgainView } from "../../../protocol/approval-api.ts";
import { CLOSE_SESSION_OVER } from "../../../protocol/close-codes.ts";
import type { GrantStatement, SignedByOwner } from "../../../protocol/statements.ts";
import type { Admission } from "../context.ts";
import { isBlocked } from "../devices/blocks.ts";
import { commitGrant, isStillHere, verifiedGrant } from "../pairing/decisions.ts";
import { dropNoticesOf } from "../devices/new-device-alerts.ts";
import { trustedKeys } from "./owners.ts";
import { ceilingOf } from "./members.ts";
import { policyOf } from "./proposals.ts";
import type { DecidedAgain, RoomResult } from "../rpc.ts";
import type { DeviceRow, GrantRow, RequestRow, SessionRow } from "../storage/rows.ts";
import type { Who } from "../roles.ts";

/** Paused by its owner, or frozen because its token was used from two places: not one of many in a list. */
function isStopped({ suspendedAtMs, token }: DeviceRow): boolean {
  return suspendedAtMs !== undefined || token?.isFrozen === true;
}

/** @returns devices that an owner may approve again, whose time is not over and that nobody stopped meanwhile */
function waitingAgain(admission: Admission): DeviceRow[] {
  const { storage, options } = admission;
  const nowMs = options.now();
  const isMeant = (row: DeviceRow): boolean =>
    row.state === "approve-again" && row.notAfterMs > nowMs && !isStopped(row) && !isBlocked(admission, row.id);
  return storage.all<DeviceRow>("devices").filter(isMeant);
}

/** Inside a transaction: no grant, session or token of the log before counts any more. @returns how many devices must be approved again */
export function endFormerGrants(admission: Admission): number {
  const { storage } = admission;
  for (const row of storage.all<DeviceRow>("devices"))
    if (row.state !== "cut")
      admission.saveDevice({ ...row, state: "approve-again", token: row.token?.isFrozen === true ? row.token : null, activation: null });
  for (const row of storage.all<GrantRow>("grants")) {
    if (row.state !== "owed" && row.state !== "live") continue;
    admission.saveGrant({ ...row, state: "revoked" });
    storage.delete("owed", `grant-${row.id}`);
  }
  for (const row of storage.all<SessionRow>("sessions")) storage.delete("sessions", row.id);
  return waitingAgain(admission).length;
}

/** After the commit: what those devices had open ends, and nobody is asked about their former grants any more. */
export function endFormerStreams(admission: Admission): void {
  for (const row of admission.storage.all<DeviceRow>("devices")) {
    if (row.state !== "approve-again") continue;
    admission.relay.endDevice(row.id, CLOSE_SESSION_OVER, "another machine was connected");
    dropNoticesOf(admission, row.id);
  }
}

/** @returns everything that the page needs to verify and sign; the former grants prove which devices an owner had approved */
export function approveAgainView(admission: Admission, { person }: Who): ApproveAgainView {
  const { storage } = admission;
  const { gateway, name } = admission.mustMeta();
  const own = ceilingOf(person);
  const policy = policyOf(admission);
  return {
    gateway,
    gatewayName: name,
    gatewayState: admission.state(),
    head: admission.keyLog.head()?.hash ?? null,
    signers: trustedKeys(admission).map(({ credentialId }) => credentialId),
    ceiling: own === null ? policy : narrowerOf(policy, own),
    devices: waitingAgain(admission).flatMap(({ id, name: deviceName, lastSeenMs, grant }) => {
      const former = storage.get<GrantRow>("grants", grant);
      return former === null ? [] : [{ device: id, name: deviceName, lastSeenMs, former: former.signed }];
    }),
  };
}

type Verified = { readonly id: string; readonly body: GrantStatement };

/** @returns the device's row, when the grant is for it, no wider and no longer than its former one */
function formerOf(admission: Admission, body: GrantStatement): DeviceRow | null {
  const row = waitingAgain(admission).find((each) => each.id === body.device);
  return row !== undefined && isAgainOf(body, { ...row, device: row.id }) ? row : null;
}

/**
 * Grants that one gesture signed: each is judged alone, and one that is refused leaves the others valid.
 *
 * @returns for each, in order: what became of it; `device` null for one that names no device of the list
 */
export async function approveAgain(
  admission: Admission,
  input: { readonly signed: readonly SignedByOwner[]; readonly by?: string | null },
  who: Who,
): Promise<RoomResult<readonly DecidedAgain[]>> {
  const judged: { readonly grant: Verified | null; readonly signed: SignedByOwner }[] = [];
  for (const signed of input.signed) judged.push({ grant: await verifiedGrant(admission, signed), signed });
  if (!isStillHere(admission, who)) return { ok: false, failure: "not-found" };
  const decide = async ({ grant, signed }: (typeof judged)[number]): Promise<DecidedAgain> => {
    const row = grant === null ? null : formerOf(admission, grant.body);
    if (grant === null || row === null) return { device: null, outcome: "refused", refusal: "other" };
    // Its page may have asked meanwhile: that is answered, too.
    const asked = admission.storage.all<RequestRow>("requests").find((each) => each.device === row.id) ?? null;
    return commitGrant(admission, grant, signed, asked, input.by ?? null, who);
  };
  return { ok: true, value: await Promise.all(judged.map(decide)) };
}
