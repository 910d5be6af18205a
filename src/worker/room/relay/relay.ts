/** The relay half of a room: streams between visitors and the link. Frames are handled synchronously, without storage or timers. */
import { brokenAt, decodeClose, encodeClose, legOf, sendableClose } from "../../../core/link/close-code.ts";
import type { SendOrder } from "../../../core/link/frame-order.ts";
import type { Piece } from "../../../core/link/message-frames.ts";
import type { ReceiveCredit } from "../../../core/link/stream-credit.ts";
import { TokenBucket } from "../../../core/link/token-bucket.ts";
import { CLOSE_BUDGET, CLOSE_CUT, CLOSE_GATEWAY_GONE, CLOSE_PROTOCOL, CLOSE_SESSION_OVER } from "../../../protocol/close-codes.ts";
import type { Leg } from "../../../protocol/close-codes.ts";
import {
  FRAME_CLOSE,
  FRAME_CREDIT,
  FRAME_DATA,
  FRAME_OPEN,
  FRAME_OPENED,
  FRAME_RESET,
  batchError,
  decodeFrame,
  framesOf,
  isBatch,
} from "../../../protocol/frame.ts";
import type { Frame, FrameType } from "../../../protocol/frame.ts";
import { FRAME_HEADER_BYTES, ROOM_MESSAGES } from "../../../protocol/limits.ts";
import type { LinkResult, ToConnector } from "../../../protocol/link-messages.ts";
import { attachmentOf, closeQuietly } from "../storage/attachments.ts";
import type { LinkAttachment, StreamAttachment } from "../storage/attachments.ts";
import { HttpExchange } from "./http-exchange.ts";
import { LinkLeg } from "../link/link.ts";
import type { LinkLegOptions } from "../link/link.ts";
import { isUpgrade, openPayload, readOpened } from "./open-payload.ts";
import type { RelayForAdmission } from "../ports.ts";
import { CLOSE_ABORTED, refusal, refusalFor, refusalForClose, tooMany } from "../refusals.ts";
import { RoomMemory } from "./memory-limit.ts";
import { exchangeFrame, socketFrame } from "./stream-frames.ts";
import { StreamTable } from "./stream-table.ts";
import type { Holdings, PendingUpgrade } from "./stream-table.ts";
import { Stragglers } from "./unclosed-sockets.ts";
import { WsStream, sendOrderOf } from "./ws-stream.ts";
import type { Break, StreamHost } from "./ws-stream.ts";

export type RelayOptions = Omit<LinkLegOptions, "onGone" | "onReady">;

export class Relay implements RelayForAdmission, StreamHost {
  readonly #options: RelayOptions;
  readonly #link: LinkLeg;
  readonly #streams = new StreamTable();
  readonly #memory = new RoomMemory();
  readonly #stragglers: Stragglers;
  /** What the room passes on of all browsers together before their own shares count. */
  readonly sharedPace: TokenBucket;
  /** Whether a device waits at the door; null: to be looked up when it matters. */
  #isWaiting: boolean | null = null;
  /** Time of the event that is being handled; the clock stands still meanwhile. */
  #eventMs: number | null = null;
  /** The stream that got DATA last in this event: whether it holds part of a message shows when no more follows. */
  #unsettled: WsStream | null = null;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#stragglers = new Stragglers(options.ctx, options.now);
    this.sharedPace = new TokenBucket(ROOM_MESSAGES, options.now());
    this.#link = new LinkLeg({ ...options, onGone: (why) => this.#linkGone(why), onReady: () => this.#tellBusy() });
    for (const ws of options.ctx.getWebSockets("stream")) {
      const attachment = attachmentOf(ws);
      if (attachment?.kind === "stream" && attachment.cutAtMs === undefined && ws.readyState === WebSocket.OPEN)
        this.#streams.add(new WsStream(ws, attachment, this, true));
    }
    if (!this.#link.isUp) this.#linkGone("connection lost");
    for (const stream of this.#streams.sockets.values()) {
      if (stream.attachment.holding) stream.reset(CLOSE_GATEWAY_GONE, brokenAt("device-room", "room restarted"));
    }
  }

