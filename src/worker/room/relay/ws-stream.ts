/** One relayed browser WebSocket in the room: synchronous, no storage, no timer (PROTOCOL.md ST, CR). */
import { MessageAssembler, piecesOf, splitPiece } from "../../../core/link/message-frames.ts";
import type { Message, Piece } from "../../../core/link/message-frames.ts";
import { brokenAt, encodeClose, legOf, sendableClose } from "../../../core/link/close-code.ts";
import { DrainWatch } from "../../../core/link/drain-watch.ts";
import { ReceiveOrder, SendOrder } from "../../../core/link/frame-order.ts";
import { ReceiveCredit, SendCredit } from "../../../core/link/stream-credit.ts";
import { Pace } from "../../../core/link/token-bucket.ts";
import type { TokenBucket } from "../../../core/link/token-bucket.ts";
import { WaitingBytes } from "../../../core/link/waiting-bytes.ts";
import { CLOSE_CUT, CLOSE_GATEWAY_GONE, CLOSE_TOO_SLOW, TOO_MUCH_AT_ONCE } from "../../../protocol/close-codes.ts";
import type { Leg } from "../../../protocol/close-codes.ts";
import {
  FLAG_SPLIT,
  FRAME_CLOSE,
  FRAME_CREDIT,
  FRAME_PROBE,
  FRAME_RESET,
  NO_PLACE,
  decodeU32,
  encodeU32,
} from "../../../protocol/frame.ts";
import type { Frame, FrameType } from "../../../protocol/frame.ts";
import {
  BROWSER_BUFFER_HIGH_BYTES,
  BROWSER_MESSAGES,
  CLOSE_ANSWER_MS,
  CREDIT_STEP_BYTES,
  MAX_HELD_MESSAGES,
  MAX_MESSAGE_BYTES,
  MAX_QUEUED_PER_STREAM_BYTES,
} from "../../../protocol/limits.ts";
import { utf8 } from "../../../protocol/statement-encoding.ts";
import { closeQuietly } from "../storage/attachments.ts";
import type { StreamAttachment } from "../storage/attachments.ts";

const CLOSE_POLICY = 1008;
/** Frames of a stream after a wake for which its order is kept. A tick of a gateway, or a person's message and the first of its answer. */
const KEPT_ORDERS = 8;
const BEGINS = 0x1_0000;
const CLOSE_ABNORMAL = 1006;
const TEXT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A stream that broke, and on which leg. */
export interface Break {
  readonly leg: Leg;
  readonly code: number;
  readonly reason: string;
  /** Null: of several. */
  readonly device: string | null;
}

/** What a stream needs of its relay. */
export interface StreamHost {
  /** Sends one frame on the link (arguments as `encodeFrame`'s, and the order of its stream); dropped when there is none. */
  sendFrame(type: FrameType, flags: number, streamId: number, payload?: Uint8Array, order?: SendOrder): void;
  /** Whether frames of the link say their place (PROTOCOL.md FR6). */
  readonly hasPlaces: boolean;
  /** Sends pieces as DATA; credit of the direction back goes along where it can. */
  sendData(streamId: number, pieces: readonly Piece[], back: ReceiveCredit, order: SendOrder): void;
  /** Of all browsers' messages together (PROTOCOL.md CR7). */
  readonly sharedPace: TokenBucket;
  /** Whether this stream's message may grow beyond the first megabyte: one at a time (PROTOCOL.md CR6). */
  mayHold(stream: WsStream): boolean;
  /** Where what goes to the gateway stands still: on the link, when that is silent, else behind it. */
  upstreamLeg(): Leg;
  forget(stream: number): void;
  /** For the audit: a stream ended that nobody closed (PROTOCOL.md ST9). */
  broke(what: Break): void;
  nowMs(): number;
  /** Asks for an alarm not later than this; `resume` is called then. */
  wakeBy(atMs: number): void;
}

