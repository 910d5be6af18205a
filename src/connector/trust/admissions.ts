/** What this connector admits: grants, sessions, bindings and cuts, on disk and in memory. */
import { createHash } from "node:crypto";
import type { HeldGrant, HeldSession, Judged } from "../../core/trust/judge.ts";
import { grantId } from "../../core/trust/digests.ts";
import type { KeyLogProblem } from "../../core/trust/key-log-state.ts";
import { readGrant } from "../../core/trust/statement.ts";
import { isResumed } from "../../core/trust/local-policy.ts";
import type { BoundDevice } from "../../core/trust/drift.ts";
import type { AuditHead } from "../../protocol/audit.ts";
import type { KeyLogBody, KeyLogHead } from "../../protocol/key-log.ts";
import { HANDOVER_MS, MAX_KEPT_RECEIPTS, NONCE_MS } from "../../protocol/limits.ts";
import type { Refusal, StreamOpen } from "../../protocol/link-messages.ts";
import type { Handover, SignedByOwner } from "../../protocol/statements.ts";
import type { Access } from "../../protocol/words.ts";
import type { BindingStore } from "../openclaw/openclaw-port.ts";
import type { KeyLog } from "./key-log-file.ts";
import { StaleTokens } from "./stale-tokens.ts";
import type { KeptReceipt, RaisedAlarm, StateFiles } from "../state/state-files.ts";

export interface PendingCut {
  readonly device: string;
  readonly by: "owner" | "host";
  readonly removed: number;
  readonly isDone: boolean;
  readonly atMs: number;
  /** From here on what the receipt will say; missing in files of an older version. */
  readonly cut?: string;
  readonly cutAtMs?: number | null;
  readonly audit?: AuditHead | null;
  readonly deniedAtMs?: number;
  readonly streamsClosed?: number;
  readonly grant?: string | null;
  readonly head?: KeyLogHead;
}

/** A device proved itself for a session. */
interface Proof {
  readonly atMs: number;
  /** The page that it spoke for. */
  handover: Handover;
  /** Its page was asked to come back. */
  isTaken: boolean;
}

export class Admitted implements BindingStore {
  readonly staleTokens: StaleTokens;
  readonly #files: StateFiles;
  readonly #log: KeyLog;
  readonly #now: () => number;
  readonly #sessions: Map<string, HeldSession>;
  readonly #nonces = new Map<string, number>();
  /** When each session's device proved itself here, and which page it spoke for. Not on disk: after a restart the door is asked again. */
  readonly #proven = new Map<string, Proof>();
  /** Cut, but the disk has not taken it yet: denied all the same, until it has, or until the owner allows the device anew. Who cut it. */
  readonly #denied = new Map<string, "host" | "relay">();
  /** Raised, but the disk has not taken it yet: it stands all the same, until it has, or until somebody at the machine has looked. */
  #unwrittenAlarm: RaisedAlarm | null = null;

