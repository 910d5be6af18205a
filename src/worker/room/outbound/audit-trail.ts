/** The room's audit chain: every event recorded with what it is about, its head carried to the connector (PROTOCOL.md AU). */
import { auditDigest, auditLine, nextAuditEntry } from "../../../core/trust/audit-chain.ts";
import { takeRow } from "../../../core/measure/row-budget.ts";
import { toBase32 } from "../../../core/trust/digests.ts";
import type { AuditDetail, AuditEntry, AuditHead } from "../../../protocol/audit.ts";
import { AUDIT_ANCHOR_EVENTS, AUDIT_ANCHOR_MS, MAX_AUDIT_DIGESTS, MAX_ROOM_BYTES } from "../../../protocol/limits.ts";
import type { ToConnector } from "../../../protocol/link-messages.ts";
import type { Outbox } from "./outbox.ts";
import type { RoomStorage } from "../storage/storage.ts";

export interface AuditTrailOptions {
  readonly storage: RoomStorage;
  readonly outbox: Outbox;
  readonly now: () => number;
  readonly random: (bytes: number) => Uint8Array;
  /** @returns false without a link */
  readonly send: (message: ToConnector) => boolean;
}

export class AuditTrail {
  readonly #options: AuditTrailOptions;
  /** Place of the last head that was sent; forgotten in hibernation, when sending it again does no harm. */
  #sentSeq = -1;
  /** Events of the machine without a row since its last one; forgotten in hibernation. */
  #unnoted = 0;

  constructor(options: AuditTrailOptions) {
    this.#options = options;
  }

  /**
   * Records one event. Called inside the transaction of what it is about, it is part of it; never waits.
   *
   * @param detail without content, secrets or whole addresses
   * @param isLocal stays in the room: D1 has no row of it
   * @returns the entry, or null before the room is set up
   */
  add(actor: string, action: string, device: string | null, detail: AuditDetail, isLocal = false): AuditEntry | null {
    const { storage, outbox, now, random } = this.#options;
    const meta = storage.meta();
    if (meta === null) return null;
    return storage.transaction(() => {
      const entry = nextAuditEntry(meta.gateway, storage.lastAudit(), { atMs: now(), actor, action, device, detail });
      storage.addAudit({ seq: entry.seq, atMs: entry.atMs, hash: entry.hash, digest: auditDigest(entry), line: auditLine(entry) });
      const { seq, hash, atMs } = entry;
      if (isLocal) return entry;
      outbox.add({
        kind: "audit",
        row: {
          id: toBase32(random(16)),
          accountId: meta.account,
          gatewayId: meta.gateway,
          deviceId: device,
          actor,
          action,
          detail: JSON.stringify(entry.detail),
          atMs,
          seq,
          hash,
        },
      });
      return entry;
    });
  }

  /**
   * Records what the gateway's machine caused, within its budget; beyond it, or in a room that is full, the event is counted in the next row
   * (PROTOCOL.md AB2).
   */
  addOfMachine(actor: string, action: string, device: string | null, detail: AuditDetail, isLocal = false): AuditEntry | null {
    const { storage, now } = this.#options;
    const budget = storage.sizeBytes > MAX_ROOM_BYTES ? null : takeRow(storage.machineRows, now());
    if (budget === null) {
      this.#unnoted += 1;
      return null;
    }
    return storage.transaction(() => {
      storage.machineRows = budget;
      const entry = this.add(actor, action, device, this.#unnoted === 0 ? detail : { ...detail, more: this.#unnoted }, isLocal);
      if (entry !== null) this.#unnoted = 0;
      return entry;
    });
  }

  /** The connector said what it has on disk: whatever lies behind it goes there at once, and so does a chain that does not fit it. */
  anchored(head: AuditHead | null): void {
    const { storage } = this.#options;
    const { generation } = storage.meta() ?? { generation: 0 };
    storage.setAuditAnchor({ generation, head });
    this.#sentSeq = head?.seq ?? -1;
    const own = storage.lastAudit();
    if (own !== null && (own.seq !== head?.seq || own.hash !== head.hash)) this.#send(head, own);
  }

  /**
   * Sends the head when 64 entries are without an anchor or the oldest of them is a minute old. Called by the alarm, as often and as late as
   * it likes.
   *
   * @returns when to look again, in ms, or null
   */
  carry(nowMs: number): number | null {
    const { storage } = this.#options;
    const anchor = storage.auditAnchor();
    const own = storage.lastAudit();
    // Without a link, or with a connector that does not say what it has: the next one says it, and gets the head then.
    if (own === null || anchor === null || anchor.generation !== storage.meta()?.generation) return null;
    const known = Math.max(anchor.head?.seq ?? -1, this.#sentSeq);
    if (own.seq <= known) return null;
    const dueAtMs = (storage.auditTime(known + 1) ?? nowMs) + AUDIT_ANCHOR_MS;
    if (own.seq - known < AUDIT_ANCHOR_EVENTS && dueAtMs > nowMs) return dueAtMs;
    this.#send(anchor.head, own);
    return null;
  }

  #send(anchor: AuditHead | null, own: AuditHead): void {
    const { storage, send } = this.#options;
    const from = anchor === null || anchor.seq > own.seq ? null : anchor.seq;
    const way = from === null ? [] : storage.auditWay(from, MAX_AUDIT_DIGESTS);
    const last = way.at(-1) ?? own;
    const message = { from, digests: way.map((each) => each.digest), head: { seq: last.seq, hash: last.hash } };
    if (send({ type: "audit-head", ...message })) this.#sentSeq = last.seq;
  }
}
