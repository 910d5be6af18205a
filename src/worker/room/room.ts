/** The Durable Object of one gateway. It only forwards: the relay moves bytes, admission and door decide. */
import { DurableObject } from "cloudflare:workers";
import type { Receipt } from "../../protocol/api.ts";
import type { ApproveAgainView, DecidedAgain, PairingRequest } from "../../protocol/approval-api.ts";
import type { OwnerPolicy } from "../../protocol/key-log.ts";
import type { ProposalNotice } from "../../protocol/proposals-api.ts";
import type { ReceiptFile } from "../../protocol/receipt.ts";
import { mayDo } from "../../core/trust/roles.ts";
import type { PersonAction, RoleKind } from "../../core/trust/roles.ts";
import type { InvitationView, Leaving, PersonsView } from "../../protocol/members.ts";
import type { OwnerKey, PersonRole, SignedByOwner, SignedByRecovery } from "../../protocol/statements.ts";
import type { Budget, Usage } from "../../protocol/usage.ts";
import { readConfig } from "../config.ts";
import { forEdge } from "../edge-cache.ts";
import type { Env } from "../env.ts";
import { failureReport } from "../failures.ts";
import type { FailureReport } from "../failures.ts";
import { AlarmClock } from "./storage/alarm-clock.ts";
import { runAlarm } from "./alarm-parts.ts";
import { Admission } from "./context.ts";
import { approveAgain, approveAgainView } from "./members/approve-again.ts";
import { attachmentOf, closeFailed, closeQuietly, readyLinkOf } from "./storage/attachments.ts";
import { readBudgetNotice, setBudget, showBudgetNotice, usageOf } from "./dashboard/budget.ts";
import { blockForGood, unblock } from "./devices/blocks.ts";
import { cut, endUnanswered } from "./devices/cuts.ts";
import { EndedSockets } from "./devices/ended-sockets.ts";
import { exportReceipt, receiptView } from "./devices/receipts.ts";
import { allow, checkMatchCode, deny, ownerGrant } from "./pairing/decisions.ts";
import { Door } from "./pairing/waiting-page.ts";
import { mend } from "./devices/drift.ts";
import { enrolConnector } from "./members/enrolment.ts";
import type { NewConnector } from "./members/enrolment.ts";
import { endOverdue } from "./pending-commands.ts";
import { DoorSessions } from "./pairing/sessions.ts";
import { dropNoticesOf, keepDevice, showNotices } from "./devices/new-device-alerts.ts";
import { addOwnerKey, ownersOf, recoverOwners, removeOwnerKey, setRecoveryKey } from "./members/owners.ts";
import { acceptInvitation, holdInvitation, invite, lookAtInvitation } from "./members/invitations.ts";
import { endRequest } from "./pairing/requests.ts";
import { confirmPerson, farewell, leave, leavingOf, personsOf, removePerson } from "./members/members.ts";
import { approveProposal, cancelProposal, endProposals, proposalView } from "./members/proposal-answers.ts";
import { policyOf, showProposals } from "./members/proposals.ts";
import { openingFor, requestFor, snapshotFor } from "./dashboard/views.ts";
import { failed, refusal } from "./refusals.ts";
import { Relay } from "./relay/relay.ts";
import type { Decided, HopStep, OwnerChange, RoomHops, RoomLocalActs, RoomOpening, RoomOwners, RoomResult, RoomRpc, RoomSnapshot } from "./rpc.ts"; // prettier-ignore
import type { LocalActOutcome } from "../../protocol/words.ts";
import { byWhom, whoIs } from "./roles.ts";
import type { Who } from "./roles.ts";
import type { DeviceRow, RequestRow } from "./storage/rows.ts";
import { statusFor } from "./dashboard/device-status.ts";
import { renameDevice, resume, suspend } from "./devices/changes.ts";
import { sweep } from "./expiry.ts";
import { CLOSE_INTERNAL, CLOSE_LINK_REFUSED } from "../../protocol/close-codes.ts";
import { ROOM_PING, ROOM_PONG } from "../../protocol/words.ts";

