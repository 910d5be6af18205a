/** Ending a device's access: one transaction in the room, then the connector; one that does not answer loses its link (PROTOCOL.md CUT). */
import { toBase32 } from "../../../core/trust/digests.ts";
import type { Receipt } from "../../../protocol/api.ts";
import { CLOSE_CUT, CLOSE_UNANSWERED } from "../../../protocol/close-codes.ts";
import { CUT_ANSWER_MS } from "../../../protocol/limits.ts";
import type { Admission } from "../context.ts";
import { deliver } from "../pending-commands.ts";
import { NO_WORD, receiptView } from "./receipts.ts";
import type { RoomResult } from "../rpc.ts";
import { byWhom } from "../roles.ts";
import type { Who } from "../roles.ts";
import type { StoredReceipt } from "../storage/rows.ts";

const NOT_FOUND = { ok: false, failure: "not-found" } as const;

/** PROTOCOL.md CUT1-3: commits, ends sockets, then asks the connector; never waits for a gateway that is away. A second cut is the first one. */
export async function cut(admission: Admission, deviceId: string, who: Who | null = null): Promise<RoomResult<Receipt>> {
  const { storage } = admission;
  const row = admission.device(deviceId);
  if (row === null) return NOT_FOUND;
  const id = `cut-${deviceId}`;
  if (row.state !== "cut" || storage.receipt(deviceId) === null) commitCut(admission, deviceId, id, who);
  const message = storage.owed().find((owed) => owed.id === id);
  if (message !== undefined) await deliver(admission, message);
  admission.tellInbox();
  const receipt = storage.receipt(deviceId);
  return receipt === null ? NOT_FOUND : { ok: true, value: receiptView(admission, receipt) };
}

/** Deny, sessions, audit, outbox, what the connector is owed and the receipt stand together or not at all; sockets end right after. */
function commitCut(admission: Admission, deviceId: string, id: string, who: Who | null): void {
  const { storage, options, relay } = admission;
  const cutAtMs = options.now();
  const receipt = storage.transaction((): StoredReceipt | null => {
    const row = admission.device(deviceId);
    if (row === null) return null;
    const entry = admission.markCut(row, who?.role ?? "owner", byWhom(who));
    const name = toBase32(options.random(16));
    const audit = entry === null ? {} : { audit: { seq: entry.seq, hash: entry.hash } };
    storage.owe({ type: "cut", id, device: deviceId, cutAtMs, cut: name, ...audit });
    const pending: StoredReceipt = {
      device: deviceId,
      cutAtMs,
      edge: { socketsClosed: 0, tookMs: 0 },
      gateway: { state: "pending", ...NO_WORD, why: null },
      by: "owner",
      cut: name,
      grant: row.grant,
      signed: null,
      connectorKey: null,
      asked: null,
    };
    storage.saveReceipt(pending);
    return pending;
  });
  if (receipt === null) return;
  const socketsClosed = relay.endDevice(deviceId, CLOSE_CUT, "cut by the owner");
  storage.saveReceipt({ ...receipt, edge: { socketsClosed, tookMs: options.now() - cutAtMs } });
}

/**
 * Ends a link whose connector was asked to cut and has not answered in time: it may still hold the device's sockets. Sends again what a full
 * disk refused. Called by the alarm, as often and as late as it likes.
 *
 * @returns when to look again, in ms, or null
 */
export function endUnanswered(admission: Admission, nowMs: number): number | null {
  const { storage, relay } = admission;
  const { generation } = storage.meta() ?? { generation: -1 };
  let next: number | null = null;
  const later = (atMs: number): void => {
    next = next === null ? atMs : Math.min(next, atMs);
  };
  for (const message of storage.owed()) {
    const receipt = message.type === "cut" ? storage.receipt(message.device) : null;
    if (message.type !== "cut" || receipt === null || !relay.isLinkUp()) continue;
    if (receipt.asked?.generation === generation) {
      if (receipt.asked.atMs + CUT_ANSWER_MS > nowMs) {
        later(receipt.asked.atMs + CUT_ANSWER_MS);
        continue;
      }
      storage.transaction(() => {
        storage.saveReceipt({ ...receipt, asked: null, gateway: { ...receipt.gateway, why: "no-answer" } });
        admission.audit("gateway", "cut-unanswered", message.device, {});
      });
      relay.endLink(CLOSE_UNANSWERED, "a cut was not answered");
      admission.tellInbox();
    } else if (receipt.againAtMs !== undefined) {
      if (receipt.againAtMs > nowMs) later(receipt.againAtMs);
      else admission.background("owed", deliver(admission, message));
    }
  }
  return next;
}
