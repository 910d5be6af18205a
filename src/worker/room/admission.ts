/** The deciding half of a room: who is allowed, what is owed to the connector, what D1 must hear. Commits first, tells afterwards. */
import { toBase32 } from "../../core/digests.ts";
import type { Device, Receipt, WaitingCard } from "../../protocol/api.ts";
import type { ToDoor } from "../../protocol/door-messages.ts";
import { NONCE_MS, REQUEST_SILENCE_MS } from "../../protocol/limits.ts";
import type { GatewayReport, LinkResult, ToRoom } from "../../protocol/link-messages.ts";
import { toBase64url } from "../../protocol/statement-encoding.ts";
import type { GatewayState } from "../../protocol/words.ts";
import type { Config } from "../config.ts";
import type { OutboxEvent } from "../db/room-writes.ts";
import { writeOutboxEvent } from "../db/room-writes.ts";
import type { Env } from "../env.ts";
import { attachmentOf, closeQuietly } from "./attachments.ts";
import type { AdmissionForRelay, AdmittedSession, RelayForAdmission } from "./parts.ts";
import { RoomStorage } from "./storage.ts";
import type { DeviceRow, GrantRow, RequestRow, RoomMeta, SessionRow } from "./storage.ts";

export interface AdmissionOptions {
  readonly ctx: DurableObjectState;
  readonly env: Env;
  readonly config: Config;
  readonly now: () => number;
  readonly random: (bytes: number) => Uint8Array;
  readonly wakeBy: (atMs: number) => void;
}

const OUTBOX_BATCH = 50;
const OUTBOX_RETRY_MS = 5_000;
const OUTBOX_RETRY_MAX_MS = 5 * 60_000;

export class Admission implements AdmissionForRelay {
  readonly options: AdmissionOptions;
  readonly storage: RoomStorage;
  /** Cut devices, asked for every frame; the rows are the truth. */
  readonly #cut: Set<string>;
  #link: { up: boolean; report: GatewayReport | null } = { up: false, report: null };
  #outboxFailures = 0;
  #relay: RelayForAdmission | null = null;

