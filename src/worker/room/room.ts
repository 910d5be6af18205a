/** The Durable Object of one gateway. It only forwards: the relay moves bytes, admission and door decide. */
import { DurableObject } from "cloudflare:workers";
import type { PairingRequest, Receipt } from "../../protocol/api.ts";
import type { ReceiptFile } from "../../protocol/receipt.ts";
import type { ConnectorKey, OwnerKey, SignedByOwner, SignedByRecovery } from "../../protocol/statements.ts";
import { readConfig } from "../config.ts";
import { forEdge } from "../edge-cache.ts";
import type { Env } from "../env.ts";
import { NO_COPIES } from "../../core/copy-watch.ts";
import { Admission } from "./admission.ts";
import { attachmentOf, closeQuietly } from "./attachments.ts";
import { cut, endUnanswered } from "./cuts.ts";
import { exportReceipt, receiptView } from "./receipts.ts";
import { allow, checkMatchCode, deny, ownerGrant, ownerOpened } from "./decisions.ts";
import { Door } from "./door.ts";
import { driftView, mend } from "./drift.ts";
import { endOverdue } from "./owed.ts";
import { DoorSessions } from "./door-sessions.ts";
import { dropNoticesOf, keepDevice, showNotices } from "./grant-notices.ts";
import { addOwnerKey, ownersOf, recoverOwners, removeOwnerKey, setRecoveryKey } from "./owners.ts";
import { cardOf, endRequest, requestLastSeenMs } from "./pairing-requests.ts";
import { refusal } from "./refusals.ts";
import { Relay } from "./relay.ts";
import type { Decided, OwnerChange, RoomOwners, RoomResult, RoomRpc, RoomSnapshot } from "./room-rpc.ts";
import type { RequestRow } from "./storage.ts";
import { sweep } from "./sweep.ts";
import { MATCH_CODE_TRIES } from "../../protocol/limits.ts";
import { ROOM_PING, ROOM_PONG } from "../../protocol/words.ts";

const NOT_FOUND = { ok: false, failure: "not-found" } as const;
const CLOSE_INTERNAL = 1011;
const SWEEP_AGAIN_MS = 60_000;
/** Lines of a key log in one answer: each is at most 40 KiB, an RPC answer at most 32 MiB. */
const KEY_LOG_PAGE = 200;
/** Lines of the audit chain in one answer: each is a few hundred bytes. */
const AUDIT_PAGE = 500;