  // --- for the streams ---------------------------------------------------------------------------------------------------

  nowMs(): number {
    return this.#eventMs ?? this.#options.now();
  }

  wakeBy(atMs: number): void {
    this.#options.wakeBy(atMs);
  }

  sendFrame(type: FrameType, flags: number, streamId: number, payload?: Uint8Array, order?: SendOrder): void {
    this.#options.admission.meter.bytes += FRAME_HEADER_BYTES + (payload?.byteLength ?? 0);
    this.#link.sendFrame(type, flags, streamId, payload, order);
  }

  sendData(streamId: number, pieces: readonly Piece[], back: ReceiveCredit, order: SendOrder): void {
    for (const { payload } of pieces) this.#options.admission.meter.bytes += FRAME_HEADER_BYTES + payload.byteLength;
    this.#link.sendData(streamId, pieces, back, order);
  }

  get hasPlaces(): boolean {
    return this.#link.hasPlaces;
  }

  upstreamLeg(): Leg {
    return this.#link.isQuiet(this.nowMs()) ? "room-connector" : "connector-gateway";
  }

  mayHold(stream: WsStream): boolean {
    return this.#memory.mayHold(stream, this.nowMs());
  }

  broke(what: Break, streams = 1): void {
    this.#options.admission.broke(what, streams);
  }

