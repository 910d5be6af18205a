/** The room's end of the connector's one link: who has it, control messages, liveness, stream ids (PROTOCOL.md LINK, FR3, FR4). */
import type { Piece } from "../../../core/link/message-frames.ts";
import type { ReceiveCredit } from "../../../core/link/stream-credit.ts";
import type { SendOrder } from "../../../core/link/frame-order.ts";
import { FrameSender } from "../../../core/link/frame-sender.ts";
import { TokenBucket } from "../../../core/link/token-bucket.ts";
import type { FrameType } from "../../../protocol/frame.ts";
import {
  CLOSE_GATEWAY_GONE,
  CLOSE_LINK_QUARANTINED,
  CLOSE_LINK_REFUSED,
  CLOSE_LINK_STALE,
  CLOSE_LINK_VERSION,
  CLOSE_POLICY,
  CLOSE_PROTOCOL,
  CLOSE_SUPERSEDED,
} from "../../../protocol/close-codes.ts";
import { CONNECTOR_MESSAGES, LINK_QUIET_MS, LINK_SILENCE_MS, MAX_CONTROL_CHARS } from "../../../protocol/limits.ts";
import { toRoomSchema } from "../../../protocol/link-messages.ts";
import type { LinkResult, ToConnector, ToRoom } from "../../../protocol/link-messages.ts";
import { LINK_PROTOCOL, MIN_LINK_PROTOCOL } from "../../../protocol/version.ts";
import { Defect } from "../../failure-code.ts";
import { LinkHandshake } from "./handshake.ts";
import type { Hello } from "./handshake.ts";
import { LinkQuestions } from "./pending-replies.ts";
import { closeQuietly } from "../storage/attachments.ts";
import type { LinkAttachment, ReadyLink } from "../storage/attachments.ts";
import type { AdmissionForRelay, ConnectorNonce } from "../ports.ts";

export interface LinkLegOptions {
  readonly ctx: DurableObjectState;
  readonly admission: AdmissionForRelay;
  /** The link that this instance wakes with. */
  readonly link: ReadyLink | null;
  readonly now: () => number;
  readonly random: (bytes: number) => Uint8Array;
  /** Where owner assertions are made; goes into `welcome`. */
  readonly approveOrigin: string;
  readonly rpId: string;
  /** Asks for an alarm not later than this. */
  readonly wakeBy: (atMs: number) => void;
  /** The proven link ended: every stream on it is over. */
  readonly onGone: (why: string) => void;
  /** Another connector proved itself: tell it whether somebody waits or streams. */
  readonly onReady: () => void;
}

const COPIES = "two copies of this connector; the owner says which one stays";
/** Ids of one block. Small, because every wake of the room takes a new block: the upper 24 bits outlast years of them. */
const IDS_PER_BLOCK = 1 << 8;
const MAX_BLOCK = (1 << 24) - 1;

export class LinkLeg {
  readonly #options: LinkLegOptions;
  #current: { readonly ws: WebSocket; attachment: LinkAttachment } | null = null;
  readonly #questions: LinkQuestions;
  readonly #handshake: LinkHandshake;
  #block: number | null = null;
  #nextInBlock = 0;
  /** A frame is a sign of life, too; forgotten in hibernation, where none came. */
  #lastFrameMs = 0;
  #isCollecting = false;
  /** Of all links of this room: another one brings nothing back. */
  readonly #unasked: TokenBucket;

