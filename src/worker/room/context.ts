/** The deciding half of a room: who is allowed, what is owed to the connector, what D1 must hear. Commits first, tells afterwards. */
import { BreakNotes } from "../../core/link/failure-notes.ts";
import type { RoleKind } from "../../core/trust/roles.ts";
import { gatewayAway } from "../../core/http/gateway-away.ts";
import type { Away } from "../../core/http/gateway-away.ts";
import { CLOSE_CUT } from "../../protocol/close-codes.ts";
import { AWAY_ROW_MS } from "../../protocol/limits.ts";
import type { Leg } from "../../protocol/close-codes.ts";
import type { LastBreak } from "../../protocol/door-messages.ts";
import type { GatewayReport, LinkResult, ToRoom } from "../../protocol/link-messages.ts";
import { toBase64url } from "../../protocol/statement-encoding.ts";
import type { GatewayState } from "../../protocol/words.ts";
import type { Config } from "../config.ts";
import type { Env } from "../env.ts";
import { Defect } from "../failure-code.ts";
import type { FailurePlace, FailureReport } from "../failures.ts";
import type { ReadyLink } from "./storage/attachments.ts";
import { NO_COPIES, sawCopy } from "../../core/trust/copy-watch.ts";
import { budgetReached, mayStream } from "./dashboard/budget.ts";
import { dropNoticesOf } from "./devices/new-device-alerts.ts";
import { Hops } from "./dashboard/latency.ts";
import { KeyLogCopy } from "./members/key-log-copy.ts";
import type { AuditDetail, AuditEntry } from "../../protocol/audit.ts";
import { AuditTrail } from "./outbound/audit-trail.ts";
import { LocalActs } from "./members/local-acts.ts";
import { Meter } from "./storage/meter.ts";
import { Notices } from "./outbound/inbox-feed.ts";
import { deviceEvents, grantEvent } from "./storage/d1-events.ts";
import { Outbox } from "./outbound/outbox.ts";
import { cutDone } from "./devices/receipts.ts";
import { tellBlocked } from "./devices/blocks.ts";
import { takeDrift } from "./devices/drift.ts";
import { deliverAll, settle } from "./pending-commands.ts";
import type { AdmissionForRelay, AdmittedSession, RelayForAdmission } from "./ports.ts";
import type { Break } from "./relay/ws-stream.ts";
import { RoomStorage } from "./storage/storage.ts";
import type { PersonRow } from "./storage/member-rows.ts";
import type { DeviceRow, GrantRow, RoomMeta, SessionRow } from "./storage/rows.ts";

export interface AdmissionOptions {
  readonly ctx: DurableObjectState;
  readonly env: Env;
  readonly config: Config;
  readonly now: () => number;
  readonly random: (bytes: number) => Uint8Array;
  readonly wakeBy: (atMs: number) => void;
  /** The link that this instance wakes with. */
  readonly link: ReadyLink | null;
  readonly report: FailureReport;
}

/** @returns the leg that a change of the link broke, or null: it broke none */
function brokenLeg(
  hadLink: boolean,
  before: GatewayState,
  after: { readonly up: boolean; readonly report: GatewayReport | null },
): Leg | null {
  if (!after.up) return hadLink ? "room-connector" : null;
  const isAway = after.report?.state === "offline" || after.report?.state === "restarting";
  return before === "online" && isAway ? "connector-gateway" : null;
}

export class Admission implements AdmissionForRelay {
  readonly options: AdmissionOptions;
  readonly storage: RoomStorage;
  readonly outbox: Outbox;
  readonly trail: AuditTrail;
  readonly notices: Notices;
  readonly keyLog: KeyLogCopy;
  readonly meter: Meter;
  readonly hops: Hops;
  readonly acts: LocalActs;
  /** Whether a device is cut or suspended: asked for every frame, so a row is read once and again when it changes. */
  readonly #stopped = new Map<string, boolean>();
  #link: { up: boolean; report: GatewayReport | null } = { up: false, report: null };
  #relay: RelayForAdmission | null = null;
  #farewell: (row: PersonRow) => Promise<void> = () => Promise.resolve();
  readonly #breaks: BreakNotes;

