/** What the room owes the connector: sent again after every `ack` until its result came (PROTOCOL.md LINK7). */
import type { GrantRefusal, Receipt } from "../../protocol/api.ts";
import type { ToDoor } from "../../protocol/door-messages.ts";
import type { LinkResult } from "../../protocol/link-messages.ts";
import type { Admission } from "./admission.ts";
import { changeNotice } from "./grant-notices.ts";
import type { DeviceRow, GrantRow, Owed } from "./storage.ts";

/** Sends what is owed and settles it with the connector's answer; stays owed when the link goes first. @returns the answer, or null */
export async function deliver(admission: Admission, message: Owed): Promise<LinkResult | null> {
  const result = await admission.relay.command(message);
  if (result !== null) settle(admission, message, result);
  return result;
}

/** Settles what was owed with the connector's answer. Twice is as good as once. */
export function settle(admission: Admission, message: Owed, result: LinkResult): void {
  // A cut that did not happen stays owed, and so does everything that only failed on the way.
  if (!result.ok && (message.type === "cut" || result.refusal === "internal")) return;
  admission.storage.delete("owed", message.id);
  if (message.type === "grant") grantSettled(admission, message.grant, result);
  if (message.type === "cut") cutSettled(admission, message.device, result);
}

function grantSettled(admission: Admission, grantId: string, result: LinkResult): void {
  const { storage, notices } = admission;
  const grant = storage.get<GrantRow>("grants", grantId);
  const device = grant === null ? null : admission.device(grant.device);
  if (grant === null || device === null || device.grant !== grantId || grant.state !== "owed") return;
  const needsHost = result.ok && result.needsHost === true;
  storage.transaction(() => {
    admission.saveGrant({ ...grant, state: result.ok ? "live" : "refused" });
    if (result.ok) admission.saveDevice({ ...device, state: "allowed", needsHost });
    else storage.delete("devices", device.id);
    admission.audit(
      "gateway",
      result.ok ? "grant-applied" : "grant-refused",
      device.id,
      result.refusal === undefined ? (needsHost ? { needsHost } : {}) : { why: result.refusal },
    );
  });
  if (needsHost) changeNotice(admission, grantId, { state: "needs-host" });
  else if (!result.ok) changeNotice(admission, grantId, { state: "refused", refusal: refusalOf(result) });
  if (needsHost) notices.device(device.id, { type: "allowed", live: false, needsHost });
  else notices.device(device.id, result.ok ? { type: "allowed", live: true } : { type: "ended", why: endOf(refusalOf(result)) });
  admission.tellInbox();
}

/** @returns what an owner can do something about, of all that a connector may answer */
export function refusalOf(result: LinkResult): GrantRefusal {
  switch (result.refusal) {
    case "over-ceiling":
    case "stale-head":
    case "alarm":
    case "unknown-owner-key":
      return result.refusal;
    default:
      return "other";
  }
}

function endOf(refusal: GrantRefusal): Extract<ToDoor, { type: "ended" }>["why"] {
  return refusal === "other" || refusal === "unknown-owner-key" ? "grant-refused" : refusal;
}

/** Somebody at the gateway's machine agreed to a grant that its policy held back: from here on sessions open. */
export function confirmedOnHost(admission: Admission, row: DeviceRow): void {
  if (row.needsHost !== true) return;
  admission.saveDevice({ ...row, needsHost: false });
  changeNotice(admission, row.grant, { state: "granted" });
  admission.notices.device(row.id, { type: "allowed", live: true });
  admission.tellInbox();
}

/** The connector said at a session what the room had forgotten: a word on its machine is still missing. */
export function heldBackOnHost(admission: Admission, row: DeviceRow): void {
  if (row.needsHost === true) return;
  admission.saveDevice({ ...row, needsHost: true });
  changeNotice(admission, row.grant, { state: "needs-host" });
  admission.tellInbox();
}

function cutSettled(admission: Admission, device: string, result: LinkResult): void {
  const receipt = admission.storage.get<Receipt>("receipts", device);
  if (receipt === null || result.cut === undefined) return;
  const { done, removed, tookMs, atMs } = result.cut;
  admission.storage.saveReceipt({
    ...receipt,
    gateway: { state: done ? "done" : "pending", entriesRemoved: removed, tookMs: tookMs ?? null, atMs: done ? atMs : null },
  });
  admission.tellInbox();
}
