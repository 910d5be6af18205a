/** What the room asks of this machine: one command at a time, each answered (PROTOCOL.md LINK7). */
import { randomBytes } from "node:crypto";
import { keyThumbprint } from "../../core/trust/digests.ts";
import { judgeSession } from "../../core/trust/judge.ts";
import type { Judged } from "../../core/trust/judge.ts";
import type { LinkResult, ToConnector, ToRoom } from "../../protocol/link-messages.ts";
import type { Admitted } from "../trust/admissions.ts";
import type { AuditAnchor } from "./audit-anchor.ts";
import type { Cuts } from "../trust/cuts.ts";
import type { DriftWatch } from "../trust/drift-watch.ts";
import type { Identity } from "../trust/identity.ts";
import type { KeyLog } from "../trust/key-log-file.ts";
import type { LocalActs } from "../trust/local-acts.ts";
import type { OpenclawGateway } from "../openclaw/openclaw-port.ts";
import { ownerChangeOf } from "./owner-change.ts";
import { takeStep } from "../trust/proposals.ts";
import { OwnerTurns, isOwnerChange } from "./owner-order.ts";
import type { StateFiles } from "../state/state-files.ts";

/** What has its turn; the rest of what a room says is answered at once. */
type Command = Exclude<ToConnector, { type: "challenge" | "attention" | "probe" | "hops" | "blocked" }>;

export interface CommandParts {
  readonly files: StateFiles;
  readonly identity: Identity;
  readonly admitted: Admitted;
  readonly log: KeyLog;
  readonly gateway: OpenclawGateway;
  readonly now: () => number;
  readonly audit: AuditAnchor;
  readonly cuts: Cuts;
  readonly drift: DriftWatch;
  readonly acts: LocalActs;
  readonly send: (message: ToRoom) => void;
  /** Says whether an alarm stands, when that may have changed. */
  readonly sayAlarm: () => void;
  readonly welcomed: (message: Extract<ToConnector, { type: "welcome" }>) => void;
}

const NONCE_BYTES = 32;
/** The room is asked this much later for what it owes still, when the disk refused some of it. */
const ASK_AGAIN_MS = 30_000;

export class LinkCommands {
  readonly #parts: CommandParts;
  /** One command at a time: a cut never overtakes the grant before it. */
  #commands: Promise<void> = Promise.resolve();
  readonly #ownerTurns = new OwnerTurns();
  /** Of the last `welcome`. */
  #generation = 0;
  #again: { readonly timer: NodeJS.Timeout; readonly isCurrent: () => boolean } | null = null;

  constructor(parts: CommandParts) {
    this.#parts = parts;
  }

  async #command(message: Command): Promise<void> {
    const { files, admitted, gateway, log, now } = this.#parts;
    if (files.read("gateway") === null) throw new Error("not enrolled");
    const held = this.#ownerTurns.heldBy(message);
    if (held === "internal") throw new Error("what was decided before it is not on disk yet");
    switch (message.type) {
      case "welcome":
        this.#generation = message.generation;
        return this.#parts.welcomed(message);
      case "nonce-request":
        return this.#parts.send({ type: "nonce", id: message.id, ...(await this.#sessionNonce()) });
      case "grant": {
        const kept = await admitted.keepGrant(message.signed);
        return this.#result(message.id, kept, kept.ok ? { first: await this.#sessionNonce() } : {});
      }
      case "session": {
        if (!gateway.isServing) return this.#result(message.id, { ok: false, refusal: "not-serving" });
        const judged = await judgeSession(log.state, {
          session: message.session,
          signed: message.signed,
          activationCode: message.activationCode,
          takeNonce: (nonce) => admitted.takeNonce(nonce),
          grant: (id) => admitted.grant(id),
          nowMs: now(),
        });
        if (judged.ok) {
          const { handover, ...session } = judged.value;
          await admitted.keepSession(session, handover);
        }
        return this.#result(message.id, judged);
      }
      case "owner-key":
      case "owner-remove":
      case "recovery-key":
      case "recover": {
        const change = held === null ? ownerChangeOf(message) : null;
        const refusal = held ?? "bad-statement";
        const judged = change === null ? ({ ok: false, refusal } as const) : await admitted.changeOwner(change);
        if (!judged.ok && judged.refusal === "alarm") this.#ownerTurns.held(message, "alarm");
        else this.#ownerTurns.settled(message);
        return this.#result(message.id, judged);
      }
      case "proposal": {
        const { resumed } = log.state;
        const judged = await takeStep({ log, admitted }, message, now());
        if (log.state.resumed !== resumed) this.#parts.sayAlarm();
        return this.#result(message.id, judged);
      }
      case "log-ack":
        return files.write("roomHead", message.head);
      case "audit-head":
        return this.#parts.audit.take(message);
      case "cut": {
        const cut = await this.#parts.cuts.byOwner(message).catch(() => null);
        // The disk refused: the streams have ended and the device is denied as long as this process runs. The room asks again.
        if (cut === null) return this.#result(message.id, { ok: false, refusal: "internal" });
        return this.#parts.send({ type: "result", id: message.id, ok: true, cut });
      }
      case "local-act":
        return this.#parts.acts.take(message);
      case "receipt-ack":
        return this.#parts.cuts.acked(message.cut);
      case "remove-entry": {
        const done = await this.#parts.drift.remove(message.entry).catch(() => "not-serving" as const);
        return this.#result(message.id, done === "done" ? { ok: true, value: null } : { ok: false, refusal: done });
      }
    }
  }

  /** What a session may begin with: used once, for five minutes. */
  async #sessionNonce(): Promise<{ readonly nonce: string; readonly connectorKey: string }> {
    const { admitted, identity } = this.#parts;
    const nonce = randomBytes(NONCE_BYTES).toString("base64url");
    admitted.addNonce(nonce);
    return { nonce, connectorKey: await keyThumbprint(identity.publicKey) };
  }

  /**
   * In order, one at a time. One that fails (the disk refuses) is answered, so that nobody waits for it, and is not kept: what the owner
   * decides meanwhile may take its place, and only the room knows what it owes then (PROTOCOL.md LINK7).
   *
   * @param isCurrent whether the link that it came on still is
   */
  take(message: Command, isCurrent: () => boolean): void {
    const failed = (): void => {
      if (isOwnerChange(message)) this.#ownerTurns.held(message, "internal");
      if (!isCurrent() || !("id" in message)) return;
      this.#result(message.id, { ok: false, refusal: "internal" });
      if (message.type !== "session" && message.type !== "nonce-request") this.#askAgain(isCurrent);
    };
    this.#commands = this.#commands.then(() => this.#command(message)).catch(failed);
  }

  /** Once for all that failed on this link by then: after an `ack` the room sends what it owes. */
  #askAgain(isCurrent: () => boolean): void {
    if (this.#again?.isCurrent() === true) return;
    clearTimeout(this.#again?.timer);
    const timer = setTimeout(() => {
      this.#again = null;
      if (isCurrent()) this.#parts.send({ type: "ack", generation: this.#generation });
    }, ASK_AGAIN_MS);
    timer.unref();
    this.#again = { timer, isCurrent };
  }

  #result(id: string, judged: Judged<unknown>, more: Pick<LinkResult, "first"> = {}): void {
    this.#parts.send({ type: "result", id, ok: judged.ok, ...(judged.ok ? more : { refusal: judged.refusal }) });
  }
}
