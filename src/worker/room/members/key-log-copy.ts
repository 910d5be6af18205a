/** The room's copy of its gateway's key log: what the connector wrote, in order, and what follows from it here (PROTOCOL.md KL6). */
import { grantId } from "../../../core/trust/digests.ts";
import { isSoundRotation, lineHash, nextInCopy } from "../../../core/trust/key-log.ts";
import { isSoundKey } from "../../../core/trust/public-key.ts";
import { readGrant, readRecover } from "../../../core/trust/statement.ts";
import { CLOSE_CUT } from "../../../protocol/close-codes.ts";
import type { KeyLogAlarm, KeyLogBody, KeyLogEntry, KeyLogHead } from "../../../protocol/key-log.ts";
import { PROPOSAL_WAIT_MS } from "../../../protocol/limits.ts";
import type { Admission } from "../context.ts";
import { hasAuthority, isApproved } from "./log-authority.ts";
import { deliver, deliverAll } from "../pending-commands.ts";
import { followRecover, followRecoveryKey } from "./owner-changes.ts";
import { passkeyLost, roleChanged } from "./member-changes.ts";
import { narrowed, noticed, proposed, tookEffect, unfounded, voided, voidedKey } from "./proposals.ts";
import type { AlarmRow, DeviceRow, Owed } from "../storage/rows.ts";

/** Entries that are recorded where they were decided, or where they take effect. */
const ELSEWHERE: ReadonlySet<KeyLogBody["type"]> = new Set(["grant", "activate", "proposal", "noticed", "cancel", "effect"]);

/** Entries that the connector sends while earlier ones are still being checked wait here: order is what a chain is about. */
export class KeyLogCopy {
  readonly #admission: Admission;
  #queue: Promise<void> = Promise.resolve();

  constructor(admission: Admission) {
    this.#admission = admission;
  }

  /** @returns the last entry that the room has, or null */
  head(): KeyLogHead | null {
    return this.#admission.storage.keyLogHead();
  }

  /** Takes entries up and tells the connector how far it came. */
  take(lines: readonly string[]): Promise<void> {
    const done = this.#queue.then(() => this.#take(lines));
    this.#queue = done.catch(() => undefined);
    return done;
  }

  /** @returns when everything that came so far is taken up or refused */
  settled(): Promise<void> {
    return this.#queue;
  }

  /** What the room itself found: a log that it cannot follow. */
  alarm(kind: KeyLogAlarm): void {
    this.#admission.storage.setAlarm({ kind, atMs: this.#admission.options.now() });
    this.#admission.auditMachine("gateway", `alarm-${kind}`, null, {});
    this.#admission.tellInbox();
  }