  forget(stream: number): void {
    if (this.#streams.exchanges.has(stream)) this.#options.admission.meter.exchangeEnded();
    this.#streams.forget(stream);
    this.#memory.forget(stream);
    this.#tellBusy();
  }

  // --- for admission -----------------------------------------------------------------------------------------------------

  isLinkUp(): boolean {
    return this.#link.isUp;
  }

  linkSinceMs(): number | null {
    return this.#link.sinceMs;
  }

  send(message: ToConnector): boolean {
    return this.#link.send(message);
  }

  command(message: Extract<ToConnector, { id: string }>): Promise<LinkResult | null> {
    return this.#link.command(message);
  }

  nonce(): Promise<{ nonce: string; connectorKey: string } | null> {
    return this.#link.nonce();
  }

  endDevice(device: string, code: number, reason: string): number {
    return this.#endWhere((session) => session.device === device, code, reason);
  }

  endOthers(isOwners: (device: string) => boolean, code: number, reason: string): void {
    this.#endWhere(({ device }) => !isOwners(device), code, reason);
  }

  keepUsage(usage: number[]): void {
    this.#link.keepUsage(usage);
  }

  endExpired(nowMs: number): number | null {
    this.#endWhere((session) => session.expiresAtMs <= nowMs, CLOSE_SESSION_OVER, "session over");
    const lifeMs = this.#link.checkLife(nowMs);
    for (const stream of this.#streams.sockets.values()) if (this.#guard(stream)) stream.resume();
    const endMs = this.#streams.firstEndMs();
    return lifeMs === null || endMs === null ? (lifeMs ?? endMs) : Math.min(lifeMs, endMs);
  }

  connectedDevices(): ReadonlySet<string> {
    return new Set([...this.#streams.sockets.values()].map((stream) => stream.attachment.device));
  }

  endLink(code: number, reason: string): void {
    this.#link.end(code, reason);
  }

  setWaiting(waiting: boolean | null): void {
    this.#isWaiting = waiting;
    this.#tellBusy();
  }

  // --- requests ------------------------------------------------------------------------------------------------------------

  /** A connector dials; room.ts forwards it. @returns 101 with a challenge, or 503 */
  fetchLink(clientIp: string): Response {
    return this.#link.accept(clientIp);
  }

  /** Relays one request of an allowed device; the session comes from its cookie, checked by the Worker. */
  fetchStream(request: Request, sessionId: string, clientIp: string): Promise<Response> {
    const session = this.#options.admission.session(sessionId, this.nowMs());
    if (session === null || this.#options.admission.isCut(session.device)) return Promise.resolve(refusalForClose(CLOSE_SESSION_OVER));
    if (!this.#options.admission.mayStream(session.device)) return Promise.resolve(refusalForClose(CLOSE_BUDGET));
    const away = this.#options.admission.away();
    if (away !== null || !this.#link.isUp)
      return Promise.resolve(refusal(503, `${away?.text ?? "The gateway is away."}\n`, away?.retrySeconds ?? true));
    const isSocket = isUpgrade(request);
    // Of what a device left behind unnoticed, the oldest makes room: it must not be refused for good (PROTOCOL.md IS7).
    if (this.#streams.isFull(session.device, isSocket))
      this.#streams.mostSilent(session.device, this.nowMs())?.reset(CLOSE_ABORTED, "silent");
    if (this.#streams.isFull(session.device, isSocket)) return Promise.resolve(tooMany());
    const payload = openPayload(request, session, clientIp);
    if (payload instanceof Response) return Promise.resolve(payload);
    const id = this.#link.nextStreamId();
    const url = new URL(request.url);
    const answered = new Promise<Response>((answer) => {
      if (isSocket) this.#streams.upgrades.set(id, { session, answer });
      else
        this.#streams.exchanges.set(
          id,
          new HttpExchange(id, session, { method: request.method, path: url.pathname + url.search }, this, answer),
        );
    });
    this.#options.admission.meter.opened(isSocket ? "upgrades" : "exchanges");
    this.#options.wakeBy(session.expiresAtMs);
    this.#tellBusy();
    this.sendFrame(FRAME_OPEN, 0, id, payload);
    void this.#streams.exchanges.get(id)?.pump(request.body);
    request.signal.addEventListener("abort", () => this.#visitorLeft(id));
    return answered;
  }

  /** The visitor of an exchange, or of an upgrade that is not answered, is gone (PROTOCOL.md IS6). */
  #visitorLeft(id: number): void {
    this.#streams.exchanges.get(id)?.visitorLeft();
    const upgrade = this.#streams.upgrades.get(id);
    if (upgrade === undefined) return;
    this.#resetFrame(id, CLOSE_ABORTED, "visitor went away");
    this.forget(id);
    upgrade.answer(tooMany());
  }

  // --- sockets ---------------------------------------------------------------------------------------------------------------

  /**
   * The data path: a frame on the proven link or a message of a known browser, without looking at attachments.
   *
   * @returns false when the socket is none of these and its attachment must tell what it is
   */
  fastMessage(ws: WebSocket, data: string | ArrayBuffer): boolean {
    this.#eventMs = this.#options.now();
    this.#link.collect();
    try {
      if (this.#link.isCurrent(ws)) {
        if (typeof data === "string") return false;
        this.#linkBytes(new Uint8Array(data));
        return true;
      }
      const stream = this.#streams.ofBrowser(ws);
      if (stream === null) return false;
      if (!this.#guard(stream)) return true;
      stream.fromBrowser(data);
      // What passes on at once holds nothing.
      if (stream.hasWaiting) this.#keepWithinRoom(stream.heldBytes);
      return true;
    } finally {
      this.#settle();
      this.#link.collected();
      this.#eventMs = null;
    }
  }

  /** A message on a link's socket that is not a frame of the proven link. */
  async linkMessage(ws: WebSocket, attachment: LinkAttachment, data: string | ArrayBuffer): Promise<void> {
    if (typeof data === "string") await this.#link.text(ws, attachment, data);
    // A frame before the proof, or of a link that was replaced.
    else closeQuietly(ws, CLOSE_PROTOCOL, "no frames here");
  }

  /** A message of a browser whose stream is gone: dropped; one that goes on after its device was cut is not waited for. */
  strayMessage(ws: WebSocket, data: string | ArrayBuffer): void {
    closeQuietly(ws, CLOSE_GATEWAY_GONE, "stream ended");
    this.#stragglers.sent(ws, data);
  }

  /** @returns when to look again for cut sockets that did not answer their close, or null */
  endStragglers(nowMs: number): number | null {
    return this.#stragglers.end(nowMs, this.#streams.size > 0);
  }

  linkClosed(ws: WebSocket, code: number): void {
    this.#link.closed(ws, code);
  }

  streamClosed(ws: WebSocket, attachment: StreamAttachment, code: number, reason: string): void {
    const stream = this.#streams.sockets.get(attachment.stream);
    if (stream !== undefined && stream.ws === ws) return stream.browserClosed(code, reason);
    const clean = sendableClose(code, reason);
    closeQuietly(ws, clean.code, clean.reason);
    // The close itself woke the room, so the socket was no open stream any more when the table was made: the gateway hears of it all the same.
    if (stream !== undefined || attachment.link === undefined || attachment.link !== this.#link.generation) return;
    // What the room held of its messages is lost: then the close is not the browser's.
    if (attachment.holding) this.#resetFrame(attachment.stream, CLOSE_GATEWAY_GONE, "relay restarted");
    else this.sendFrame(FRAME_CLOSE, 0, attachment.stream, encodeClose(code, reason), sendOrderOf(attachment));
  }

  // --- frames ------------------------------------------------------------------------------------------------------------------

  #linkBytes(bytes: Uint8Array<ArrayBuffer>): void {
    this.#link.sawFrame(this.nowMs());
    const { isBatching, hasPlaces } = this.#link;
    if (!isBatch(bytes) || !isBatching) {
      const frame = decodeFrame(bytes, hasPlaces);
      return typeof frame === "string" ? this.#link.end(CLOSE_PROTOCOL, frame) : this.#frame(frame);
    }
    const error = batchError(bytes, hasPlaces);
    if (error !== null) return this.#link.end(CLOSE_PROTOCOL, error);
    for (const frame of framesOf(bytes, hasPlaces)) this.#frame(frame);
  }

  #frame(frame: Frame): void {
    const stream = this.#streams.sockets.get(frame.streamId);
    if (stream !== undefined) {
      if (!this.#guard(stream) || !stream.isInOrder(frame)) return;
      if (frame.type !== FRAME_DATA) return socketFrame(stream, frame);
      if (this.#unsettled !== stream) this.#settle();
      this.#unsettled = stream;
      this.#keepWithinRoom(stream.fromGateway(frame));
      return;
    }
    const exchange = this.#streams.exchanges.get(frame.streamId);
    if (exchange !== undefined) {
      if (!this.#guardExchange(exchange) || !exchange.isInOrder(frame)) return;
      exchangeFrame(exchange, frame);
      if (frame.type === FRAME_DATA) this.#keepWithinRoom(exchange.heldBytes);
      return;
    }
    const upgrade = this.#streams.upgrades.get(frame.streamId);
    if (upgrade !== undefined) return this.#upgradeFrame(frame, upgrade);
    // CREDIT, too: a room that slept with messages of a browser that is gone has forgotten both, and only the gateway's reading tells of them.
    if (frame.type === FRAME_DATA || frame.type === FRAME_CREDIT) this.#resetFrame(frame.streamId, 1001, "unknown stream");
  }

  #resetFrame(stream: number, code: number, reason: string): void {
    this.sendFrame(FRAME_RESET, 0, stream, encodeClose(code, reason));
  }

  #upgradeFrame(frame: Frame, upgrade: PendingUpgrade): void {
    const { session, answer } = upgrade;
    if (frame.type === FRAME_RESET || frame.type === FRAME_CLOSE) {
      const close = decodeClose(frame.payload);
      const leg = legOf(close?.reason ?? "");
      if (close !== null && leg !== null) this.broke({ leg, ...close, device: session.device });
      this.forget(frame.streamId);
      return answer(refusalFor(frame));
    }
    const opened = frame.type === FRAME_OPENED ? readOpened(frame) : null;
    if (opened === null) {
      this.#resetFrame(frame.streamId, CLOSE_PROTOCOL, brokenAt("room-connector", "bad answer"));
      this.forget(frame.streamId);
      return answer(refusalFor(frame));
    }
    if (session.expiresAtMs <= this.nowMs()) return void this.#endWhere((each) => each === session, CLOSE_SESSION_OVER, "session over");
    this.#streams.upgrades.delete(frame.streamId);
    if (opened.status !== 101) {
      const exchange = new HttpExchange(frame.streamId, session, { method: "GET", path: "/" }, this, answer);
      this.#streams.exchanges.set(frame.streamId, exchange);
      return exchange.opened(opened);
    }
    const { 0: client, 1: server } = new WebSocketPair();
    const attachment: StreamAttachment = {
      kind: "stream",
      stream: frame.streamId,
      ...(this.#link.generation === null ? {} : { link: this.#link.generation }),
      session: session.session,
      device: session.device,
      access: session.access,
      expiresAtMs: session.expiresAtMs,
      holding: false,
    };
    this.#options.ctx.acceptWebSocket(server, ["stream"]);
    server.serializeAttachment(attachment);
    this.#streams.add(new WsStream(server, attachment, this, false));
    const headers = new Headers();
    const protocol = opened.headers.find(([name]) => name.toLowerCase() === "sec-websocket-protocol");
    if (protocol !== undefined) headers.set("sec-websocket-protocol", protocol[1]);
    answer(new Response(null, { status: 101, webSocket: client, headers }));
  }

  // --- together ------------------------------------------------------------------------------------------------------------------

  /** First and synchronous in every handler: nothing crosses for a session that is over or a device that is cut (PROTOCOL.md ST7). */
  #guard(stream: WsStream): boolean {
    if (this.#options.admission.isCut(stream.attachment.device)) {
      stream.reset(CLOSE_CUT, "cut by the owner");
      return false;
    }
    if (stream.attachment.expiresAtMs <= this.nowMs()) {
      stream.reset(CLOSE_SESSION_OVER, "session over");
      return false;
    }
    return true;
  }

  #guardExchange(exchange: HttpExchange): boolean {
    const { session } = exchange;
    const isOver = session.expiresAtMs <= this.nowMs();
    if (isOver) exchange.reset(CLOSE_SESSION_OVER, "session over");
    else if (this.#options.admission.isCut(session.device)) exchange.reset(CLOSE_CUT, "cut by the owner");
    else return true;
    return false;
  }

  /** Ends streams, exchanges and waiting upgrades at both ends. @returns how many */
  #endWhere(matches: (session: Holdings) => boolean, code: number, reason: string): number {
    let ended = 0;
    for (const stream of this.#streams.sockets.values()) {
      if (!matches(stream.attachment)) continue;
      stream.reset(code, reason);
      ended += 1;
    }
    for (const exchange of this.#streams.exchanges.values()) {
      if (!matches(exchange.session)) continue;
      exchange.reset(code, reason);
      ended += 1;
    }
    for (const [id, { session, answer }] of this.#streams.upgrades) {
      if (!matches(session)) continue;
      this.#resetFrame(id, code, reason);
      this.forget(id);
      answer(refusalForClose(code));
      ended += 1;
    }
    return ended;
  }

  /** Nothing is resumed: every stream of a link that is gone ends (PROTOCOL.md ST6). */
  #linkGone(why: string): void {
    const reason = brokenAt("room-connector", why);
    const streams = this.#streams.size;
    for (const stream of this.#streams.sockets.values()) stream.gatewayClosed(CLOSE_GATEWAY_GONE, reason, false);
    const lost = (): Response => refusal(502, "The gateway's connection was lost (room-connector).\n", true);
    for (const exchange of this.#streams.exchanges.values()) exchange.abort(lost());
    for (const [id, { answer }] of this.#streams.upgrades) {
      this.forget(id);
      answer(lost());
    }
    if (streams > 0) this.broke({ leg: "room-connector", code: CLOSE_GATEWAY_GONE, reason, device: null }, streams);
  }

  /** No more DATA of this event follows for the stream that got some: notes whether part of a message stays in memory. */
  #settle(): void {
    this.#unsettled?.settle();
    this.#unsettled = null;
  }

  #keepWithinRoom(heldBytes: number): void {
    this.#memory.keepWithin(heldBytes, () => this.#streams.holders());
  }

  #tellBusy(): void {
    this.#link.setBusy(this.#streams.size > 0 || (this.#isWaiting ??= this.#options.admission.isAnybodyWaiting()));
  }
}