  /** @throws DamagedStateError: fail closed */
  constructor(files: StateFiles, log: KeyLog, now: () => number) {
    this.#files = files;
    this.#log = log;
    this.#now = now;
    this.#sessions = new Map(
      (files.read("sessions") ?? []).filter((session) => session.expiresAtMs > now()).map((session) => [session.session, session]),
    );
    files.read("bindings");
    this.staleTokens = new StaleTokens(files);
  }

  // --- alarm ----------------------------------------------------------------------------------------------------------------

  /** Nobody new from here on, whether the disk takes it or not (PROTOCOL.md KL6). */
  raiseAlarm(alarm: RaisedAlarm): void {
    this.#unwrittenAlarm = alarm;
    try {
      this.#files.write("alarm", alarm);
      this.#unwrittenAlarm = null;
    } catch {
      // Tried again whenever somebody asks.
    }
  }

  /** @returns what stops everything new, or null: the key log says what is settled, the file only that something was raised (PROTOCOL.md LP7) */
  alarm(): RaisedAlarm | null {
    if (this.#unwrittenAlarm !== null) this.raiseAlarm(this.#unwrittenAlarm);
    const alarm = this.#unwrittenAlarm ?? this.#files.read("alarm");
    if (alarm === null || !isResumed(this.#log.state.resumed, alarm)) return alarm;
    this.#unwrittenAlarm = null;
    try {
      // Whatever the room says next is the new beginning. The alarm's own file goes last: a crash in between repeats all of it.
      this.#files.remove("roomHead");
      if (alarm.alarm === "audit-rewound") this.#files.remove("auditHead");
      this.#files.remove("alarm");
    } catch {
      // Tried again whenever somebody asks.
    }
    return null;
  }

  // --- nonces ---------------------------------------------------------------------------------------------------------------

  addNonce(nonce: string): void {
    const nowMs = this.#now();
    for (const [old, expiresAtMs] of this.#nonces) if (expiresAtMs <= nowMs) this.#nonces.delete(old);
    this.#nonces.set(nonce, nowMs + NONCE_MS);
  }

  takeNonce(nonce: string): boolean {
    const expiresAtMs = this.#nonces.get(nonce);
    this.#nonces.delete(nonce);
    return expiresAtMs !== undefined && expiresAtMs > this.#now();
  }

  // --- grants and sessions ----------------------------------------------------------------------------------------------------

  grant(id: string): HeldGrant | null {
    const grant = this.#log.state.grants.get(id);
    if (grant === undefined) return null;
    return this.#denied.has(grant.statement.device) ? { ...grant, isRevoked: true } : grant;
  }

  grants(): readonly HeldGrant[] {
    return [...this.#log.state.grants.values()];
  }

  /**
   * Judges a grant and keeps it in the key log; an older one of the same device is revoked by it. The same grant again is fine, a revoked
   * one never comes back.
   */
  async keepGrant(signed: SignedByOwner): Promise<Judged<null>> {
    const read = readGrant(signed.statement);
    if (read === null) return { ok: false, refusal: "bad-statement" };
    const known = this.grant(await grantId(read.bytes));
    if (known !== null) return known.isRevoked ? { ok: false, refusal: "revoked" } : { ok: true, value: null };
    if (this.alarm() !== null) return { ok: false, refusal: "alarm" };
    const { device } = read.body;
    // The host's word that the disk refused comes first: a grant that was signed without knowing it is stale (KL3).
    if (this.#denied.get(device) === "host") await this.revokeDevice(device, "host");
    const problem = await this.#log.append({ type: "grant", signed }, this.#now());
    // It revoked what the room's cut was about, which the room sends no more.
    if (problem === null && this.#denied.get(device) === "relay") this.#denied.delete(device);
    return judged(problem);
  }

  /** Changes who may decide; what is so already is fine. Under an alarm owners only leave. */
  async changeOwner(body: Extract<KeyLogBody, { type: "owner-add" | "owner-remove" | "recovery-key" | "recover" }>): Promise<Judged<null>> {
    if (this.alarm() !== null && body.type !== "owner-remove") return { ok: false, refusal: "alarm" };
    const problem = await this.#log.append(body, this.#now());
    return judged(problem === "nothing-changes" ? null : problem);
  }

  /** @param handover what the device's statement says of the page that comes next */
  async keepSession(session: HeldSession, handover: Handover): Promise<void> {
    const grant = this.#log.state.grants.get(session.grant);
    if (grant !== undefined && !grant.isActivated) await this.#log.append({ type: "activate", grant: grant.id }, this.#now());
    this.#sessions.set(session.session, session);
    try {
      this.#saveSessions();
    } catch {
      // The grant is on disk, so the session only ends with this process: its device proves itself again (MA7).
    }
    const nowMs = this.#now();
    for (const [old, { atMs }] of this.#proven) if (nowMs - atMs > HANDOVER_MS) this.#proven.delete(old);
    this.#proven.set(session.session, { atMs: nowMs, handover, isTaken: false });
  }

  /** Sessions that are not over. */
  get sessionCount(): number {
    const nowMs = this.#now();
    return [...this.#sessions.values()].filter((session) => session.expiresAtMs > nowMs).length;
  }

  /**
   * Whether a stream may be opened, and with which access (security.md I1): its session was admitted here, is not over, and its grant is
   * live. The access is the grant's own, whatever the room says.
   */
  admits(open: Pick<StreamOpen, "session" | "device">): { readonly access: Access; readonly expiresAtMs: number } | "no-session" | "cut" {
    const session = this.#sessions.get(open.session);
    const nowMs = this.#now();
    if (session === undefined || session.device !== open.device || session.expiresAtMs <= nowMs) return "no-session";
    const grant = this.grant(session.grant);
    if (grant === null || grant.isRevoked) return "cut";
    if (grant.statement.notAfterMs <= nowMs) return "no-session";
    return { access: grant.statement.access, expiresAtMs: Math.min(session.expiresAtMs, grant.statement.notAfterMs) };
  }

  /**
   * Revokes every grant of a device and drops its sessions; denied at once, on disk before it returns. Also for a device that nobody allowed
   * here: a grant that was held back on its way must find the revocation.
   *
   * @returns whether the device was known
   * @throws LogWriteError the device is denied as long as this process runs, but not on disk
   */
  async revokeDevice(device: string, by: "host" | "relay"): Promise<boolean> {
    if (this.#denied.get(device) !== "host") this.#denied.set(device, by);
    const { grants, subtractedAt, head } = this.#log.state;
    const known = [...grants.values()].some((grant) => grant.statement.device === device);
    for (const session of this.#sessions.values()) if (session.device === device) this.#sessions.delete(session.session);
    this.#saveSessions();
    // Twice from the room is the same cut again. On the host it is a later word: a grant that was signed in between is older than it (KL3).
    if (by === "host" || subtractedAt.get(device) !== head.seq) await this.#log.append({ type: "revoke", device, by }, this.#now());
    this.#denied.delete(device);
    return known;
  }

  /** Devices that were cut on this machine and are denied, although the disk has not taken it yet. */
  deniedOnHost(): readonly string[] {
    return [...this.#denied].filter(([, by]) => by === "host").map(([device]) => device);
  }

  #saveSessions(sessions: readonly HeldSession[] = [...this.#sessions.values()]): void {
    const nowMs = this.#now();
    this.#files.write(
      "sessions",
      sessions.filter((session) => session.expiresAtMs > nowMs),
    );
  }

  // --- cuts ---------------------------------------------------------------------------------------------------------------------

  cuts(): readonly PendingCut[] {
    return this.#files.read("cuts") ?? [];
  }

  /** In the place of an older cut of the same device by the same side: the owner's and the host's own each get their receipt. */
  saveCut(cut: PendingCut): void {
    this.#files.write("cuts", [...this.cuts().filter((each) => each.device !== cut.device || each.by !== cut.by), cut]);
  }

  /** Drops this cut, not a newer one that took its place. */
  dropCut({ device, by, cut }: PendingCut): void {
    this.#files.write(
      "cuts",
      this.cuts().filter((each) => each.device !== device || each.by !== by || each.cut !== cut),
    );
  }

  /** Signed receipts, oldest first. */
  receipts(): readonly KeptReceipt[] {
    return this.#files.read("receipts") ?? [];
  }

  /** Keeps as many as there is room for; those that the room has go first. */
  saveReceipts(receipts: readonly KeptReceipt[]): void {
    const spare = Math.max(0, receipts.length - MAX_KEPT_RECEIPTS);
    const leaving = new Set([...receipts.filter((each) => each.isAcked), ...receipts.filter((each) => !each.isAcked)].slice(0, spare));
    this.#files.write("receipts", receipts.filter((each) => !leaving.has(each))); // prettier-ignore
  }

  /** Every allowed or once allowed device that has entries on the gateway. */
  boundDevices(): readonly BoundDevice[] {
    const nowMs = this.#now();
    return Object.entries(this.#files.read("bindings") ?? {}).map(([device, entries]) => {
      const isLive = (grant: HeldGrant): boolean =>
        grant.statement.device === device && !grant.isRevoked && grant.statement.notAfterMs > nowMs && !this.#denied.has(device);
      return { device, entries, isAllowed: this.grants().some(isLive) };
    });
  }

  // --- bindings -------------------------------------------------------------------------------------------------------------------

  bound(device: string): readonly string[] {
    return this.#files.read("bindings")?.[device] ?? [];
  }

  bind(device: string, openclawDevice: string): void {
    const all = this.#files.read("bindings") ?? {};
    const own = all[device] ?? [];
    if (own.includes(openclawDevice)) return;
    this.#files.write("bindings", { ...all, [device]: [...own, openclawDevice] });
  }

  mayHandOver(open: Pick<StreamOpen, "session" | "device" | "once">, openclawDevice: string): boolean {
    if (this.bound(open.device).includes(openclawDevice)) return true;
    const proof = this.#freshProof(open.session);
    if (proof === null) return false;
    if ("once" in proof.handover) {
      if (open.once === undefined || sha256Of(open.once) !== proof.handover.once) return false;
      // Used up: from here on it is this key's.
      proof.handover = { key: Buffer.from(openclawDevice, "hex").toString("base64url") };
    }
    return isNamed(proof.handover, openclawDevice);
  }

  takeHandover(open: Pick<StreamOpen, "session">, openclawDevice: string): boolean {
    const proof = this.#freshProof(open.session);
    if (proof === null || proof.isTaken || !isNamed(proof.handover, openclawDevice)) return false;
    proof.isTaken = true;
    return true;
  }

  #freshProof(session: string): Proof | null {
    const proof = this.#proven.get(session);
    return proof === undefined || this.#now() - proof.atMs > HANDOVER_MS ? null : proof;
  }

  unbind(device: string, openclawDevice: string): void {
    const all = this.#files.read("bindings") ?? {};
    this.#files.write("bindings", { ...all, [device]: (all[device] ?? []).filter((each) => each !== openclawDevice) });
  }
}

/** OpenClaw names a device by the SHA-256 of its raw public key, in hex, and checks that itself. */
function isNamed(handover: Handover, openclawDevice: string): boolean {
  return "key" in handover && Buffer.from(handover.key, "base64url").toString("hex") === openclawDevice;
}

function sha256Of(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}

const REFUSAL_OF: Partial<Record<KeyLogProblem, Refusal>> = {
  "bad-signature": "bad-signature",
  "wrong-gateway": "wrong-gateway",
  "unknown-owner-key": "unknown-owner-key",
  expired: "expired",
  "too-late": "too-late",
  "stale-head": "stale-head",
  "over-ceiling": "over-ceiling",
  revoked: "revoked",
  "last-owner-key": "last-owner-key",
};

function judged(problem: KeyLogProblem | null): Judged<null> {
  return problem === null ? { ok: true, value: null } : { ok: false, refusal: REFUSAL_OF[problem] ?? "bad-statement" };
}