  /** The connector stopped admitting anybody new; it says so again at every link. */
  alarmAtMachine({ alarm: kind, atMs }: { readonly alarm: KeyLogAlarm; readonly atMs: number }): void {
    this.#inOrder(() => {
      const known = this.#admission.storage.alarm();
      if (known?.kind === kind && known.atMs === atMs && known.saidOverAtMs === undefined) return;
      this.#admission.storage.setAlarm({ kind, atMs, isOfMachine: true });
      this.#admission.auditMachine("gateway", `alarm-${kind}`, null, {});
      this.#admission.tellInbox();
    });
  }

  /** Nothing stands at the connector, or no longer. */
  alarmOver(): void {
    this.#inOrder(() => {
      const { storage, options } = this.#admission;
      const known = storage.alarm();
      if (known === null) return;
      if (known.isOfMachine !== true || known.isResumed === true) return this.#settled(known);
      if (known.saidOverAtMs !== undefined) return;
      // Without a resume that the room obeys it stands on for the owners. The machine takes what it is owed all the same.
      storage.setAlarm({ ...known, saidOverAtMs: options.now() });
      options.wakeBy(options.now() + PROPOSAL_WAIT_MS);
      deliverAll(this.#admission);
    });
  }

  /** A resume after this kind of alarm is in force, for the room, too. */
  resumed(kind: KeyLogAlarm): void {
    const { storage } = this.#admission;
    const known = storage.alarm();
    if (known?.kind !== kind) return;
    if (known.saidOverAtMs === undefined) storage.setAlarm({ ...known, isResumed: true });
    else this.#settled(known);
  }

  /** Ends an alarm that the machine took back a day ago. @returns when that will be, in ms, or null */
  endAlarm(nowMs: number): number | null {
    const known = this.#admission.storage.alarm();
    if (known?.saidOverAtMs === undefined) return null;
    const endsMs = known.saidOverAtMs + PROPOSAL_WAIT_MS;
    if (endsMs > nowMs) return endsMs;
    this.#settled(known);
    return null;
  }

  #settled(alarm: AlarmRow): void {
    this.#admission.storage.setAlarm(null);
    this.#admission.auditMachine("host", "alarm-settled", null, { alarm: alarm.kind });
    this.#admission.tellInbox();
    // What the alarm held back stayed owed.
    deliverAll(this.#admission);
  }

  /** After the entries that came before. */
  #inOrder(work: () => void): void {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
  }

  async #take(lines: readonly string[]): Promise<void> {
    const { storage, relay } = this.#admission;
    for (const line of lines) {
      const identity = this.#admission.identity();
      if (identity === null) return;
      const head = storage.keyLogHead();
      const entry = await nextInCopy({ gateway: identity.gateway, key: identity.key, head }, line);
      if (entry === "known") continue;
      if (entry === null) return this.alarm("fork");
      if (!hasSoundKeys(entry)) return this.alarm("fork");
      if (entry.body.type === "rotate" && !(await isSoundRotation(identity.gateway, entry.body))) return this.alarm("fork");
      const grant = await grantOf(entry);
      const hash = await lineHash(line);
      const { body } = entry;
      const isSignedRight = body.type === "effect" && (await isApproved(this.#admission, body));
      const isFounded = await hasAuthority(this.#admission, body);
      const owed: Owed[] = [];
      storage.transaction(() => {
        storage.addToKeyLog({ seq: entry.seq, hash, line, grant });
        this.#record(entry);
        if (body.type === "proposal") owed.push(proposed(this.#admission, hash, body.change));
        else if (body.type === "effect") {
          if (!tookEffect(this.#admission, body.proposal, isSignedRight)) this.alarm("fork");
        } else if (isFounded) this.#follow(entry);
        else unfounded(this.#admission, body.type);
      });
      for (const message of owed) void deliver(this.#admission, message);
    }
    const head = storage.keyLogHead();
    if (head !== null) relay.send({ type: "log-ack", head });
  }

  /** What the person at the machine said; what the owner said remotely is recorded where it was decided. */
  #record({ body, seq }: KeyLogEntry): void {
    // The recovery key's word may have come past this room, on paper and by another way: what the machine did by it is recorded here.
    const isOfOwner = "authority" in body && body.authority.by === "owner";
    if (isOfOwner || ELSEWHERE.has(body.type) || (body.type === "revoke" && body.by === "relay")) return;
    const detail = body.type === "policy" ? { ...body.policy, entry: seq } : { entry: seq };
    this.#admission.auditMachine("host", `log-${body.type}`, body.type === "revoke" ? body.device : null, detail);
  }

  /** What was taken away on the machine is taken away here, also when this room was restored from an old copy. */
  #follow({ body, seq }: KeyLogEntry): void {
    const { storage } = this.#admission;
    switch (body.type) {
      case "revoke":
      case "revoke-all":
        for (const row of storage.all<DeviceRow>("devices")) {
          const isMeant = body.type === "revoke-all" || row.id === body.device;
          const at = storage.keyLogSeqOfGrant(row.grant);
          if (!isMeant || row.state === "cut" || at === null || at > seq) continue;
          this.#admission.markCut(row, "host");
          this.#admission.relay.endDevice(row.id, CLOSE_CUT, "cut on the gateway's machine");
        }
        return this.#admission.tellInbox();
      case "owner-add":
        return storage.put("owner_keys", body.key.credentialId, body.role === undefined ? body.key : { ...body.key, role: body.role });
      case "owner-role":
        for (const key of storage.ownerKeys())
          if (key.credentialId === body.credentialId) storage.put("owner_keys", key.credentialId, { ...key, role: body.role });
        voidedKey(this.#admission, body.credentialId);
        return roleChanged(this.#admission, body.credentialId, body.role);
      case "policy":
        return narrowed(this.#admission, body.policy);
      case "noticed":
        return noticed(this.#admission, body.proposal);
      case "recovery-key":
        return followRecoveryKey(this.#admission, body);
      case "recover":
        voided(this.#admission, () => true);
        return followRecover(this.#admission, body.signed);
      case "owner-remove":
        storage.delete("owner_keys", body.credentialId);
        voidedKey(this.#admission, body.credentialId);
        return passkeyLost(this.#admission, body.credentialId);
      case "rotate": {
        const meta = this.#admission.mustMeta();
        const { key } = meta;
        const rotatedAtMs = this.#admission.options.now();
        return storage.setMeta({
          ...meta,
          key: body.key,
          previousKey: key === null ? null : { key, rotatedAtMs, seq, isAcknowledged: false },
        });
      }
      default:
        return;
    }
  }
}

/** A connector of ours writes no other ones; what it adds becomes a key of this room. */
function hasSoundKeys({ body }: KeyLogEntry): boolean {
  switch (body.type) {
    case "owner-add":
      return isSoundKey(body.key.key);
    case "proposal":
      return body.change.kind !== "owner-add" || isSoundKey(body.change.key.key);
    case "recovery-key":
      return body.key === null || isSoundKey(body.key);
    case "recover": {
      const read = readRecover(body.signed.statement);
      return read !== null && isSoundKey(read.body.key);
    }
    default:
      return true;
  }
}

async function grantOf(entry: KeyLogEntry): Promise<string | null> {
  if (entry.body.type !== "grant") return null;
  const read = readGrant(entry.body.signed.statement);
  return read === null ? null : grantId(read.bytes);
}
