/** What the room owes the connector: sent again after every `ack` until its result came, in order, and not beyond its time (PROTOCOL.md LINK7, GR5). */
import { restsOn } from "../../core/trust/owner-passkeys.ts";
import { readGrant } from "../../core/trust/statement.ts";
import type { GrantRefusal } from "../../protocol/approval-api.ts";
import type { ToDoor } from "../../protocol/door-messages.ts";
import type { LinkResult } from "../../protocol/link-messages.ts";
import type { Admission } from "./context.ts";
import { tellAllowed } from "./pairing/challenge.ts";
import { changeNotice } from "./devices/new-device-alerts.ts";
import { ownerChangeSettled } from "./members/owner-changes.ts";
import { proposalSettled } from "./members/proposals.ts";
import { cutAnswered, cutAsked } from "./devices/receipts.ts";
import type { GrantRow, Owed } from "./storage/rows.ts";

/** Sends what is owed and settles it with the connector's answer; stays owed when the link goes first. @returns the answer, or null */
export async function deliver(admission: Admission, message: Owed): Promise<LinkResult | null> {
  // On a link that has not acknowledged yet nothing of what is owed has been sent: what it rests on goes first.
  for (const earlier of admission.storage.owed()) {
    if (earlier.id === message.id) break;
    if (restsOn(message, earlier)) admission.background("owed", deliver(admission, earlier));
  }
  return send(admission, message);
}

async function send(admission: Admission, message: Owed): Promise<LinkResult | null> {
  if (message.type === "cut") cutAsked(admission, message);
  const result = await admission.relay.command(message);
  if (result !== null) await settle(admission, message, result);
  return result;
}

/** Everything that is owed, in the order in which it was decided; what came too late meanwhile is over first. */
export function deliverAll(admission: Admission): void {
  endOverdue(admission, admission.options.now());
  for (const message of admission.storage.owed()) admission.background("owed", send(admission, message));
}

/** Settles what was owed with the connector's answer. Twice is as good as once. */
export async function settle(admission: Admission, message: Owed, result: LinkResult): Promise<void> {
  if (message.type === "cut") return cutAnswered(admission, message, result);
  // What only failed on the way stays owed.
  if (!result.ok && result.refusal === "internal") return;
  if (message.type === "grant") return grantSettled(admission, message, result);
  // Who may decide waits until somebody at the machine has looked; a device would have to ask again anyway.
  if (!result.ok && result.refusal === "alarm") return;
  if (message.type === "proposal") return proposalSettled(admission, message, result);
  admission.storage.delete("owed", message.id);
  ownerChangeSettled(admission, message, result);
}

/**
 * Decisions that waited for the gateway longer than the owner gave them: they are void, and the waiting page hears it (PROTOCOL.md GR5).
 *
 * @returns when the next one will be over, in ms, or null
 */
export function endOverdue(admission: Admission, nowMs: number): number | null {
  let next: number | null = null;
  for (const message of admission.storage.owed()) {
    if (message.type !== "grant") continue;
    const applyByMs = readGrant(message.signed.statement)?.body.applyByMs ?? 0;
    if (applyByMs <= nowMs)
      admission.background("owed", grantSettled(admission, message, { type: "result", id: message.id, ok: false, refusal: "too-late" }));
    else next = next === null ? applyByMs : Math.min(next, applyByMs);
  }
  return next;
}

async function grantSettled(admission: Admission, message: Extract<Owed, { type: "grant" }>, result: LinkResult): Promise<void> {
  const { storage, notices } = admission;
  const grant = storage.get<GrantRow>("grants", message.grant);
  const device = grant === null ? null : admission.device(grant.device);
  if (grant === null || device === null || device.grant !== message.grant || grant.state !== "owed")
    return storage.delete("owed", message.id);
  const body = readGrant(message.signed.statement)?.body;
  const former = body?.kind === "again" ? body.request : null;
  storage.transaction(() => {
    storage.delete("owed", message.id);
    admission.saveGrant({ ...grant, state: result.ok ? "live" : "refused" });
    if (result.ok) admission.saveDevice({ ...device, state: "allowed" });
    else if (former === null) storage.delete("devices", device.id);
    // Its owner can try once more, with what the machine takes.
    else admission.saveDevice({ ...device, state: "approve-again", grant: former });
    admission.audit(
      "gateway",
      result.ok ? "grant-applied" : "grant-refused",
      device.id,
      result.refusal === undefined ? {} : { why: result.refusal },
    );
  });
  if (!result.ok) changeNotice(admission, message.grant, { state: "refused", refusal: refusalOf(result) });
  admission.tellInbox();
  if (result.ok) await tellAllowed(admission, device.id, result.first);
  else notices.device(device.id, { type: "ended", why: endOf(refusalOf(result)) });
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
