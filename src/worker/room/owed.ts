/** What the room owes the connector: sent again after every `ack` until its result came (PROTOCOL.md LINK7). */
import type { Receipt } from "../../protocol/api.ts";
import type { LinkResult } from "../../protocol/link-messages.ts";
import type { Admission } from "./admission.ts";
import { ownerChangeSettled } from "./owner-changes.ts";
import type { GrantRow, Owed } from "./storage.ts";

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
  // Who may decide waits until somebody at the machine has looked; a device would have to ask again anyway.
  if (!result.ok && message.type !== "grant" && result.refusal === "alarm") return;
  admission.storage.delete("owed", message.id);
  if (message.type === "grant") grantSettled(admission, message.grant, result);
  else if (message.type === "cut") cutSettled(admission, message.device, result);
  else ownerChangeSettled(admission, message, result);
}

function grantSettled(admission: Admission, grantId: string, result: LinkResult): void {
  const { storage, notices } = admission;
  const grant = storage.get<GrantRow>("grants", grantId);
  const device = grant === null ? null : admission.device(grant.device);
  if (grant === null || device === null || device.grant !== grantId || grant.state !== "owed") return;
  storage.transaction(() => {
    admission.saveGrant({ ...grant, state: result.ok ? "live" : "refused" });
    if (result.ok) admission.saveDevice({ ...device, state: "allowed" });
    else storage.delete("devices", device.id);
    admission.audit(
      "gateway",
      result.ok ? "grant-applied" : "grant-refused",
      device.id,
      result.refusal === undefined ? {} : { why: result.refusal },
    );
  });
  notices.device(device.id, result.ok ? { type: "allowed", live: true } : { type: "ended", why: "grant-refused" });
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