  constructor(options: AdmissionOptions) {
    this.options = options;
    this.#breaks = new BreakNotes(options.now());
    this.storage = new RoomStorage(options.ctx.storage);
    this.outbox = new Outbox({ ...options, storage: this.storage, wrote: (rows) => this.meter.rows(rows) });
    this.trail = new AuditTrail({ ...options, storage: this.storage, outbox: this.outbox, send: (message) => this.relay.send(message) });
    this.notices = new Notices(options.ctx, options.env, this.storage, {
      called: () => this.meter.count("calls"),
      report: options.report,
    });
    this.keyLog = new KeyLogCopy(this);
    this.hops = new Hops(this);
    this.acts = new LocalActs(this);
    if (options.link !== null) this.#link = { up: true, report: options.link.attachment.report };
    this.meter = new Meter({
      now: options.now,
      storage: this.storage,
      ceilingMicroUsd: options.config.maxMicroUsd,
      kept: options.link?.attachment.usage ?? null,
      keep: (usage) => this.#relay?.keepUsage(usage),
      reached: (level) => budgetReached(this, level),
    });
  }

  /** Set once by room.ts, before anything else happens. */
  attach(relay: RelayForAdmission, farewell: (row: PersonRow) => Promise<void>): void {
    this.#relay = relay;
    this.#farewell = farewell;
    relay.setWaiting(null);
  }

  get relay(): RelayForAdmission {
    if (this.#relay === null) throw new Defect("room-not-wired");
    return this.#relay;
  }

  // --- for the relay -------------------------------------------------------------------------------------------------------

  identity() {
    const meta = this.storage.meta();
    if (meta === null || meta.key === null) return null;
    const { gateway, key, previousKey = null, generation, acknowledged } = meta;
    const head = this.keyLog.head();
    const origin = this.options.config.gatewayOrigin(gateway);
    return { gateway, origin, key, previousKey, isQuarantined: this.isQuarantined(), generation, acknowledged, head };
  }

  nextGeneration(): number {
    const meta = this.mustMeta();
    this.storage.setMeta({ ...meta, generation: meta.generation + 1 });
    return meta.generation + 1;
  }

  isQuarantined(): boolean {
    return (this.storage.meta()?.copies ?? NO_COPIES).quarantinedAtMs !== null;
  }

  sawCopy(): boolean {
    const meta = this.mustMeta();
    const copies = sawCopy(meta.copies ?? NO_COPIES, this.options.now());
    const isClosed = copies.quarantinedAtMs !== null;
    this.storage.transaction(() => {
      this.storage.setMeta({ ...meta, copies });
      this.audit("gateway", "connector-copied", null, { times: copies.staleAtMs.length });
      if (isClosed) this.audit("gateway", "gateway-quarantined", null, {});
    });
    this.tellInbox();
    return isClosed;
  }

  /** A copy with an older state was refused, and nobody has been linked since: the owner may let it in. */
  isCopyWaiting(): boolean {
    const meta = this.storage.meta();
    const refusedAtMs = meta?.copies?.staleAtMs.at(-1);
    return !this.#link.up && refusedAtMs !== undefined && refusedAtMs >= (meta?.lastSeenMs ?? 0);
  }

  /** The owner has ended the other copy: the next connector that proves itself is the one, whatever generation it has. */
  endQuarantine(): void {
    const meta = this.mustMeta();
    const action = this.isQuarantined() ? "quarantine-ended" : "copy-let-in";
    this.storage.transaction(() => {
      this.storage.setMeta({ ...meta, copies: NO_COPIES, acknowledged: 0 });
      this.audit("owner", action, null, {});
    });
    this.tellInbox();
  }

  keyAcknowledged(): void {
    const meta = this.mustMeta();
    const { previousKey = null } = meta;
    if (previousKey?.isAcknowledged === false) this.storage.setMeta({ ...meta, previousKey: { ...previousKey, isAcknowledged: true } });
  }

  acknowledged(generation: number): void {
    const meta = this.mustMeta();
    this.storage.setMeta({ ...meta, acknowledged: Math.max(meta.acknowledged, Math.min(generation, meta.generation)) });
    deliverAll(this);
  }

  session(session: string, nowMs: number): AdmittedSession | null {
    const row = this.storage.get<SessionRow>("sessions", session);
    if (row === null || row.expiresAtMs <= nowMs) return null;
    return { session: row.id, device: row.device, access: row.access, expiresAtMs: row.expiresAtMs };
  }

  isCut(device: string): boolean {
    const known = this.#stopped.get(device);
    if (known !== undefined) return known;
    const row = this.device(device);
    // Strangers ask with as many names as they like: only what has a row is kept.
    if (row === null) return false;
    const isStopped = row.state === "cut" || row.suspendedAtMs !== undefined;
    this.#stopped.set(device, isStopped);
    return isStopped;
  }

  isAnybodyWaiting(): boolean {
    return this.storage.hasAny("requests");
  }

  mayStream(device: string): boolean {
    return mayStream(this, device);
  }

  linkChanged(link: { readonly up: boolean; readonly report: GatewayReport | null; readonly version: string | null }): void {
    const before = this.state();
    const hadLink = this.#link.up;
    this.#link = { up: link.up, report: link.report };
    if (!link.up) {
      this.meter.linkGone();
      this.acts.linkGone();
    }
    const meta = this.storage.meta();
    if (meta !== null) {
      const lastSeenMs = this.options.now();
      // Also on the way out: until this moment it was there.
      const isServed = before === "online" || link.report?.state === "online";
      const servedAtMs = isServed ? lastSeenMs : (meta.servedAtMs ?? null);
      const broken = brokenLeg(hadLink, before, link);
      const lastBreak = broken === null ? {} : { lastBreak: { leg: broken, atMs: lastSeenMs } };
      this.storage.setMeta({ ...meta, ...lastBreak, lastSeenMs, servedAtMs, connectorVersion: link.version ?? meta.connectorVersion });
    }
    if (link.up && !hadLink) this.#noteAbsence(meta?.lastSeenMs ?? null);
    const state = this.state();
    this.notices.doors({ type: "gateway", state, ...this.restart() });
    if (state !== before) {
      if (state === "needs-settings" || state === "unsafe") this.auditMachine("gateway", `gateway-${state}`, null, {});
      this.tellInbox();
    }
  }

  /** Links come and go: a short absence is no row, a long one is one, and D1 hears of neither (PROTOCOL.md AB3). */
  #noteAbsence(fromMs: number | null): void {
    const toMs = this.options.now();
    if (fromMs === null) this.trail.addOfMachine("gateway", "gateway-first-link", null, {}, true);
    else if (toMs - fromMs >= AWAY_ROW_MS) this.trail.addOfMachine("gateway", "gateway-away", null, { fromMs, toMs }, true);
  }