  constructor(options: AdmissionOptions) {
    this.options = options;
    this.storage = new RoomStorage(options.ctx.storage);
    this.#cut = new Set(
      this.storage
        .all<DeviceRow>("devices")
        .filter((row) => row.state === "cut")
        .map((row) => row.id),
    );
    for (const ws of options.ctx.getWebSockets("link")) {
      const attachment = attachmentOf(ws);
      // Also one that is closing: its close comes next, and then everybody is told.
      if (attachment?.kind === "link" && attachment.phase === "ready") this.#link = { up: true, report: attachment.report };
    }
  }

  /** Set once by room.ts, before anything else happens. */
  attach(relay: RelayForAdmission): void {
    this.#relay = relay;
    relay.setWaiting(this.storage.all("requests").length > 0);
  }

  get relay(): RelayForAdmission {
    if (this.#relay === null) throw new Error("room is not wired");
    return this.#relay;
  }

  // --- for the relay -------------------------------------------------------------------------------------------------------

  identity() {
    const meta = this.storage.meta();
    if (meta === null || meta.key === null) return null;
    const { gateway, key, generation, acknowledged } = meta;
    return { gateway, origin: this.options.config.gatewayOrigin(gateway), key, generation, acknowledged };
  }

  nextGeneration(): number {
    const meta = this.mustMeta();
    this.storage.setMeta({ ...meta, generation: meta.generation + 1 });
    return meta.generation + 1;
  }

  acknowledged(generation: number): void {
    const meta = this.mustMeta();
    this.storage.setMeta({ ...meta, acknowledged: Math.max(meta.acknowledged, Math.min(generation, meta.generation)) });
    for (const message of this.storage.owed()) void this.deliver(message);
  }

  session(session: string, nowMs: number): AdmittedSession | null {
    const row = this.storage.get<SessionRow>("sessions", session);
    if (row === null || row.expiresAtMs <= nowMs) return null;
    return { session: row.id, device: row.device, access: row.access, expiresAtMs: row.expiresAtMs };
  }

  isCut(device: string): boolean {
    return this.#cut.has(device);
  }

  linkChanged(link: { readonly up: boolean; readonly report: GatewayReport | null; readonly version: string | null }): void {
    const before = this.state();
    this.#link = { up: link.up, report: link.report };
    const meta = this.storage.meta();
    if (meta !== null) {
      const lastSeenMs = this.options.now();
      this.storage.setMeta({ ...meta, lastSeenMs, connectorVersion: link.version ?? meta.connectorVersion });
    }
    const state = this.state();
    this.tellDoors({ type: "gateway", state, ...this.restart() });
    if (state !== before) {
      if (state === "online" || state === "no-link" || state === "unsafe") this.audit("gateway", `gateway-${state}`, null, {});
      this.tellInbox();
    }
  }

  received(message: ToRoom): void {
    if (message.type === "cut-done") {
      const receipt = this.storage.get<Receipt>("receipts", message.device);
      const device = this.device(message.device);
      if (message.by === "host" && device !== null && device.state !== "cut") {
        this.markCut(device, "host");
        this.relay.endDevice(device.id, 4403, "cut on the gateway's machine");
      }
      if (receipt !== null) {
        this.storage.saveReceipt({
          ...receipt,
          gateway: { state: "done", entriesRemoved: message.removed, tookMs: null, atMs: message.atMs },
        });
      }
      this.audit(message.by, "cut-done-on-gateway", message.device, { removed: message.removed });
      this.tellInbox();
    } else if (message.type === "device") {
      this.audit(
        "device",
        `device-${message.event}`,
        message.device,
        message.scopes === undefined ? {} : { scopes: message.scopes.join(" ") },
      );
      this.tellInbox();
    }
  }

  // --- shared by the door and the owner's side --------------------------------------------------------------------------------

  mustMeta(): RoomMeta {
    const meta = this.storage.meta();
    if (meta === null) throw new Error("room is not set up");
    return meta;
  }

  state(): GatewayState {
    const meta = this.storage.meta();
    if (meta === null || meta.key === null) return "unclaimed";
    if (!this.#link.up) return "no-link";
    return this.#link.report?.state ?? "offline";
  }

  report(): GatewayReport | null {
    return this.#link.report;
  }

  /** How long the gateway said that its restart takes, milliseconds; only while it restarts. */
  restart(): { readonly restartExpectedMs?: number } {
    const expected = this.#link.report?.restartExpectedMs;
    return expected === undefined || this.state() !== "restarting" ? {} : { restartExpectedMs: expected };
  }

  device(id: string): DeviceRow | null {
    return this.storage.get<DeviceRow>("devices", id);
  }

  saveDevice(row: DeviceRow): void {
    this.storage.put("devices", row.id, row);
    if (row.state === "cut") this.#cut.add(row.id);
    else this.#cut.delete(row.id);
    const { gateway } = this.mustMeta();
    const { id, name, platform, browser, state, access, notAfterMs, createdAtMs, lastSeenMs } = row;
    this.toOutbox({
      kind: "device",
      row: {
        gatewayId: gateway,
        id,
        publicKey: JSON.stringify(row.key),
        name,
        platform,
        browser,
        state,
        access,
        notAfterMs,
        createdAtMs,
        lastSeenMs,
      },
    });
    if (row.token !== null) {
      const { current, previous, rotatedAtMs, isFrozen } = row.token;
      this.toOutbox({
        kind: "token",
        row: { gatewayId: gateway, deviceId: id, currentMac: current, previousMac: previous, rotatedAtMs, isFrozen },
      });
    }
  }

  /** Commits a cut: grant revoked, sessions gone, frames dropped from here on. */
  markCut(row: DeviceRow, by: "owner" | "host"): void {
    this.storage.transaction(() => {
      this.saveDevice({ ...row, state: "cut", token: null, activation: null });
      const grant = this.storage.get<GrantRow>("grants", row.grant);
      if (grant !== null) this.saveGrant({ ...grant, state: "revoked" });
      this.storage.delete("owed", `grant-${row.grant}`);
      for (const session of this.storage.all<SessionRow>("sessions"))
        if (session.device === row.id) this.storage.delete("sessions", session.id);
      this.audit(by, "cut", row.id, {});
    });
  }

  saveGrant(row: GrantRow): void {
    this.storage.put("grants", row.id, row);
    const device = this.device(row.device);
    const { gateway } = this.mustMeta();
    this.toOutbox({
      kind: "grant",
      row: {
        id: row.id,
        gatewayId: gateway,
        deviceId: row.device,
        statement: row.signed.statement,
        assertion: JSON.stringify(row.signed.assertion),
        state: row.state,
        issuedAtMs: this.options.now(),
        notAfterMs: device?.notAfterMs ?? 0,
      },
    });
  }

  /** Sends what is owed and settles it with the connector's answer; stays owed when the link goes first. */
  async deliver(message: Parameters<RelayForAdmission["command"]>[0]): Promise<LinkResult | null> {
    const result = await this.relay.command(message);
    if (result === null) return null;
    this.storage.delete("owed", message.id);
    if (message.type === "grant") this.#grantSettled(message.grant, result);
    if (message.type === "cut") this.#cutSettled(message.device, result);
    return result;
  }

  #grantSettled(grantId: string, result: LinkResult): void {
    const grant = this.storage.get<GrantRow>("grants", grantId);
    const device = grant === null ? null : this.device(grant.device);
    if (grant === null || device === null || device.grant !== grantId || grant.state !== "owed") return;
    this.storage.transaction(() => {
      this.saveGrant({ ...grant, state: result.ok ? "live" : "refused" });
      if (result.ok) this.saveDevice({ ...device, state: "allowed" });
      else this.storage.delete("devices", device.id);
      this.audit(
        "gateway",
        result.ok ? "grant-applied" : "grant-refused",
        device.id,
        result.refusal === undefined ? {} : { why: result.refusal },
      );
    });
    this.tellDevice(device.id, result.ok ? { type: "allowed", live: true } : { type: "ended", why: "grant-refused" });
    this.tellInbox();
  }

  #cutSettled(device: string, result: LinkResult): void {
    const receipt = this.storage.get<Receipt>("receipts", device);
    if (receipt === null || result.cut === undefined) return;
    const { done, removed, tookMs, atMs } = result.cut;
    this.storage.saveReceipt({
      ...receipt,
      gateway: { state: done ? "done" : "pending", entriesRemoved: removed, tookMs: tookMs ?? null, atMs: done ? atMs : null },
    });
    this.tellInbox();
  }

  // --- requests ---------------------------------------------------------------------------------------------------------------

  endRequest(row: RequestRow, outcome: Extract<OutboxEvent, { kind: "request" }>["row"]["outcome"], tell: ToDoor): void {
    const { gateway } = this.mustMeta();
    const decidedAtMs = this.options.now();
    this.storage.transaction(() => {
      this.storage.delete("requests", row.id);
      this.toOutbox({
        kind: "request",
        row: { id: row.id, gatewayId: gateway, deviceId: row.device, outcome, createdAtMs: row.createdAtMs, decidedAtMs },
      });
      this.audit(outcome === "allowed" || outcome === "denied" ? "owner" : "device", `request-${outcome}`, row.device, {});
    });
    this.tellDevice(row.device, tell);
    this.relay.setWaiting(this.storage.all("requests").length > 0);
    void this.#inbox((inbox) => inbox.drop({ gateway, request: row.id }));
  }

  card(row: RequestRow): WaitingCard {
    const meta = this.mustMeta();
    return {
      id: row.id,
      gateway: meta.gateway,
      gatewayName: meta.name,
      gatewayState: this.state(),
      device: row.device,
      requestedAccess: row.access,
      claims: row.claims,
      observed: { address: row.address, country: row.country },
      createdAtMs: row.createdAtMs,
      lastSeenMs: row.lastSeenMs,
      expiresAtMs: row.lastSeenMs + REQUEST_SILENCE_MS,
    };
  }

  showCard(row: RequestRow): void {
    this.relay.setWaiting(true);
    void this.#inbox((inbox) => inbox.put(this.card(row)));
  }

  /** Last sign of life of a request's page: its open socket's latest heartbeat, or when it closed. */
  requestLastSeenMs(row: RequestRow): number {
    let last = row.lastSeenMs;
    for (const ws of this.waitingPages(row.device)) {
      last = Math.max(last, this.options.ctx.getWebSocketAutoResponseTimestamp(ws)?.getTime() ?? 0);
    }
    return last;
  }

  // --- telling ------------------------------------------------------------------------------------------------------------------

  tellDevice(device: string, message: ToDoor): void {
    for (const ws of this.waitingPages(device)) sendToDoor(ws, message);
  }

  /** Open door pages of a device. Tags are fixed when a socket is accepted, before its key is known, so the attachment tells. */
  waitingPages(device: string): WebSocket[] {
    return this.options.ctx.getWebSockets("wait").filter((ws) => {
      const attachment = attachmentOf(ws);
      return ws.readyState === WebSocket.OPEN && attachment?.kind === "wait" && attachment.device === device;
    });
  }

  tellDoors(message: ToDoor): void {
    for (const ws of this.options.ctx.getWebSockets("wait")) sendToDoor(ws, message);
  }

  tellInbox(): void {
    const meta = this.storage.meta();
    if (meta !== null) void this.#inbox((inbox) => inbox.gatewayChanged({ gateway: meta.gateway, state: this.state() }));
  }

  /** The inbox is a convenience of the owner: its failure never breaks the room. */
  async #inbox(work: (inbox: ReturnType<Env["INBOX"]["getByName"]>) => Promise<unknown>): Promise<void> {
    const meta = this.storage.meta();
    if (meta === null) return;
    try {
      await work(this.options.env.INBOX.getByName(meta.account));
    } catch {
      // Shown again by the next list.
    }
  }

  // --- D1 -------------------------------------------------------------------------------------------------------------------------

  toOutbox(event: OutboxEvent): void {
    this.storage.toOutbox(event);
    this.options.wakeBy(this.options.now());
  }

  audit(actor: string, action: string, device: string | null, detail: Record<string, string | number | boolean>): void {
    const meta = this.storage.meta();
    if (meta === null) return;
    const id = toBase32(this.options.random(16));
    this.toOutbox({
      kind: "audit",
      row: {
        id,
        accountId: meta.account,
        gatewayId: meta.gateway,
        deviceId: device,
        actor,
        action,
        detail: JSON.stringify(detail),
        atMs: this.options.now(),
      },
    });
  }

  /** Drains in order; stops at the first failure. @returns when to try again, or null when all is written */
  async drainOutbox(): Promise<number | null> {
    for (;;) {
      const batch = this.storage.outbox(OUTBOX_BATCH);
      if (batch.length === 0) {
        this.#outboxFailures = 0;
        return null;
      }
      for (const { seq, event } of batch) {
        try {
          await writeOutboxEvent(this.options.env.DB, seq, event);
        } catch {
          this.#outboxFailures += 1;
          return this.options.now() + Math.min(OUTBOX_RETRY_MAX_MS, OUTBOX_RETRY_MS * 2 ** this.#outboxFailures);
        }
        this.storage.outboxDone(seq);
      }
    }
  }

  // --- time ------------------------------------------------------------------------------------------------------------------------

  /** Ends what is over. @returns the next time that something will be over, or null */
  sweep(nowMs: number): number | null {
    this.storage.dropOldNonces(nowMs);
    let next: number | null = this.storage.nonceCount() > 0 ? nowMs + NONCE_MS : null;
    const later = (atMs: number): void => {
      next = next === null ? atMs : Math.min(next, atMs);
    };
    for (const row of this.storage.all<RequestRow>("requests")) {
      const endsAtMs = this.requestLastSeenMs(row) + REQUEST_SILENCE_MS;
      if (endsAtMs <= nowMs) this.endRequest(row, "expired", { type: "ended", why: "expired" });
      else later(endsAtMs);
    }
    for (const row of this.storage.all<SessionRow>("sessions")) if (row.expiresAtMs <= nowMs) this.storage.delete("sessions", row.id);
    return next;
  }

  // --- views ------------------------------------------------------------------------------------------------------------------------

  devices(): Device[] {
    const connected = this.relay.connectedDevices();
    const nowMs = this.options.now();
    return this.storage.all<DeviceRow>("devices").map((row) => ({
      id: row.id,
      name: row.name,
      platform: row.platform,
      browser: row.browser,
      access: row.access,
      state: row.state !== "cut" && row.notAfterMs <= nowMs ? ("expired" as const) : row.state,
      kind: row.kind,
      createdAtMs: row.createdAtMs,
      lastSeenMs: row.lastSeenMs,
      notAfterMs: row.notAfterMs,
      connectedNow: connected.has(row.id),
    }));
  }

  newNonce(): string {
    return toBase64url(this.options.random(32));
  }
}

function sendToDoor(ws: WebSocket, message: ToDoor): void {
  if (ws.readyState !== WebSocket.OPEN) return;
  try {
    ws.send(JSON.stringify(message));
  } catch {
    closeQuietly(ws, 1011, "try again");
  }
}