  readonly #frames = new FrameSender({
    transmit: (message) => this.#transmit(message),
    allocate: (bytes) => new Uint8Array(bytes),
  });

  constructor(options: LinkLegOptions) {
    this.#options = options;
    this.#questions = new LinkQuestions({ ...options, send: (message) => this.send(message) });
    this.#handshake = new LinkHandshake(options);
    this.#unasked = new TokenBucket(CONNECTOR_MESSAGES, options.now());
    if (options.link !== null) this.#up(options.link);
  }

  get isUp(): boolean {
    return this.#current !== null;
  }

  /** Of the link that is up, or null. */
  get generation(): number | null {
    return this.#current?.attachment.generation ?? null;
  }

  /** When the socket of the link that is up came, epoch ms, or null. */
  get sinceMs(): number | null {
    return this.#current?.attachment.acceptedAtMs ?? null;
  }

  isCurrent(ws: WebSocket): boolean {
    return this.#current?.ws === ws;
  }

  /** Whether the connector of the link that is up reads several frames in one message, and so does this end. */
  get isBatching(): boolean {
    return this.#frames.isBatching;
  }

  /** Whether frames of the link that is up say their place. */
  get hasPlaces(): boolean {
    return this.#frames.hasPlaces;
  }

  /** Sends one frame (arguments as `encodeFrame`'s, and the order of its stream); dropped when there is no link. */
  sendFrame(type: FrameType, flags: number, streamId: number, payload?: Uint8Array, order?: SendOrder): void {
    this.#frames.put(type, flags, streamId, payload, order);
    if (!this.#isCollecting) this.#frames.flush();
  }

  /** Sends pieces as DATA, in as few messages as the connector takes, and credit of the direction back with them. */
  sendData(streamId: number, pieces: readonly Piece[], back: ReceiveCredit, order: SendOrder): void {
    let credit = this.#frames.isBatching ? back.goAlong() : 0;
    for (const piece of pieces) {
      this.#frames.putData(streamId, piece, credit, order);
      credit = 0;
    }
    if (!this.#isCollecting) this.#frames.flush();
  }

  /** An event begins: its frames leave together when it ends, in as few messages as the connector takes. `collected` must follow in the same event. */
  collect(): void {
    this.#isCollecting = true;
  }

  collected(): void {
    this.#isCollecting = false;
    this.#frames.flush();
  }

  #transmit(message: Uint8Array<ArrayBuffer>): void {
    const link = this.#current;
    if (link !== null && link.ws.readyState === WebSocket.OPEN) link.ws.send(message);
  }

  /** A frame of the connector came: it is alive. */
  sawFrame(nowMs: number): void {
    this.#lastFrameMs = nowMs;
  }

  /** Whether a link that should beat every five seconds was not heard for longer. */
  isQuiet(nowMs: number): boolean {
    const link = this.#current;
    return link === null || (link.attachment.busySinceMs !== null && nowMs - this.#lastSignMs(link) > LINK_QUIET_MS);
  }

  /** Last sign of life of a busy link, in ms. */
  #lastSignMs({ ws, attachment }: { readonly ws: WebSocket; readonly attachment: LinkAttachment }): number {
    const lastPingMs = this.#options.ctx.getWebSocketAutoResponseTimestamp(ws)?.getTime() ?? 0;
    return Math.max(attachment.busySinceMs ?? 0, lastPingMs, this.#lastFrameMs);
  }

  /** @returns false when there is no link */
  send(message: ToConnector): boolean {
    if (this.#current === null || this.#current.ws.readyState !== WebSocket.OPEN) return false;
    this.#frames.flush();
    this.#current.ws.send(JSON.stringify(message));
    return true;
  }

  /** @returns the connector's `result`, or null when the link is away or goes */
  command(message: Extract<ToConnector, { id: string }>): Promise<LinkResult | null> {
    return this.#questions.command(message);
  }

  /** @returns what a session may begin with, or null when the link is away or goes */
  nonce(): Promise<ConnectorNonce | null> {
    return this.#questions.nonce();
  }

  /** Whether a device waits or a stream is open: the connector then beats faster, and its silence is noticed. */
  setBusy(busy: boolean): void {
    const link = this.#current;
    if (link === null || (link.attachment.busySinceMs !== null) === busy) return;
    if (!this.send({ type: "attention", busy })) return;
    const nowMs = this.#options.now();
    this.#note(link, { busySinceMs: busy ? nowMs : null });
    if (busy) this.#options.wakeBy(nowMs + LINK_SILENCE_MS);
  }

  /** Keeps what the room counted over its sleep; without a link nothing does. */
  keepUsage(usage: number[]): void {
    if (this.#current !== null) this.#note(this.#current, { usage });
  }

  /** A connector dials. */
  accept(clientIp: string): Response {
    return this.#handshake.accept(clientIp);
  }

  /** A control message. Only `hello` waits, for its signature check. */
  async text(ws: WebSocket, attachment: LinkAttachment, data: string): Promise<void> {
    if (data.length > MAX_CONTROL_CHARS) return this.#broken(ws, "control message too large");
    const message = readControl(data);
    if (message === "unknown") return;
    if (message === "malformed") return this.#broken(ws, "malformed control message");
    if (attachment.phase !== "hello") {
      if (this.isCurrent(ws)) this.#control(message);
      return;
    }
    if (message.type !== "hello" || !this.#handshake.noteHello(ws)) return closeQuietly(ws, CLOSE_LINK_REFUSED, "refused");
    await this.#hello(ws, attachment, message);
  }

  closed(ws: WebSocket, code: number): void {
    closeQuietly(ws, code === 1005 || code === 1006 ? 1000 : code);
    if (this.isCurrent(ws)) this.#gone("connection lost");
  }

  /** Ends the proven link, if there is one. */
  end(code: number, reason: string): void {
    const link = this.#current;
    if (link === null) return;
    this.#frames.flush();
    this.#note(link, { phase: "over" });
    closeQuietly(link.ws, code, reason);
    this.#gone(reason);
  }

  /**
   * Closes sockets that did not prove themselves in time, and a link that owes a nonce or, while it is busy, a beat for too long: of a machine
   * that lost its network nobody else tells.
   *
   * @returns when to look again, or null when nothing is pending
   */
  checkLife(nowMs: number): number | null {
    const pending = this.#handshake.closeLate(nowMs);
    const deadlineMs = this.#signDueMs();
    if (deadlineMs !== null && deadlineMs <= nowMs) this.end(CLOSE_GATEWAY_GONE, "no sign of life");
    else if (deadlineMs !== null) pending.push(deadlineMs);
    return pending.length === 0 ? null : Math.min(...pending);
  }

  /** When the link is taken for dead unless it says something before, in ms; null when nothing is expected of it. */
  #signDueMs(): number | null {
    const link = this.#current;
    if (link === null) return null;
    const since = this.#questions.nonceAskedAtMs();
    if (link.attachment.busySinceMs !== null) since.push(this.#lastSignMs(link));
    return since.length === 0 ? null : Math.min(...since) + LINK_SILENCE_MS;
  }

  /** Ascending, never twice on one link: each instance of the room takes blocks of ids, noted on the link's socket (PROTOCOL.md FR4). */
  nextStreamId(): number {
    const link = this.#current;
    if (link === null) throw new Defect("no-link");
    if (this.#block === null || this.#nextInBlock === IDS_PER_BLOCK) {
      if (link.attachment.nextBlock > MAX_BLOCK) {
        this.end(CLOSE_GATEWAY_GONE, "stream ids used up");
        throw new Defect("stream-ids-used-up");
      }
      this.#block = link.attachment.nextBlock;
      // Stream id 0 does not exist.
      this.#nextInBlock = this.#block === 0 ? 1 : 0;
      this.#note(link, { nextBlock: this.#block + 1 });
    }
    const id = this.#block * IDS_PER_BLOCK + this.#nextInBlock;
    this.#nextInBlock += 1;
    return id;
  }

  #up(link: { readonly ws: WebSocket; attachment: LinkAttachment }): void {
    this.#current = link;
    this.#frames.isBatching = link.attachment.batch ?? false;
    this.#frames.hasPlaces = link.attachment.places ?? false;
  }

  #note(link: { readonly ws: WebSocket; attachment: LinkAttachment }, change: Partial<LinkAttachment>): void {
    link.attachment = { ...link.attachment, ...change };
    link.ws.serializeAttachment(link.attachment);
  }

  /** The other end broke the protocol: its link is over. */
  #broken(ws: WebSocket, reason: string): void {
    if (this.isCurrent(ws)) this.end(CLOSE_PROTOCOL, reason);
    else closeQuietly(ws, CLOSE_PROTOCOL, reason);
  }

  async #hello(ws: WebSocket, attachment: LinkAttachment, hello: Hello): Promise<void> {
    const { admission } = this.#options;
    if (hello.protocol < MIN_LINK_PROTOCOL || hello.protocol > LINK_PROTOCOL)
      return closeQuietly(ws, CLOSE_LINK_VERSION, `speak version ${LINK_PROTOCOL}`);
    const { protocol } = hello;
    const identity = await this.#handshake.prove(attachment, hello);
    if (identity === null || ws.readyState !== WebSocket.OPEN) return closeQuietly(ws, CLOSE_LINK_REFUSED, "not this gateway's connector");
    if (identity.isQuarantined) return closeQuietly(ws, CLOSE_LINK_QUARANTINED, COPIES);
    if (hello.generation < identity.acknowledged) {
      if (!admission.sawCopy()) return closeQuietly(ws, CLOSE_LINK_STALE, "stale generation");
      closeQuietly(ws, CLOSE_LINK_QUARANTINED, COPIES);
      return this.end(CLOSE_LINK_QUARANTINED, COPIES);
    }
    this.end(CLOSE_SUPERSEDED, "a newer connector took over");
    const generation = admission.nextGeneration();
    const ready: LinkAttachment = {
      ...attachment,
      phase: "ready",
      generation,
      key: hello.key.x,
      version: hello.version,
      report: hello.report,
      batch: hello.batch ?? false,
      places: hello.places ?? false,
    };
    ws.serializeAttachment(ready);
    this.#up({ ws, attachment: ready });
    this.#block = null;
    this.send({
      type: "welcome",
      gateway: identity.gateway,
      origin: identity.origin,
      approveOrigin: this.#options.approveOrigin,
      rpId: this.#options.rpId,
      generation,
      serverTimeMs: this.#options.now(),
      ...(protocol < 2 ? {} : { head: identity.head }),
      batch: true,
      split: true,
      places: true,
    });
    admission.linkChanged({ up: true, report: hello.report, version: hello.version });
    this.#options.onReady();
  }

  #control(message: ToRoom): void {
    const { admission } = this.#options;
    if (!this.#isAnswer(message) && this.#unasked.take(this.#options.now()) > 0) return this.end(CLOSE_POLICY, "too many messages");
    switch (message.type) {
      case "hello":
        return;
      case "ack":
        // Whoever dialled with the newest key needs no older one any more.
        if (this.#current?.attachment.key === admission.identity()?.key.x) admission.keyAcknowledged();
        return admission.acknowledged(message.generation);
      case "report": {
        const link = this.#current;
        // Said again at every try to reach a gateway that is away: nothing is written for what is known.
        if (link === null || JSON.stringify(link.attachment.report) === JSON.stringify(message.report)) return;
        this.#note(link, { report: message.report });
        return admission.linkChanged({ up: true, report: message.report, version: link.attachment.version });
      }
      case "nonce":
        return this.#questions.nonceCame(message);
      case "result":
        // Whoever asked may be gone with the room's memory; what was owed is settled all the same.
        if (!this.#questions.resultCame(message)) admission.answered(message);
        return;
      case "cut-done":
      case "device":
      case "log":
      case "alarm":
      case "alarm-over":
      case "audit-anchor":
      case "drift":
      case "rotated":
      case "probed":
      case "local-act-done":
      case "ask-blocked":
        return admission.received(message);
    }
  }

  /** What the room asked for costs nothing: it comes as often as the room asks. */
  #isAnswer(message: ToRoom): boolean {
    if (message.type === "nonce" || message.type === "result") return this.#questions.isWaitingFor(message);
    return message.type === "hello" || message.type === "ack";
  }

  #gone(why: string): void {
    this.#current = null;
    this.#options.onGone(why);
    this.#questions.linkGone();
    this.#options.admission.linkChanged({ up: false, report: null, version: null });
  }
}

function readControl(text: string): ToRoom | "unknown" | "malformed" {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "malformed";
  }
  const parsed = toRoomSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const known = toRoomSchema.options.some((option) => option.shape.type.value === (value as { type?: unknown } | null)?.type);
  return known ? "malformed" : "unknown";
}