  broke({ leg, code, reason, device }: Break, streams: number): void {
    const nowMs = this.options.now();
    const unnoted = this.#breaks.note(streams, nowMs);
    // What is too frequent for a row of the audit is too frequent for a write.
    if (unnoted === null) return;
    const meta = this.storage.meta();
    if (meta !== null) this.storage.setMeta({ ...meta, lastBreak: { leg, atMs: nowMs } });
    const why = reason.slice(leg.length + 2);
    this.auditMachine(leg === "device-room" ? "device" : "gateway", "stream-broken", device, { leg, code, why, streams, unnoted });
  }

  answered(result: LinkResult): void {
    const message = this.storage.owed().find((each) => each.id === result.id);
    if (message !== undefined) this.background("connector-message", settle(this, message, result));
  }

  received(message: ToRoom): void {
    if (message.type === "cut-done") {
      // What fails on the way is said again at the next link.
      this.background("connector-message", cutDone(this, { ...message, tookMs: null }));
    } else if (message.type === "probed") {
      this.hops.answered(message);
    } else if (message.type === "local-act-done") {
      this.acts.answered(message);
    } else if (message.type === "ask-blocked") {
      tellBlocked(this, message);
    } else if (message.type === "drift") {
      takeDrift(this, { atMs: message.atMs, differences: message.differences });
    } else if (message.type === "log") {
      this.background("connector-message", this.keyLog.take(message.lines));
    } else if (message.type === "alarm") {
      this.keyLog.alarmAtMachine(message);
    } else if (message.type === "alarm-over") {
      this.keyLog.alarmOver();
    } else if (message.type === "rotated") {
      // Entries are taken up in order behind one another: this word may not overtake the entry that it is about.
      const acknowledged = this.keyLog.settled().then(() => {
        if (this.storage.meta()?.previousKey?.seq === message.seq) this.keyAcknowledged();
      });
      this.background("connector-message", acknowledged);
    } else if (message.type === "audit-anchor") {
      this.trail.anchored(message.head);
    } else if (message.type === "device") {
      // Names of devices that are none here are made up.
      if (this.device(message.device) === null) return;
      this.auditMachine(
        "device",
        `device-${message.event}`,
        message.device,
        message.scopes === undefined ? {} : { scopes: message.scopes.join(" ") },
      );
      this.tellInbox();
    }
  }

  /** What nobody waits for; a failure of it has its line all the same. */
  background(place: FailurePlace, work: Promise<unknown>): void {
    work.catch((error: unknown) => this.options.report(place, error));
  }

  // --- shared by the door and the owner's side --------------------------------------------------------------------------------