export class WsStream {
  readonly ws: WebSocket;
  readonly id: number;
  #attachment: StreamAttachment;
  readonly #host: StreamHost;
  readonly #upstream: SendCredit;
  readonly #downstream: ReceiveCredit;
  readonly #sent: SendOrder;
  readonly #received: ReceiveOrder;
  /** What the next instance begins to count with, if it has to begin anew: each with another number, so that its first frame is not taken for the last one's. */
  readonly #nextBegin: number;
  /** How often this instance may still keep where frames stand. */
  #ordersToKeep = KEPT_ORDERS;
  readonly #assembler = new MessageAssembler();
  /** Messages that came faster than a browser of ours ever sends wait here (PROTOCOL.md CR7). */
  readonly #pace: Pace<string | ArrayBuffer>;
  #pacedBytes = 0;
  readonly #drain = new DrainWatch();
  #isOver = false;
  /** Pieces that wait for credit; the last entry of the browser's close comes after them. */
  #queue: Piece[] = [];
  readonly #waiting = new WaitingBytes();
  #withheldBytes = 0;
  /** Unsent bytes at the last probe that got no credit. */
  #unsentAtProbe = Number.POSITIVE_INFINITY;
  /** Payload of the CLOSE that follows the queue. */
  #closeAfterQueue: Uint8Array<ArrayBuffer> | null = null;

  constructor(ws: WebSocket, attachment: StreamAttachment, host: StreamHost, afterWake: boolean) {
    this.ws = ws;
    this.id = attachment.stream;
    this.#attachment = attachment;
    this.#host = host;
    this.#upstream = new SendCredit(afterWake);
    this.#downstream = new ReceiveCredit(afterWake);
    this.#sent = afterWake ? sendOrderOf(attachment) : new SendOrder();
    this.#received = new ReceiveOrder(afterWake ? (attachment.order?.[1] ?? null) : 0);
    this.#nextBegin = ((attachment.order?.[2] ?? 0) + 1) % BEGINS;
    this.#pace = new Pace(BROWSER_MESSAGES, MAX_HELD_MESSAGES, host.nowMs(), host.sharedPace);
  }

  get attachment(): StreamAttachment {
    return this.#attachment;
  }

  /** Bytes in this object and in the runtime's send queue. */
  get heldBytes(): number {
    return this.#waiting.bytes + this.#pacedBytes + this.#assembler.heldBytes + this.ws.bufferedAmount;
  }

  /** Whether messages of the browser wait here. */
  get hasWaiting(): boolean {
    return this.#queue.length > 0 || this.#pace.heldCount > 0;
  }