const NOT_FOUND = { ok: false, failure: "not-found" } as const;
/** Lines of a key log in one answer: each is at most 40 KiB, an RPC answer at most 32 MiB. */
const KEY_LOG_PAGE = 200;
/** Lines of the audit chain in one answer: each is a few hundred bytes. */
const AUDIT_PAGE = 500;

export class Room extends DurableObject<Env> implements RoomRpc {
  readonly #admission: Admission;
  readonly #relay: Relay;
  readonly #door: Door;
  readonly #sessions: DoorSessions;
  readonly #ended: EndedSockets;
  readonly #clock: AlarmClock;
  readonly #report: FailureReport;
  readonly #draw: () => number;
  /** Nothing is stored any more; what still arrives is answered as at a room that never was. */
  #isRemoved = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#report = failureReport(env, () => this.#admission.storage.meta()?.gateway ?? null);
    try {
      const config = readConfig(env);
      const now = (): number => Date.now();
      const random = (bytes: number): Uint8Array => crypto.getRandomValues(new Uint8Array(bytes));
      this.#draw = () => (random(1)[0] ?? 0) / 256;
      this.#clock = new AlarmClock({
        getAlarm: () => ctx.storage.getAlarm(),
        setAlarm: (atMs) => {
          this.#admission.meter.rows(1);
          return ctx.storage.setAlarm(atMs).catch((error: unknown) => this.#report("alarm-clock", error));
        },
      });
      const wakeBy = (atMs: number): void => this.#clock.wakeBy(atMs);
      ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(ROOM_PING, ROOM_PONG));
      ctx.blockConcurrencyWhile(() => this.#clock.learn()).catch((error: unknown) => this.#report("alarm-clock", error));
      const link = readyLinkOf(ctx);
      this.#admission = new Admission({ ctx, env, config, now, random, wakeBy, link, report: this.#report });
      this.#relay = new Relay({
        ctx,
        link,
        admission: this.#admission,
        now,
        random,
        wakeBy,
        approveOrigin: config.approveOrigin,
        rpId: config.rpId,
      });
      this.#admission.attach(this.#relay, (row) => farewell(this.#admission, row));
      this.#door = new Door(this.#admission);
      this.#sessions = new DoorSessions(this.#admission);
      this.#ended = new EndedSockets(this.#admission);
    } catch (error) {
      this.#report("room-start", error);
      throw error;
    }
  }

  override async fetch(request: Request): Promise<Response> {
    const header = (name: string): string => request.headers.get(`x-gatehouse-${name}`) ?? "";
    if (this.#isRemoved) return header("kind") === "link" ? this.#relay.fetchLink(header("client-ip")) : refusal(404, "Not found.\n");
    this.#admission.meter.count("doorRequests");
    try {
      switch (header("kind")) {
        case "link":
          return this.#relay.fetchLink(header("client-ip"));
        case "stream":
          return (
            this.#ended.accept(request, { session: header("session"), device: header("device"), expiresAtMs: header("session-ends") }) ??
            (await this.#stream(request, header("session"), header("client-ip"), header("edge") !== ""))
          );
        case "challenge":
          return await this.#sessions.challenge(request);
        case "standing":
          return await this.#sessions.standing(request);
        case "session":
          return await this.#sessions.session(request);
        case "status":
          return statusFor(this.#admission, header("session"));
        case "wait":
          return this.#door.wait(header("client-ip"), header("country") || null);
        default:
          return refusal(404, "Not found.\n");
      }
    } catch (error) {
      this.#report("room-request", error);
      return failed();
    }
  }

  override webSocketMessage(ws: WebSocket, data: string | ArrayBuffer): Promise<void> | void {
    if (this.#isRemoved) return this.#closeRemoved(ws);
    try {
      if (this.#relay.fastMessage(ws, data)) return this.#admission.meter.relayed(typeof data === "string" ? data.length : data.byteLength);
    } catch (error) {
      this.#report("room-message", error);
      return closeFailed(ws);
    }
    return this.#slowMessage(ws, data);
  }

  async #slowMessage(ws: WebSocket, data: string | ArrayBuffer): Promise<void> {
    try {
      this.#admission.meter.count("controls");
      const attachment = attachmentOf(ws);
      if (attachment === null) closeQuietly(ws, CLOSE_INTERNAL, "unknown socket");
      else if (attachment.kind === "link") await this.#relay.linkMessage(ws, attachment, data);
      else if (attachment.kind === "wait") await this.#door.message(ws, attachment, data);
      else if (attachment.kind === "ended") this.#ended.message(ws, attachment, data);
      else this.#relay.strayMessage(ws, data);
    } catch (error) {
      this.#report("room-message", error);
      closeFailed(ws);
    }
  }

  override webSocketClose(ws: WebSocket, code: number, reason: string): void {
    this.#gone(ws, code, reason);
  }

  override webSocketError(ws: WebSocket): void {
    this.#gone(ws, 1006, "");
  }

  /** At least once, possibly late: what is over is told by its own time. */
  override async alarm(): Promise<void> {
    this.#clock.rang();
    if (this.#isRemoved) return;
    const nowMs = Date.now();
    this.#admission.meter.count("alarms");
    await runAlarm(
      {
        "alarm-streams": () => this.#relay.endExpired(nowMs),
        "alarm-stragglers": () => this.#relay.endStragglers(nowMs),
        "alarm-door": () => earlierOf(this.#door.endSilent(nowMs), this.#ended.endSilent(nowMs)),
        "alarm-expiry": () => sweep(this.#admission, nowMs),
        "alarm-cuts": () => endUnanswered(this.#admission, nowMs),
        "alarm-owed": () => endOverdue(this.#admission, nowMs),
        "alarm-proposals": () => endProposals(this.#admission, nowMs),
        "alarm-settled": () => this.#admission.keyLog.endAlarm(nowMs),
        "alarm-audit": () => this.#admission.trail.carry(nowMs),
        "alarm-outbox": () => this.#admission.outbox.drain(),
        "alarm-count": () => {
          if (this.#admission.storage.meta() !== null) this.#admission.meter.settle();
          return null;
        },
      },
      nowMs,
      { storage: this.#admission.storage, report: this.#report, wakeBy: (atMs) => this.#clock.wakeBy(atMs), draw: this.#draw },
    );
  }

  // --- RPC: every call names the account; whoever may not do it here gets `not-found` ----------------------------------------

  enrol(input: NewConnector): Promise<RoomResult<null>> {
    return this.#called(() => (this.#isRemoved ? NOT_FOUND : enrolConnector(this.#admission, this.#relay, input)));
  }

  policy(input: { account: string }): Promise<RoomResult<OwnerPolicy>> {
    return this.#for(input.account, "manage", () => Promise.resolve({ ok: true, value: policyOf(this.#admission) }));
  }

  rename(input: { account: string; name: string }): Promise<RoomResult<null>> {
    return this.#for(input.account, "manage", () => {
      this.#admission.storage.setMeta({ ...this.#admission.mustMeta(), name: input.name });
      return done();
    });
  }

  snapshot(input: { account: string }): Promise<RoomResult<RoomSnapshot>> {
    return this.#for(input.account, "see", (who) => {
      const value = snapshotFor(this.#admission, who);
      showNotices(this.#admission);
      showProposals(this.#admission);
      showBudgetNotice(this.#admission);
      return Promise.resolve({ ok: true, value });
    });
  }

  request(input: { account: string; request: string }): Promise<RoomResult<PairingRequest>> {
    return this.#for(input.account, "decide", (who) => Promise.resolve(requestFor(this.#admission, input.request, who)));
  }

  checkMatchCode(input: { account: string; request: string; code: string }): Promise<RoomResult<null>> {
    return this.#for(input.account, "decide", (who) => Promise.resolve(checkMatchCode(this.#admission, input.request, input.code, who)));
  }

  allow(input: {
    account: string;
    request: string;
    code: string;
    signed: SignedByOwner;
    by?: string | null;
  }): Promise<RoomResult<Decided>> {
    return this.#for(input.account, "decide", (who) => allow(this.#admission, input, who));
  }

  deny(input: { account: string; request: string; block: boolean }): Promise<RoomResult<{ device: string }>> {
    return this.#for(input.account, "decide", (who) => deny(this.#admission, input, who));
  }

  unblock(input: { account: string; device: string }): Promise<RoomResult<null>> {
    return this.#for(input.account, "block", (who) => Promise.resolve(unblock(this.#admission, input.device, who)));
  }

  blockForGood(input: { account: string; device: string }): Promise<RoomResult<null>> {
    return this.#for(input.account, "block", (who) => Promise.resolve(blockForGood(this.#admission, input.device, who)));
  }

  opening(input: { account: string }): Promise<RoomResult<RoomOpening>> {
    return this.#for(input.account, "decide", (who) => Promise.resolve({ ok: true, value: openingFor(this.#admission, who) }));
  }

  ownerGrant(input: { account: string; signed: SignedByOwner; by?: string | null }): Promise<RoomResult<Decided>> {
    return this.#for(input.account, "decide", (who) => ownerGrant(this.#admission, input, who));
  }

  approveAgainView(input: { account: string }): Promise<RoomResult<ApproveAgainView>> {
    return this.#for(input.account, "decide", (who) => Promise.resolve({ ok: true, value: approveAgainView(this.#admission, who) }));
  }

  approveAgain(input: {
    account: string;
    signed: readonly SignedByOwner[];
    by?: string | null;
  }): Promise<RoomResult<readonly DecidedAgain[]>> {
    return this.#for(input.account, "decide", (who) => approveAgain(this.#admission, input, who));
  }

  suspend(input: { account: string; device: string; token: string | null }): Promise<RoomResult<{ socketsClosed: number }>> {
    return this.#for(input.account, "cut", () => Promise.resolve(suspend(this.#admission, input.device, input.token)));
  }

  resume(input: { account: string; device: string }): Promise<RoomResult<null>> {
    return this.#for(input.account, "manage", () => Promise.resolve(resume(this.#admission, input.device)));
  }

  keepDevice(input: { account: string; device: string }): Promise<RoomResult<null>> {
    return this.#for(input.account, "answer", () => (keepDevice(this.#admission, input.device) ? done() : Promise.resolve(NOT_FOUND)));
  }

  renameDevice(input: { account: string; device: string; name: string }): Promise<RoomResult<null>> {
    return this.#for(input.account, "manage", (who) => Promise.resolve(renameDevice(this.#admission, input, who)));
  }

  cut(input: { account: string; device: string }): Promise<RoomResult<Receipt>> {
    return this.#for(input.account, "cut", (who) => cut(this.#admission, input.device, who));
  }

  receipt(input: { account: string; device: string }): Promise<RoomResult<Receipt>> {
    return this.#for(input.account, "see", () => {
      const receipt = this.#admission.storage.receipt(input.device);
      return Promise.resolve(receipt === null ? NOT_FOUND : { ok: true as const, value: receiptView(this.#admission, receipt) });
    });
  }

  receiptFile(input: { account: string; device: string }): Promise<RoomResult<ReceiptFile>> {
    return this.#for(input.account, "cut", () => Promise.resolve(exportReceipt(this.#admission, input.device)));
  }

  mend(input: { account: string; entry: string; what: "remove" | "keep" }): Promise<RoomResult<null>> {
    return this.#for(input.account, "manage", () => mend(this.#admission, input));
  }

  owners(input: { account: string }): Promise<RoomResult<RoomOwners>> {
    return this.#for(input.account, "keys", () => Promise.resolve({ ok: true, value: ownersOf(this.#admission) }));
  }

  addOwnerKey(input: { account: string; signed: SignedByOwner }): Promise<RoomResult<OwnerChange>> {
    return this.#for(input.account, "keys", () => addOwnerKey(this.#admission, this.#admission.mustMeta().account, input.signed));
  }

  removeOwnerKey(input: { account: string; signed: SignedByOwner }): Promise<RoomResult<OwnerChange>> {
    return this.#for(input.account, "keys", () => removeOwnerKey(this.#admission, this.#admission.mustMeta().account, input.signed));
  }

  setRecoveryKey(input: { account: string; signed: SignedByOwner }): Promise<RoomResult<OwnerChange>> {
    return this.#for(input.account, "keys", () => setRecoveryKey(this.#admission, this.#admission.mustMeta().account, input.signed));
  }

  recoverOwners(input: { account: string; signed: SignedByRecovery }): Promise<RoomResult<OwnerChange>> {
    return this.#for(input.account, "keys", () => recoverOwners(this.#admission, this.#admission.mustMeta().account, input.signed));
  }

  localActs(input: { account: string }): Promise<RoomResult<RoomLocalActs>> {
    return this.#for(input.account, "manage", () => Promise.resolve({ ok: true, value: this.#admission.acts.view() }));
  }

  localAct(input: { account: string; signed: SignedByOwner }): Promise<RoomResult<LocalActOutcome>> {
    return this.#for(input.account, "manage", (who) => this.#admission.acts.take(input.signed, who));
  }

  usage(input: { account: string }): Promise<RoomResult<Usage>> {
    return this.#for(input.account, "manage", () => Promise.resolve({ ok: true, value: usageOf(this.#admission) }));
  }

  setBudget(input: { account: string; budget: Budget }): Promise<RoomResult<Usage>> {
    return this.#for(input.account, "manage", () => Promise.resolve({ ok: true, value: setBudget(this.#admission, input.budget) }));
  }

  readBudgetNotice(input: { account: string }): Promise<RoomResult<null>> {
    return this.#for(input.account, "manage", () => {
      readBudgetNotice(this.#admission);
      return done();
    });
  }

  endQuarantine(input: { account: string }): Promise<RoomResult<null>> {
    return this.#for(input.account, "manage", () => {
      if (!this.#admission.isQuarantined() && !this.#admission.isCopyWaiting()) return Promise.resolve({ ok: false, failure: "conflict" });
      this.#admission.endQuarantine();
      return done();
    });
  }

  standing(input: { account: string }): Promise<RoomResult<{ role: RoleKind }>> {
    return this.#for(input.account, "see-activity", ({ role }) => Promise.resolve({ ok: true, value: { role } }));
  }

  persons(input: { account: string }): Promise<RoomResult<PersonsView>> {
    return this.#for(input.account, "persons", () => Promise.resolve({ ok: true, value: personsOf(this.#admission) }));
  }

  invite(input: {
    account: string;
    id: string;
    code: string;
    name: string;
    role: PersonRole;
    expiresAtMs: number;
  }): Promise<RoomResult<null>> {
    const { account, ...invitation } = input;
    return this.#for(account, "persons", (who) => Promise.resolve(invite(this.#admission, invitation, who)));
  }

  lookAtInvitation(input: { account: string; code: string }): Promise<RoomResult<InvitationView>> {
    return this.#forInvited(() => lookAtInvitation(this.#admission, input));
  }

  holdInvitation(input: { account: string; code: string }): Promise<RoomResult<null>> {
    return this.#forInvited(() => holdInvitation(this.#admission, input));
  }

  acceptInvitation(input: {
    account: string;
    code: string;
    accountName: string;
    passkey: OwnerKey;
    proof: string | null;
  }): Promise<RoomResult<null>> {
    return this.#forInvited(() => acceptInvitation(this.#admission, input));
  }

  confirmPerson(input: { account: string; person: string; signed: SignedByOwner }): Promise<RoomResult<OwnerChange>> {
    return this.#for(input.account, "persons", (who) => confirmPerson(this.#admission, input, who));
  }

  removePerson(input: { account: string; person: string; signed: SignedByOwner | null }): Promise<RoomResult<OwnerChange>> {
    return this.#for(input.account, "persons", (who) => removePerson(this.#admission, input, who));
  }

  leaving(input: { account: string }): Promise<RoomResult<Leaving>> {
    return this.#for(input.account, "leave", (who) => Promise.resolve({ ok: true, value: leavingOf(this.#admission, who) }));
  }

  leave(input: { account: string; signed: SignedByOwner | null }): Promise<RoomResult<OwnerChange>> {
    return this.#for(input.account, "leave", (who) => leave(this.#admission, input.signed, who));
  }

  proposal(input: { account: string; proposal: string }): Promise<RoomResult<ProposalNotice>> {
    return this.#for(input.account, "keys", () => Promise.resolve(proposalView(this.#admission, input.proposal)));
  }

  approveProposal(input: { account: string; proposal: string; signed: SignedByOwner }): Promise<RoomResult<OwnerChange>> {
    return this.#for(input.account, "keys", (who) => approveProposal(this.#admission, input, who));
  }

  cancelProposal(input: { account: string; proposal: string }): Promise<RoomResult<OwnerChange>> {
    return this.#for(input.account, "keys", (who) => cancelProposal(this.#admission, input.proposal, who));
  }

  keyLog(input: { account: string; from: number }): Promise<RoomResult<readonly string[]>> {
    return this.#for(input.account, "manage", () =>
      Promise.resolve({ ok: true, value: this.#admission.storage.keyLogLines(input.from, KEY_LOG_PAGE) }),
    );
  }

  auditLines(input: { account: string; from: number; isExport: boolean; token?: string | null }): Promise<RoomResult<readonly string[]>> {
    return this.#for(input.account, "manage", (who) => {
      const { token = null } = input;
      const detail = token === null ? byWhom(who) : { ...byWhom(who), token };
      if (input.isExport) this.#admission.audit(token === null ? "owner" : "token", "audit-exported", null, detail);
      return Promise.resolve({ ok: true, value: this.#admission.storage.auditLines(input.from, AUDIT_PAGE) });
    });
  }

  hops(input: { account: string; step: HopStep }): Promise<RoomResult<RoomHops>> {
    return this.#for(input.account, "manage", () => Promise.resolve(this.#admission.hops.step(input.step)));
  }

  remove(input: { account: string }): Promise<RoomResult<null>> {
    return this.#for(input.account, "end", async (who) => {
      for (const row of this.#admission.storage.all<RequestRow>("requests"))
        endRequest(this.#admission, row, "withdrawn", { type: "ended", why: "withdrawn" });
      for (const { id } of this.#admission.storage.all<DeviceRow>("devices")) dropNoticesOf(this.#admission, id);
      this.#admission.audit("owner", "gateway-removed", null, byWhom(who));
      const gone = { gateway: this.#admission.mustMeta().gateway, state: "no-link" } as const;
      await this.#admission.notices.inboxes("see", (inbox) => inbox.forgetGateway(gone));
      // What D1 has not heard yet is told now; when it is away, the account's own history lacks the end of a gateway that is gone.
      await this.#admission.outbox.drain();
      this.#relay.endLink(4410, "this gateway was removed");
      this.#isRemoved = true;
      this.#clock.turnOff();
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

  /** Does what the account may do here; for everybody else, and for everything else, this room was never made (PROTOCOL.md PE1). */
  async #for<T>(account: string, action: PersonAction, work: (who: Who) => Promise<RoomResult<T>>): Promise<RoomResult<T>> {
    return this.#called(async () => {
      const who = this.#isRemoved ? null : whoIs(this.#admission.storage, account);
      if (who === null || !mayDo(who.role, action)) return NOT_FOUND;
      this.#admission.meter.count("calls");
      return work(who);
    });
  }

  /** For whoever shows what only the holder of an invitation's code knows. */
  async #forInvited<T>(work: () => RoomResult<T>): Promise<RoomResult<T>> {
    return this.#called(() => {
      if (this.#isRemoved || this.#admission.storage.meta() === null) return NOT_FOUND;
      this.#admission.meter.count("calls");
      return work();
    });
  }

  /** What this room threw reaches the caller without its code: the line that has it is written here. */
  async #called<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#report("room-call", error);
      throw error;
    }
  }

  /** A machine that dials a removed gateway must hear that its access is gone, or it dials for ever (PROTOCOL.md MA5). */
  #closeRemoved(ws: WebSocket): void {
    if (attachmentOf(ws)?.kind === "link") closeQuietly(ws, CLOSE_LINK_REFUSED, "not this gateway's connector");
    else closeQuietly(ws, 4403, "this gateway was removed");
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
    } catch (error) {
      this.#report("room-close", error);
      closeFailed(ws);
    }
  }
}

function earlierOf(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}

function done(): Promise<RoomResult<null>> {
  return Promise.resolve({ ok: true, value: null });
}