  mustMeta(): RoomMeta {
    const meta = this.storage.meta();
    if (meta === null) throw new Defect("room-not-set-up");
    return meta;
  }

  state(): GatewayState {
    const meta = this.storage.meta();
    if (meta === null || meta.key === null) return "unclaimed";
    if (this.isQuarantined()) return "unsafe";
    if (!this.#link.up) return "no-link";
    return this.#link.report?.state ?? "offline";
  }

  report(): GatewayReport | null {
    return this.isQuarantined() ? { state: "unsafe", reason: "connector-copied" } : this.#link.report;
  }

  /** How long the gateway said that its restart takes, milliseconds; only while it restarts. */
  restart(): { readonly restartExpectedMs?: number } {
    const expected = this.#link.report?.restartExpectedMs;
    return expected === undefined || this.state() !== "restarting" ? {} : { restartExpectedMs: expected };
  }

  away(): Away | null {
    return gatewayAway(this.state(), this.#link.report?.restartExpectedMs);
  }

  /** When the gateway was last there, epoch ms: its machine while it has no link, else OpenClaw itself. */
  gatewaySeenMs(): number | null {
    const meta = this.storage.meta();
    return (this.#link.up ? meta?.servedAtMs : meta?.lastSeenMs) ?? null;
  }

  lastBreak(): LastBreak | null {
    return this.storage.meta()?.lastBreak ?? null;
  }

  /** Since when the connector's socket is there, epoch ms; null while there is no link. */
  linkSinceMs(): number | null {
    return this.#link.up ? this.relay.linkSinceMs() : null;
  }

  device(id: string): DeviceRow | null {
    return this.storage.get<DeviceRow>("devices", id);
  }

  saveDevice(row: DeviceRow): void {
    this.storage.put("devices", row.id, row);
    // Read again when it is asked for: a transaction that fails takes the row back.
    this.#stopped.delete(row.id);
    for (const event of deviceEvents(this.mustMeta().gateway, row)) this.outbox.add(event);
  }

  audit(actor: string, action: string, device: string | null, detail: AuditDetail): AuditEntry | null {
    return this.trail.add(actor, action, device, detail);
  }

  /** As `audit`, for what the gateway's machine caused. */
  auditMachine(actor: string, action: string, device: string | null, detail: AuditDetail): AuditEntry | null {
    return this.trail.addOfMachine(actor, action, device, detail);
  }

  tellInbox(): void {
    this.notices.gatewayChanged(this.state());
  }

  /** A person lost its place by another way than a call; what it had ends once the transaction that says so is over. */
  personGone(row: PersonRow): void {
    const gone = Promise.resolve().then(() => this.#farewell(row));
    this.background("member-gone", gone);
  }

  /** Commits a cut: grant revoked, sessions gone, frames dropped from here on. @returns its entry in the audit chain */
  markCut(row: DeviceRow, by: RoleKind | "host", detail: AuditDetail = {}): AuditEntry | null {
    const entry = this.storage.transaction(() => {
      this.endAccess(row);
      return this.audit(by, "cut", row.id, detail);
    });
    dropNoticesOf(this, row.id);
    return entry;
  }

  /** Inside a transaction: the device's grant, sessions and token are over. */
  endAccess(row: DeviceRow): void {
    this.saveDevice({ ...row, state: "cut", endedAtMs: row.endedAtMs ?? this.options.now(), token: null, activation: null });
    const grant = this.storage.get<GrantRow>("grants", row.grant);
    if (grant !== null) this.saveGrant({ ...grant, state: "revoked" });
    this.storage.delete("owed", `grant-${row.grant}`);
    this.storage.deleteSessionsOf(row.id);
  }

  /** A copy of the device's token was shown: nothing opens with its key until the owner allows it again (PROTOCOL.md TK3). */
  freeze(row: DeviceRow): void {
    this.storage.transaction(() => {
      this.saveDevice({ ...row, token: row.token === null ? null : { ...row.token, isFrozen: true } });
      this.storage.deleteSessionsOf(row.id);
      this.audit("device", "token-copied", row.id, {});
    });
    this.relay.endDevice(row.id, CLOSE_CUT, "this device's access was frozen");
    this.tellInbox();
  }

  saveGrant(row: GrantRow): void {
    this.storage.put("grants", row.id, row);
    const notAfterMs = this.device(row.device)?.notAfterMs ?? 0;
    this.outbox.add(grantEvent(this.mustMeta().gateway, row, { issuedAtMs: this.options.now(), notAfterMs }));
  }

  newNonce(): string {
    return toBase64url(this.options.random(32));
  }
}