  /** A message of the browser: on its way at once, or held back when too many came. */
  fromBrowser(data: string | ArrayBuffer): void {
    const nowMs = this.#host.nowMs();
    if (this.#pace.pass(nowMs)) {
      this.#forward(data);
      if (!this.#isOver) this.#markHolding();
      return;
    }
    const released = this.#pace.push(data, nowMs);
    this.#pacedBytes += sizeOf(data);
    if (released === "over" || this.#pacedBytes > MAX_QUEUED_PER_STREAM_BYTES + MAX_MESSAGE_BYTES)
      return this.reset(CLOSE_POLICY, brokenAt("device-room", "too many messages"));
    this.#release(released);
  }

  /** Time went by: what was held back may go on. */
  resume(): void {
    if (this.#drain.isWatching && !this.#isTaking(this.ws.bufferedAmount)) return;
    if (this.#pace.heldCount > 0) this.#release(this.#pace.release(this.#host.nowMs()));
  }

  #release(messages: readonly (string | ArrayBuffer)[]): void {
    for (const message of messages) {
      this.#pacedBytes -= sizeOf(message);
      if (!this.#isOver) this.#forward(message);
    }
    if (this.#isOver) return;
    if (this.#pace.heldCount > 0) this.#host.wakeBy(this.#host.nowMs() + this.#pace.waitMs);
    this.#markHolding();
  }

  #forward(data: string | ArrayBuffer): void {
    const bytes = typeof data === "string" ? utf8(data) : new Uint8Array(data);
    if (bytes.byteLength > MAX_MESSAGE_BYTES) return this.reset(1009, brokenAt("device-room", "message too large"));
    const ready: Piece[] = [];
    let waitingBytes = 0;
    for (const piece of piecesOf(bytes, typeof data === "string")) {
      if (this.#queue.length === 0 && this.#upstream.spend(piece.payload.byteLength)) ready.push(piece);
      else {
        this.#queue.push(piece);
        waitingBytes += piece.payload.byteLength;
      }
    }
    if (ready.length > 0) this.#sendData(ready);
    if (this.#queue.length === 0) return;
    this.#waiting.came(bytes.byteLength, waitingBytes);
    // A browser cannot be held back: what it sends faster than credit comes waits here, one large message and what is beside it.
    if (this.#waiting.besideLargest > MAX_QUEUED_PER_STREAM_BYTES) return this.#tooMuch();
    this.#probe();
  }

  /** The browser closed; what it sent before goes first. */
  browserClosed(code: number, said: string): void {
    const reason = code === CLOSE_ABNORMAL && said === "" ? brokenAt("device-room", "connection lost") : said;
    const close = encodeClose(code, reason);
    const clean = sendableClose(code, reason);
    closeQuietly(this.ws, clean.code, clean.reason);
    this.#release(this.#pace.drain());
    if (this.#isOver) return;
    if (this.#queue.length > 0) {
      this.#closeAfterQueue = close;
      return;
    }
    this.#send(FRAME_CLOSE, close);
    this.#host.forget(this.id);
  }

  /**
   * A DATA frame of the gateway. `settle` must follow when no more comes in the same event.
   *
   * @returns bytes held for this stream now
   */
  fromGateway(frame: Frame): number {
    const bytes = frame.payload.byteLength;
    if (!this.#downstream.receive(bytes)) return this.#refused(CLOSE_TOO_SLOW, brokenAt("room-connector", "more than granted"));
    const message = this.#assembler.push(frame);
    if (message === "message_too_large") return this.#refused(1009, brokenAt("connector-gateway", "message too large"));
    if (message === "message_kind_changed") return this.#refused(1002, brokenAt("room-connector", "message kind changed"));
    if (message !== null && !this.#deliver(message)) return this.#refused(1007, brokenAt("connector-gateway", "text is not UTF-8"));
    const unsentBytes = this.ws.bufferedAmount;
    if (message !== null && this.#drain.wrote(message.data.byteLength, unsentBytes) && !this.#isTaking(unsentBytes)) return 0;
    this.#withheldBytes += bytes;
    if (this.#mayTakeMore(unsentBytes)) {
      const grant = this.#downstream.consume(this.#withheldBytes);
      this.#withheldBytes = 0;
      if (grant > 0) this.#send(FRAME_CREDIT, encodeU32(grant));
    }
    return this.#waiting.bytes + this.#pacedBytes + this.#assembler.heldBytes + unsentBytes;
  }

  #refused(code: number, reason: string): number {
    this.reset(code, reason);
    return 0;
  }

  /** The event is over, or goes on with other streams: what is held now must survive in the attachment. */
  settle(): void {
    if (!this.#isOver) this.#markHolding();
  }

  /** First for every frame of the connector. @returns false when frames before it are missing, or it came before: that ended the stream (PROTOCOL.md FR6) */
  isInOrder(frame: Frame): boolean {
    const wrong = this.#received.take(frame);
    if (wrong === null && frame.place !== NO_PLACE) this.#keepOrder();
    else if (wrong !== null) this.reset(CLOSE_GATEWAY_GONE, brokenAt("room-connector", wrong));
    return wrong === null;
  }

  #send(type: FrameType, payload: Uint8Array): void {
    this.#host.sendFrame(type, 0, this.id, payload, this.#sent);
    this.#keepOrder();
  }

  #sendData(pieces: readonly Piece[]): void {
    this.#host.sendData(this.id, pieces, this.#downstream, this.#sent);
    this.#keepOrder();
  }

  /**
   * Where frames stand must survive a sleep. A room that sleeps often does little in between: then it is exact. One that does much notes once that it
   * is not kept, and the next instance begins anew. Whoever counts must keep it in the same event.
   */
  #keepOrder(): void {
    if (this.#ordersToKeep === 0 || !this.#host.hasPlaces || this.ws.readyState !== WebSocket.OPEN) return;
    this.#ordersToKeep -= 1;
    const isKept = this.#ordersToKeep > 0;
    const order: StreamAttachment["order"] = [isKept ? this.#sent.count : null, isKept ? this.#received.count : null, this.#nextBegin];
    this.#attachment = { ...this.#attachment, order };
    this.ws.serializeAttachment(this.#attachment);
  }

  /** CREDIT of the connector. */
  granted(frame: Frame): void {
    const bytes = decodeU32(frame.payload);
    if (bytes === null) return this.reset(1002, brokenAt("room-connector", "bad credit"));
    this.#upstream.grant(bytes);
    const [first] = this.#queue;
    // Over a slow line a grant is less than a piece: waiting for the rest would leave the line idle.
    if (
      (frame.flags & FLAG_SPLIT) !== 0 &&
      first !== undefined &&
      this.#upstream.left > 0 &&
      first.payload.byteLength > this.#upstream.left
    )
      this.#queue.splice(0, 1, ...splitPiece(first, this.#upstream.left));
    let count = 0;
    for (const piece of this.#queue) {
      if (!this.#upstream.spend(piece.payload.byteLength)) break;
      this.#waiting.left(piece.payload.byteLength);
      count += 1;
    }
    if (count > 0) this.#sendData(this.#queue.splice(0, count));
    if (this.#queue.length > 0) this.#probe();
    else if (this.#closeAfterQueue !== null) {
      this.#send(FRAME_CLOSE, this.#closeAfterQueue);
      this.#host.forget(this.id);
      return;
    }
    this.#markHolding();
  }

  /** PROBE of the connector (PROTOCOL.md CR4). */
  probed(frame: Frame): void {
    const left = decodeU32(frame.payload);
    if (left === null) return this.reset(1002, brokenAt("room-connector", "bad probe"));
    let grant: number | null = 0;
    if (this.#mayTakeMore(this.ws.bufferedAmount)) {
      grant = this.#downstream.creditForProbe(left, frame.place !== NO_PLACE, this.#withheldBytes);
      this.#withheldBytes = 0;
      this.#unsentAtProbe = Number.POSITIVE_INFINITY;
      // All of it was granted before the probe came, and is on its way.
      if (grant === null) return;
    } else {
      // Nothing for a browser that stands still: its sender gives up. One that is only slow is waited for.
      const unsent = this.ws.bufferedAmount;
      const isMoving = unsent <= BROWSER_BUFFER_HIGH_BYTES || unsent + CREDIT_STEP_BYTES <= this.#unsentAtProbe;
      this.#unsentAtProbe = Math.min(unsent, this.#unsentAtProbe);
      if (!isMoving) return;
    }
    this.#send(FRAME_CREDIT, encodeU32(grant));
  }

  /** CLOSE or RESET of the connector: the browser hears it as the gateway said it. @param isReset the connector's own words, not the gateway's */
  gatewayClosed(code: number, said: string, isReset: boolean): void {
    const isLost = code === CLOSE_ABNORMAL && !isReset;
    const reason = isLost ? brokenAt("connector-gateway", "connection lost") : said;
    if (isReset || isLost) this.#broke(code, reason);
    const clean = sendableClose(code, reason);
    this.#isOver = true;
    this.#leaveLink();
    // The device was cut on the gateway's machine; the gateway's own 4403 says nothing about that.
    if (isReset && code === CLOSE_CUT) this.#watchClose();
    closeQuietly(this.ws, clean.code, clean.reason);
    this.#host.forget(this.id);
  }

  /** Ends both directions for a reason of our own. */
  reset(code: number, reason: string): void {
    this.#isOver = true;
    this.#broke(code, reason);
    this.#leaveLink();
    if (code === CLOSE_CUT) this.#watchClose();
    this.#host.sendFrame(FRAME_RESET, 0, this.id, encodeClose(code, reason));
    closeQuietly(this.ws, code, reason);
    this.#host.forget(this.id);
  }

  /** A cut device that does not answer its close, or sends on, is found (PROTOCOL.md CUT6). */
  #watchClose(): void {
    const cutAtMs = this.#host.nowMs();
    this.ws.serializeAttachment({ ...this.#attachment, cutAtMs });
    this.#host.wakeBy(cutAtMs + CLOSE_ANSWER_MS);
  }

  /** The gateway's side is over: when the browser's close comes, also after a sleep, nobody there needs to hear of it. */
  #leaveLink(): void {
    const { link, ...rest } = this.#attachment;
    this.#attachment = rest;
    if (link !== undefined) this.ws.serializeAttachment(rest);
  }

  #broke(code: number, reason: string): void {
    const leg = legOf(reason);
    if (leg !== null) this.#host.broke({ leg, code, reason, device: this.#attachment.device });
  }

  #deliver(message: Message): boolean {
    if (this.ws.readyState !== WebSocket.OPEN) return true;
    if (!message.isText) {
      this.ws.send(message.data);
      return true;
    }
    try {
      this.ws.send(TEXT.decode(message.data));
      return true;
    } catch {
      return false;
    }
  }

  /** A browser that vanished without a word takes nothing of what waits for it (PROTOCOL.md CR8). @returns false when that ended the stream */
  #isTaking(unsentBytes: number): boolean {
    const next = this.#drain.look(unsentBytes, this.#host.nowMs());
    if (next === "still") this.reset(CLOSE_TOO_SLOW, brokenAt("device-room", "nothing taken"));
    else if (next !== null) this.#host.wakeBy(next);
    return next !== "still";
  }

  #mayTakeMore(unsentBytes: number): boolean {
    if (unsentBytes > BROWSER_BUFFER_HIGH_BYTES) return false;
    return this.#assembler.heldBytes <= BROWSER_BUFFER_HIGH_BYTES || this.#host.mayHold(this);
  }

  #probe(): void {
    // Without a timer: asked again with every message that has to wait, and the connector grants by itself when the gateway reads.
    const what = this.#upstream.blocked(this.#host.nowMs());
    if (what === "stalled") this.#gatewayTooSlow();
    else if (what === "probe") this.#send(FRAME_PROBE, encodeU32(this.#upstream.probeValue()));
  }

  #gatewayTooSlow(): void {
    const leg = this.#host.upstreamLeg();
    this.reset(CLOSE_TOO_SLOW, brokenAt(leg, leg === "room-connector" ? "no answer" : "gateway too slow"));
  }

  /** More waits for the gateway than may: it takes nothing, or the device sent more at once than anybody takes. */
  #tooMuch(): void {
    if (this.#upstream.isStill(this.#host.nowMs())) this.#gatewayTooSlow();
    else this.reset(CLOSE_TOO_SLOW, brokenAt("device-room", TOO_MUCH_AT_ONCE));
  }

  /** The room holds too much, and of all its streams most of this one: it ends for the direction that holds it (PROTOCOL.md CR6). */
  overflow(): void {
    if (this.#waiting.bytes + this.#pacedBytes > this.#assembler.heldBytes + this.ws.bufferedAmount) this.#tooMuch();
    else this.reset(CLOSE_TOO_SLOW, brokenAt("device-room", "too slow"));
  }

  #markHolding(): void {
    const holding = this.#queue.length > 0 || this.#pace.heldCount > 0 || this.#assembler.isPartial;
    if (holding === this.#attachment.holding) return;
    this.#attachment = { ...this.#attachment, holding };
    this.ws.serializeAttachment(this.#attachment);
  }
}

/** @returns the order of what a room sends on after it woke (PROTOCOL.md FR6) */
export function sendOrderOf({ order }: StreamAttachment): SendOrder {
  const sent = order?.[0] ?? null;
  return sent === null ? new SendOrder(order?.[2] ?? 0, true) : new SendOrder(sent);
}

/** Bytes that a message holds in memory, near enough: text counts by UTF-16 units. */
function sizeOf(data: string | ArrayBuffer): number {
  return typeof data === "string" ? data.length : data.byteLength;
}
