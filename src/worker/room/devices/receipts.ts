/** The proof of a cut: what the connector answered, its signed receipt verified and kept; what is pending says why (PROTOCOL.md CUT2-4). */
import { readReceipt } from "../../../core/trust/receipt.ts";
import type { Receipt } from "../../../protocol/api.ts";
import { CLOSE_CUT } from "../../../protocol/close-codes.ts";
import { CUT_AGAIN_MS, CUT_ANSWER_MS } from "../../../protocol/limits.ts";
import type { LinkResult } from "../../../protocol/link-messages.ts";
import type { ReceiptFile, ReceiptStatement, SignedReceipt } from "../../../protocol/receipt.ts";
import type { Admission } from "../context.ts";
import type { RoomResult } from "../rpc.ts";
import type { Owed, StoredReceipt } from "../storage/rows.ts";

type CutMessage = Extract<Owed, { type: "cut" }>;

const NOT_FOUND = { ok: false, failure: "not-found" } as const;
/** Nothing heard from the connector yet. */
export const NO_WORD = { entriesRemoved: 0, tookMs: null, atMs: null, deniedAtMs: null } as const;

/** @returns what the owner sees of a receipt: what is pending always says why, except while the connector is being asked */
export function receiptView(admission: Admission, { device, cutAtMs, edge, gateway, by, signed }: StoredReceipt): Receipt {
  const isWaiting = gateway.state === "pending" && gateway.why === null;
  const why = isWaiting && !admission.relay.isLinkUp() ? "no-link" : gateway.why;
  return { device, cutAtMs, edge, gateway: { ...gateway, why }, by, isSigned: signed !== null };
}

/** A cut goes out on the link: from here on its answer is awaited, by the clock. */
export function cutAsked(admission: Admission, { device }: CutMessage): void {
  const { storage, options } = admission;
  const receipt = storage.receipt(device);
  if (receipt === null || !admission.relay.isLinkUp()) return;
  const atMs = options.now();
  const { againAtMs: _, ...rest } = receipt;
  const gateway = { ...receipt.gateway, why: null };
  storage.saveReceipt({ ...rest, gateway, asked: { generation: admission.mustMeta().generation, atMs } });
  options.wakeBy(atMs + CUT_ANSWER_MS);
}

/** The connector's answer to a cut. It stays owed until the gateway's entries are gone: a link that breaks in between loses nothing. */
export async function cutAnswered(admission: Admission, message: CutMessage, result: LinkResult): Promise<void> {
  const { storage, options } = admission;
  const said = result.ok ? result.cut : undefined;
  if (said?.done === true) {
    const { removed, atMs, tookMs, receipt } = said;
    return cutDone(admission, { device: message.device, removed, atMs, tookMs: tookMs ?? null, by: "owner", receipt });
  }
  const receipt = storage.receipt(message.device);
  if (receipt === null || receipt.gateway.state !== "pending") return;
  const gateway =
    said === undefined
      ? ({ ...receipt.gateway, why: "not-written" } as const)
      : ({ ...receipt.gateway, why: "gateway-away", deniedAtMs: said.atMs } as const);
  storage.saveReceipt({ ...receipt, gateway, asked: null, ...(said === undefined ? { againAtMs: options.now() + CUT_AGAIN_MS } : {}) });
  if (said === undefined) options.wakeBy(options.now() + CUT_AGAIN_MS);
  admission.tellInbox();
}

/** What a connector says is done. */
export interface CutDone {
  readonly device: string;
  readonly removed: number;
  readonly atMs: number;
  readonly tookMs: number | null;
  readonly by: "owner" | "host";
  readonly receipt?: SignedReceipt | undefined;
  /** Without a receipt, made on the host: the grant that it ended. */
  readonly grant?: string | null | undefined;
}

/** Verifies the receipt and keeps it; the connector hears that it is kept. Twice is as good as once (PROTOCOL.md CUT3, CUT4). */
export async function cutDone(admission: Admission, done: CutDone): Promise<void> {
  const { storage, relay } = admission;
  if (done.receipt === undefined) return unsignedDone(admission, done);
  const { key } = admission.mustMeta();
  const body = key === null ? null : await readReceipt(done.receipt, key);
  // The check waited: the device may have been allowed again, cut anew, or the gateway removed.
  const meta = storage.meta();
  if (meta === null || key === null) return;
  const isOurs = body !== null && body.gateway === meta.gateway && body.device === done.device && body.by === done.by;
  if (!isOurs) return refused(admission, done.device);
  const signed = { signed: done.receipt, connectorKey: key } as const;
  const before = storage.receipt(done.device);
  storage.transaction(() => {
    if (before !== null && before.cut === body.cut) {
      if (before.signed === null) keep(admission, { ...before, ...signed }, body, done.tookMs);
    } else adopt(admission, body, signed);
  });
  relay.send({ type: "receipt-ack", cut: body.cut });
  admission.tellInbox();
}