export class Room extends DurableObject<Env> implements RoomRpc {
  readonly #admission: Admission;
  readonly #relay: Relay;
  readonly #door: Door;
  readonly #sessions: DoorSessions;
  #alarmAtMs: number | null = null;
  /** Nothing is stored any more; what still arrives is answered as at a room that never was. */
  #isRemoved = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const config = readConfig(env);
    const now = (): number => Date.now();
    const random = (bytes: number): Uint8Array => crypto.getRandomValues(new Uint8Array(bytes));
    const wakeBy = (atMs: number): void => this.#wakeBy(atMs);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(ROOM_PING, ROOM_PONG));
    // Known before any event: an alarm set later must never push an earlier one back.
    void ctx.blockConcurrencyWhile(async () => {
      this.#alarmAtMs = await ctx.storage.getAlarm();
      this.#relay.awake();
    });
    this.#admission = new Admission({ ctx, env, config, now, random, wakeBy });
    this.#relay = new Relay({
      ctx,
      admission: this.#admission,
      now,
      random,
      wakeBy,
      approveOrigin: config.approveOrigin,
      rpId: config.rpId,
    });
    this.#admission.attach(this.#relay);
    this.#door = new Door(this.#admission);
    this.#sessions = new DoorSessions(this.#admission);
  }

  override async fetch(request: Request): Promise<Response> {
    if (this.#isRemoved) return refusal(404, "Not found.\n");
    try {
      const header = (name: string): string => request.headers.get(`x-gatehouse-${name}`) ?? "";
      switch (header("kind")) {
        case "link":
          return this.#relay.fetchLink(header("client-ip"));
        case "stream":
          return this.#stream(request, header("session"), header("client-ip"), header("edge") !== "");
        case "challenge":
          return await this.#sessions.challenge(request);
        case "session":
          return await this.#sessions.session(request);
        case "wait":
          return this.#door.wait(header("client-ip"), header("country") || null);
        default:
          return refusal(404, "Not found.\n");
      }
    } catch {
      return refusal(500, "Something went wrong on our side.\n");
    }
  }

  override webSocketMessage(ws: WebSocket, data: string | ArrayBuffer): Promise<void> | void {
    if (this.#isRemoved) return closeQuietly(ws, 4403, "this gateway was removed");
    try {
      if (this.#relay.fastMessage(ws, data)) return;
    } catch {
      return closeQuietly(ws, CLOSE_INTERNAL, "internal error");
    }
    return this.#slowMessage(ws, data);
  }

  async #slowMessage(ws: WebSocket, data: string | ArrayBuffer): Promise<void> {
    try {
      const attachment = attachmentOf(ws);
      if (attachment === null) closeQuietly(ws, CLOSE_INTERNAL, "unknown socket");
      else if (attachment.kind === "link") await this.#relay.linkMessage(ws, attachment, data);
      else if (attachment.kind === "wait") await this.#door.message(ws, attachment, data);
      else this.#relay.strayMessage(ws, data);
    } catch {
      closeQuietly(ws, CLOSE_INTERNAL, "internal error");
    }
  }

  override webSocketClose(ws: WebSocket, code: number, reason: string): void {
    this.#gone(ws, code, reason);
  }

  override webSocketError(ws: WebSocket): void {
    this.#gone(ws, 1006, "");
  }

  /** At least once, possibly late: what is over is told by its own time, and one part that fails never keeps the others from theirs. */
  override async alarm(): Promise<void> {
    this.#alarmAtMs = null;
    if (this.#isRemoved) return;
    const nowMs = Date.now();
    const parts = [
      () => this.#relay.endExpired(nowMs),
      () => this.#relay.endStragglers(nowMs),
      () => this.#door.endSilent(nowMs),
      () => sweep(this.#admission, nowMs),
      () => endUnanswered(this.#admission, nowMs),
      () => endOverdue(this.#admission, nowMs),
      () => this.#admission.trail.carry(nowMs),
      () => this.#admission.outbox.drain(),
    ];
    for (const part of parts) {
      try {
        const next = await part();
        if (next !== null) this.#wakeBy(next);
      } catch {
        this.#wakeBy(nowMs + SWEEP_AGAIN_MS);
      }
    }
  }

  // --- RPC: every call names the account; any other answer than its own is `not-found` ---------------------------------------

  setUp(input: { gateway: string; account: string; name: string }): Promise<RoomResult<null>> {
    if (this.#isRemoved) return Promise.resolve(NOT_FOUND);
    const meta = this.#admission.storage.meta();
    if (meta !== null && (meta.gateway !== input.gateway || meta.account !== input.account)) return Promise.resolve(NOT_FOUND);
    const fresh = { key: null, generation: 0, acknowledged: 0, connectorVersion: null, lastSeenMs: null };
    this.#admission.storage.setMeta({ ...fresh, ...meta, ...input });
    return done();
  }

  enrol(input: {
    account: string;
    key: ConnectorKey;
    ownerKeys: readonly OwnerKey[];
    recovery?: SignedByOwner | null;
  }): Promise<RoomResult<null>> {
    return this.#for(input.account, async () => {
      const meta = this.#admission.mustMeta();
      this.#relay.endLink(4410, "another machine is this gateway's connector now");
      this.#admission.storage.transaction(() => {
        this.#admission.storage.setMeta({ ...meta, key: input.key, previousKey: null, copies: NO_COPIES, generation: 0, acknowledged: 0 });
        this.#admission.storage.setOwnerKeys(input.ownerKeys);
        this.#admission.storage.setRecoveryKey(null);
        this.#admission.storage.clearKeyLog();
        this.#admission.audit("owner", "connector-enrolled", null, { ownerKeys: input.ownerKeys.length });
      });
      const { recovery = null } = input;
      if (recovery !== null) await setRecoveryKey(this.#admission, input.account, recovery);
      this.#admission.tellInbox();
      return done();
    });
  }

  rename(input: { account: string; name: string }): Promise<RoomResult<null>> {
    return this.#for(input.account, () => {
      this.#admission.storage.setMeta({ ...this.#admission.mustMeta(), name: input.name });
      return done();
    });
  }

  snapshot(input: { account: string }): Promise<RoomResult<RoomSnapshot>> {
    return this.#for(input.account, () => {
      const { gateway, name, connectorVersion, lastSeenMs } = this.#admission.mustMeta();
      const waitingCount = this.#admission.storage.all("requests").length;
      const state = this.#admission.state();
      const value = {
        gateway,
        name,
        state,
        report: this.#admission.report(),
        connectorVersion,
        lastSeenMs,
        head: this.#admission.keyLog.head(),
        devices: this.#admission.devices(),
        drift: driftView(this.#admission),
        waitingCount,
        alarm: this.#admission.storage.alarm(),
      };
      showNotices(this.#admission);
      return Promise.resolve({ ok: true, value });
    });
  }

  request(input: { account: string; request: string }): Promise<RoomResult<PairingRequest>> {
    return this.#for(input.account, () => {
      const row = this.#admission.storage.get<RequestRow>("requests", input.request);
      if (row === null) return Promise.resolve({ ok: false, failure: "request-over" });
      ownerOpened(this.#admission, row);
      const card = cardOf(this.#admission, { ...row, lastSeenMs: requestLastSeenMs(this.#admission, row) });
      return Promise.resolve({
        ok: true,
        value: {
          ...card,
          key: row.key,
          roomNonce: row.nonce,
          head: this.#admission.keyLog.head()?.hash ?? null,
          triesLeft: MATCH_CODE_TRIES - row.tries,
        },
      });
    });
  }

  checkMatchCode(input: { account: string; request: string; code: string }): Promise<RoomResult<null>> {
    return this.#for(input.account, () => Promise.resolve(checkMatchCode(this.#admission, input.request, input.code)));
  }

  allow(input: {
    account: string;
    request: string;
    code: string;
    signed: SignedByOwner;
    by?: string | null;
  }): Promise<RoomResult<Decided>> {
    return this.#for(input.account, () => allow(this.#admission, input));
  }

  deny(input: { account: string; request: string; block: boolean }): Promise<RoomResult<{ device: string }>> {
    return this.#for(input.account, () => Promise.resolve(deny(this.#admission, input)));
  }

  ownerGrant(input: { account: string; signed: SignedByOwner; by?: string | null }): Promise<RoomResult<Decided>> {
    return this.#for(input.account, () => ownerGrant(this.#admission, input));
  }

  keepDevice(input: { account: string; device: string }): Promise<RoomResult<null>> {
    return this.#for(input.account, () => (keepDevice(this.#admission, input.device) ? done() : Promise.resolve(NOT_FOUND)));
  }

  renameDevice(input: { account: string; device: string; name: string }): Promise<RoomResult<null>> {
    return this.#for(input.account, () => {
      const row = this.#admission.device(input.device);
      if (row === null) return Promise.resolve(NOT_FOUND);
      this.#admission.storage.transaction(() => {
        this.#admission.saveDevice({ ...row, name: input.name });
        this.#admission.audit("owner", "device-renamed", row.id, {});
      });
      return done();
    });
  }

  cut(input: { account: string; device: string }): Promise<RoomResult<Receipt>> {
    return this.#for(input.account, () => cut(this.#admission, input.device));
  }

  receipt(input: { account: string; device: string }): Promise<RoomResult<Receipt>> {
    return this.#for(input.account, () => {
      const receipt = this.#admission.storage.receipt(input.device);
      return Promise.resolve(receipt === null ? NOT_FOUND : { ok: true as const, value: receiptView(this.#admission, receipt) });
    });
  }

  receiptFile(input: { account: string; device: string }): Promise<RoomResult<ReceiptFile>> {
    return this.#for(input.account, () => Promise.resolve(exportReceipt(this.#admission, input.device)));
  }

  mend(input: { account: string; entry: string; what: "remove" | "keep" }): Promise<RoomResult<null>> {
    return this.#for(input.account, () => mend(this.#admission, input));
  }

  owners(input: { account: string }): Promise<RoomResult<RoomOwners>> {
    return this.#for(input.account, () => Promise.resolve({ ok: true, value: ownersOf(this.#admission) }));
  }

  addOwnerKey(input: { account: string; signed: SignedByOwner }): Promise<RoomResult<OwnerChange>> {
    return this.#for(input.account, () => addOwnerKey(this.#admission, input.account, input.signed));
  }

  removeOwnerKey(input: { account: string; signed: SignedByOwner }): Promise<RoomResult<OwnerChange>> {
    return this.#for(input.account, () => removeOwnerKey(this.#admission, input.account, input.signed));
  }

  setRecoveryKey(input: { account: string; signed: SignedByOwner }): Promise<RoomResult<OwnerChange>> {
    return this.#for(input.account, () => setRecoveryKey(this.#admission, input.account, input.signed));
  }

  recoverOwners(input: { account: string; signed: SignedByRecovery }): Promise<RoomResult<OwnerChange>> {
    return this.#for(input.account, () => recoverOwners(this.#admission, input.account, input.signed));
  }

  endQuarantine(input: { account: string }): Promise<RoomResult<null>> {
    return this.#for(input.account, () => {
      if (!this.#admission.isQuarantined()) return Promise.resolve({ ok: false, failure: "conflict" });
      this.#admission.endQuarantine();
      return done();
    });
  }

  keyLog(input: { account: string; from: number }): Promise<RoomResult<readonly string[]>> {
    return this.#for(input.account, () =>
      Promise.resolve({ ok: true, value: this.#admission.storage.keyLogLines(input.from, KEY_LOG_PAGE) }),
    );
  }

  auditLines(input: { account: string; from: number; isExport: boolean }): Promise<RoomResult<readonly string[]>> {
    return this.#for(input.account, () => {
      if (input.isExport) this.#admission.audit("owner", "audit-exported", null, {});
      return Promise.resolve({ ok: true, value: this.#admission.storage.auditLines(input.from, AUDIT_PAGE) });
    });
  }

  remove(input: { account: string }): Promise<RoomResult<null>> {
    return this.#for(input.account, async () => {
      for (const row of this.#admission.storage.all<RequestRow>("requests"))
        endRequest(this.#admission, row, "withdrawn", { type: "ended", why: "withdrawn" });
      for (const { id } of this.#admission.devices()) dropNoticesOf(this.#admission, id);
      this.#admission.audit("owner", "gateway-removed", null, {});
      // What D1 has not heard yet is told now; when it is away, the account's own history lacks the end of a gateway that is gone.
      await this.#admission.outbox.drain();
      this.#relay.endLink(4410, "this gateway was removed");
      this.#isRemoved = true;
      for (const ws of this.ctx.getWebSockets()) closeQuietly(ws, 4403, "this gateway was removed");
      await this.ctx.storage.deleteAlarm();
      await this.#admission.storage.deleteAll();
      return { ok: true, value: null };
    });
  }

  async #stream(request: Request, session: string, clientIp: string, isForEdge: boolean): Promise<Response> {
    const answer = await this.#relay.fetchStream(request, session, clientIp);
    if (!isForEdge) return answer;
    const report = this.#admission.report();
    return forEdge(answer, this.#admission.identity()?.key.x ?? null, report?.state === "online" ? report.build : undefined);
  }

  async #for<T>(account: string, work: () => Promise<RoomResult<T>>): Promise<RoomResult<T>> {
    if (this.#isRemoved) return NOT_FOUND;
    const meta = this.#admission.storage.meta();
    return meta === null || meta.account !== account ? NOT_FOUND : work();
  }

  #gone(ws: WebSocket, code: number, reason: string): void {
    if (this.#isRemoved) return closeQuietly(ws);
    try {
      const attachment = attachmentOf(ws);
      if (attachment?.kind === "link") this.#relay.linkClosed(ws, code);
      else if (attachment?.kind === "stream") this.#relay.streamClosed(ws, attachment, code, reason);
      else {
        closeQuietly(ws);
        if (attachment?.kind === "wait") this.#door.closed(attachment);
      }
    } catch {
      closeQuietly(ws, CLOSE_INTERNAL, "internal error");
    }
  }

  #wakeBy(atMs: number): void {
    if (this.#isRemoved) return;
    if (this.#alarmAtMs !== null && this.#alarmAtMs <= atMs) return;
    this.#alarmAtMs = atMs;
    void this.ctx.storage.setAlarm(atMs);
  }
}

function done(): Promise<RoomResult<null>> {
  return Promise.resolve({ ok: true, value: null });
}