/** Inside a transaction: the receipt is whole. */
function keep(admission: Admission, receipt: StoredReceipt, body: ReceiptStatement, tookMs: number | null): void {
  const { storage } = admission;
  const { state } = receipt.gateway;
  storage.saveReceipt({
    ...receipt,
    gateway: {
      state: state === "superseded" ? state : "done",
      entriesRemoved: body.removed,
      tookMs,
      atMs: body.removedAtMs,
      deniedAtMs: body.deniedAtMs,
      why: null,
    },
    asked: null,
  });
  const owed = storage.owed().find((each) => each.id === `cut-${body.device}`);
  if (owed?.type === "cut" && owed.cut === body.cut) storage.delete("owed", owed.id);
  admission.audit(body.by, "cut-done-on-gateway", body.device, { removed: body.removed, cut: body.cut, entry: body.head.seq });
}

/** A cut that this room does not know, or has forgotten: it ends the grant that it names, never a later one. */
function adopt(admission: Admission, body: ReceiptStatement, signed: Pick<StoredReceipt, "signed" | "connectorKey">): void {
  const { storage } = admission;
  const row = admission.device(body.device);
  if (row === null || row.grant !== body.grant || storage.receipt(body.device)?.grant === row.grant) return;
  let socketsClosed = 0;
  if (row.state !== "cut") {
    admission.markCut(row, body.by);
    socketsClosed = admission.relay.endDevice(row.id, CLOSE_CUT, "cut on the gateway's machine");
  }
  const receipt: StoredReceipt = {
    device: body.device,
    cutAtMs: body.cutAtMs ?? body.deniedAtMs,
    edge: { socketsClosed, tookMs: 0 },
    gateway: { state: "pending", ...NO_WORD, why: null },
    by: body.by,
    cut: body.cut,
    grant: row.grant,
    asked: null,
    ...signed,
  };
  keep(admission, receipt, body, null);
}

/** The signature or what it says is wrong: nothing is confirmed by it, and the owner sees that. */
function refused(admission: Admission, device: string): void {
  const { storage } = admission;
  const receipt = storage.receipt(device);
  storage.transaction(() => {
    if (receipt !== null && receipt.gateway.state === "pending")
      storage.saveReceipt({ ...receipt, asked: null, gateway: { ...receipt.gateway, why: "bad-receipt" } });
    admission.auditMachine("gateway", "receipt-refused", receipt === null ? null : device, {});
  });
  admission.tellInbox();
}

/** A connector from before receipts, or a cut on the host whose removal still waits for the gateway. */
function unsignedDone(admission: Admission, done: CutDone): void {
  const { storage, relay } = admission;
  const { device, by, removed, tookMs, atMs, grant } = done;
  const row = admission.device(device);
  if (by === "host" && row !== null && row.state !== "cut" && (grant === undefined || grant === row.grant)) {
    admission.markCut(row, "host");
    relay.endDevice(device, CLOSE_CUT, "cut on the gateway's machine");
    admission.tellInbox();
  }
  // Denied there, and the gateway's part still to come: the receipt will say it.
  if (grant !== undefined) return;
  const receipt = storage.receipt(device);
  storage.transaction(() => {
    if (receipt !== null && receipt.gateway.state === "pending") {
      const gateway = { state: "done", entriesRemoved: removed, tookMs, atMs, deniedAtMs: receipt.gateway.deniedAtMs, why: null } as const;
      storage.saveReceipt({ ...receipt, gateway, asked: null });
    }
    storage.delete("owed", `cut-${device}`);
    admission.audit(by, "cut-done-on-gateway", device, { removed });
  });
  admission.tellInbox();
}

/** The receipt as the owner takes it out, once it is signed; that is recorded. */
export function exportReceipt(admission: Admission, device: string): RoomResult<ReceiptFile> {
  const receipt = admission.storage.receipt(device);
  if (receipt === null || receipt.signed === null || receipt.connectorKey === null) return NOT_FOUND;
  admission.audit("owner", "receipt-exported", device, {});
  const { signed, connectorKey, edge } = receipt;
  return { ok: true, value: { gatehouse: "receipt", v: 1, ...signed, connectorKey, room: edge } };
}
