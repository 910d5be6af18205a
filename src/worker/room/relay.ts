/** The relay half of a room: the connector's link and the streams on it. Data frames are handled synchronously, without storage or timers. */
import { decodeClose, encodeClose } from "../../core/close-code.ts";
import { fromVisitor } from "../../core/header-filter.ts";
import { verifyTagged } from "../../core/public-key.ts";
import {
  CLOSE_CUT,
  CLOSE_GATEWAY_GONE,
  CLOSE_LINK_REFUSED,
  CLOSE_LINK_STALE,
  CLOSE_LINK_VERSION,
  CLOSE_PROTOCOL,
  CLOSE_SESSION_OVER,
  CLOSE_SUPERSEDED,
} from "../../protocol/close-codes.ts";
import {
  FRAME_CLOSE,
  FRAME_CREDIT,
  FRAME_DATA,
  FRAME_END,
  FRAME_OPEN,
  FRAME_OPENED,
  FRAME_PROBE,
  FRAME_RESET,
  decodeFrame,
  encodeFrame,
} from "../../protocol/frame.ts";
import type { Frame } from "../../protocol/frame.ts";
import {
  LINK_HANDSHAKE_MS,
  MAX_CONTROL_CHARS,
  MAX_QUEUED_PER_ROOM_BYTES,
  MAX_QUEUED_PER_STREAM_BYTES,
  MAX_STREAMS_PER_DEVICE,
  MAX_STREAMS_PER_GATEWAY,
  BROWSER_BUFFER_HIGH_BYTES,
} from "../../protocol/limits.ts";
import { openedSchema, toRoomSchema } from "../../protocol/link-messages.ts";
import type { LinkResult, StreamOpen, ToConnector, ToRoom } from "../../protocol/link-messages.ts";
import { joined, toBase64url, utf8 } from "../../protocol/statement-encoding.ts";
import { LINK_PROTOCOL, MIN_LINK_PROTOCOL } from "../../protocol/version.ts";
import { attachmentOf, closeQuietly } from "./attachments.ts";
import type { LinkAttachment, StreamAttachment } from "./attachments.ts";
import { HttpExchange } from "./http-exchange.ts";
import { REFUSED_HEADER } from "./parts.ts";
import type { AdmissionForRelay, AdmittedSession, RelayForAdmission } from "./parts.ts";
import { WsStream } from "./ws-stream.ts";
import type { StreamHost } from "./ws-stream.ts";

export interface RelayOptions {
  readonly ctx: DurableObjectState;
  readonly admission: AdmissionForRelay;
  readonly now: () => number;
  readonly random: (bytes: number) => Uint8Array;
  /** Where owner assertions are made; goes into `welcome`. */
  readonly approveOrigin: string;
  readonly rpId: string;
  /** Asks for an alarm not later than this. */
  readonly wakeBy: (atMs: number) => void;
}

type Hello = Extract<ToRoom, { type: "hello" }>;

/** A browser's upgrade that waits for the gateway's first frame. */
interface PendingUpgrade {
  readonly session: AdmittedSession;
  readonly answer: (response: Response) => void;
}

const BLOCK_BITS = 16;

export class Relay implements RelayForAdmission, StreamHost {
  readonly #options: RelayOptions;
  #link: { readonly ws: WebSocket; attachment: LinkAttachment } | null = null;
  readonly #sockets = new Map<number, WsStream>();
  readonly #byBrowser = new WeakMap<WebSocket, WsStream>();
  readonly #exchanges = new Map<number, HttpExchange>();
  readonly #upgrades = new Map<number, PendingUpgrade>();
  readonly #commands = new Map<string, (result: LinkResult | null) => void>();
  readonly #nonces = new Map<string, (nonce: { nonce: string; connectorKey: string } | null) => void>();
  #idBlock: number | null = null;
  #nextInBlock = 1;
  #isWaiting = false;
  #isBusy: boolean | null = null;

  constructor(options: RelayOptions) {
    this.#options = options;
    for (const ws of options.ctx.getWebSockets()) {
      const attachment = attachmentOf(ws);
      if (attachment?.kind === "link" && attachment.phase === "ready" && ws.readyState === WebSocket.OPEN) this.#link = { ws, attachment };
      if (attachment?.kind === "stream" && ws.readyState === WebSocket.OPEN) this.#add(new WsStream(ws, attachment, this, true));
    }
    for (const stream of this.#sockets.values()) if (stream.attachment.holding) stream.reset(CLOSE_GATEWAY_GONE, "relay restarted");
  }

  // --- for the streams ---------------------------------------------------------------------------------------------------

  nowMs(): number {
    return this.#options.now();
  }

  sendFrame(frame: Uint8Array<ArrayBuffer>): void {
    const link = this.#link;
    if (link === null || link.ws.readyState !== WebSocket.OPEN) return;
    link.ws.send(frame);
  }

  mayHold(stream: number, heldBytes: number): boolean {
    if (heldBytes <= BROWSER_BUFFER_HIGH_BYTES) return true;
    for (const other of this.#sockets.values()) if (other.id !== stream && other.assemblingBytes > BROWSER_BUFFER_HIGH_BYTES) return false;
    return true;
  }

  forget(stream: number): void {
    this.#sockets.delete(stream);
    this.#exchanges.delete(stream);
    this.#upgrades.delete(stream);
    this.#tellBusy();
  }

  // --- for admission -----------------------------------------------------------------------------------------------------

  isLinkUp(): boolean {
    return this.#link !== null;
  }

  send(message: ToConnector): boolean {
    if (this.#link === null || this.#link.ws.readyState !== WebSocket.OPEN) return false;
    this.#link.ws.send(JSON.stringify(message));
    return true;
  }

  command(message: Extract<ToConnector, { id: string }>): Promise<LinkResult | null> {
    return new Promise((resolve) => {
      if (!this.send(message)) return resolve(null);
      this.#commands.set(message.id, resolve);
    });
  }

  nonce(): Promise<{ nonce: string; connectorKey: string } | null> {
    const id = toBase64url(this.#options.random(12));
    return new Promise((resolve) => {
      if (!this.send({ type: "nonce-request", id })) return resolve(null);
      this.#nonces.set(id, resolve);
    });
  }

  endDevice(device: string, code: number, reason: string): number {
    let ended = 0;
    for (const stream of [...this.#sockets.values()].filter((each) => each.attachment.device === device)) {
      stream.reset(code, reason);
      ended += 1;
    }
    for (const exchange of [...this.#exchanges.values()].filter((each) => each.session.device === device)) {
      exchange.reset(code, reason);
      ended += 1;
    }
    for (const [id, upgrade] of this.#upgrades) {
      if (upgrade.session.device !== device) continue;
      upgrade.answer(refusal(403, "This device may no longer connect.\n"));
      this.forget(id);
      ended += 1;
    }
    return ended;
  }

  endExpired(nowMs: number): number | null {
    let next: number | null = null;
    const later = (atMs: number): void => {
      next = next === null ? atMs : Math.min(next, atMs);
    };
    for (const stream of this.#sockets.values()) {
      if (stream.attachment.expiresAtMs <= nowMs) stream.reset(CLOSE_SESSION_OVER, "session over");
      else later(stream.attachment.expiresAtMs);
    }
    for (const exchange of this.#exchanges.values()) {
      if (exchange.session.expiresAtMs <= nowMs) exchange.reset(CLOSE_SESSION_OVER, "session over");
      else later(exchange.session.expiresAtMs);
    }
    for (const ws of this.#options.ctx.getWebSockets("link")) {
      const attachment = attachmentOf(ws);
      if (attachment?.kind !== "link" || attachment.phase !== "hello" || ws.readyState !== WebSocket.OPEN) continue;
      if (attachment.acceptedAtMs + LINK_HANDSHAKE_MS <= nowMs) closeQuietly(ws, CLOSE_LINK_REFUSED, "no proof in time");
      else later(attachment.acceptedAtMs + LINK_HANDSHAKE_MS);
    }
    return next;
  }

  connectedDevices(): ReadonlySet<string> {
    return new Set([...this.#sockets.values()].map((stream) => stream.attachment.device));
  }

  endLink(code: number, reason: string): void {
    const link = this.#link;
    if (link === null) return;
    closeQuietly(link.ws, code, reason);
    this.#linkGone();
  }

  setWaiting(waiting: boolean): void {
    this.#isWaiting = waiting;
    this.#tellBusy();
  }

  // --- requests ------------------------------------------------------------------------------------------------------------

  /** Accepts a connector's socket and challenges it; nothing else happens before the proof (PROTOCOL.md LINK1). */
  fetchLink(): Response {
    const { 0: client, 1: server } = new WebSocketPair();
    const nonce = toBase64url(this.#options.random(32));
    const acceptedAtMs = this.nowMs();
    this.#options.ctx.acceptWebSocket(server, ["link"]);
    const attachment: LinkAttachment = {
      kind: "link",
      phase: "hello",
      nonce,
      acceptedAtMs,
      generation: 0,
      version: "",
      report: null,
      nextBlock: 1,
    };
    server.serializeAttachment(attachment);
    server.send(
      JSON.stringify({ type: "challenge", nonce, minProtocol: MIN_LINK_PROTOCOL, maxProtocol: LINK_PROTOCOL } satisfies ToConnector),
    );
    this.#options.wakeBy(acceptedAtMs + LINK_HANDSHAKE_MS);
    return new Response(null, { status: 101, webSocket: client });
  }

  /** Relays one request of an allowed device; the session comes from its cookie, checked by the Worker. */
  async fetchStream(request: Request, sessionId: string, clientIp: string): Promise<Response> {
    const session = this.#options.admission.session(sessionId, this.nowMs());
    if (session === null || this.#options.admission.isCut(session.device))
      return refusal(401, "Open this address in a browser to sign this device in.\n");
    if (this.#link === null) return refusal(503, "The gateway is offline. It comes back by itself when its machine is online.\n", true);
    if (this.#isFull(session.device)) return refusal(429, "Too many connections at once.\n", true);
    const isUpgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket";
    const headers = fromVisitor([...request.headers]);
    if (headers === null) return refusal(431, "The request's headers are too large.\n");
    const url = new URL(request.url);
    const id = this.#newStreamId();
    const open: StreamOpen = {
      kind: isUpgrade ? "ws" : "http",
      method: request.method,
      path: url.pathname + url.search,
      headers,
      session: sessionId,
      device: session.device,
      access: session.access,
      clientIp,
      host: url.host,
      hasBody: request.body !== null,
    };
    const opened = new Promise<Response>((answer) => {
      if (isUpgrade) this.#upgrades.set(id, { session, answer });
      else this.#exchanges.set(id, new HttpExchange(id, session, request.method, this, answer));
    });
    this.#options.wakeBy(session.expiresAtMs);
    this.#tellBusy();
    this.sendFrame(encodeFrame(FRAME_OPEN, 0, id, utf8(JSON.stringify(open))));
    if (!isUpgrade) void this.#exchanges.get(id)?.pump(request.body);
    return opened;
  }

  // --- sockets ---------------------------------------------------------------------------------------------------------------

  /**
   * The data path: a frame on the proven link or a message of a known browser, without looking at attachments.
   *
   * @returns false when the socket is none of these and its attachment must tell what it is
   */
  fastMessage(ws: WebSocket, data: string | ArrayBuffer): boolean {
    if (this.#link?.ws === ws) {
      if (typeof data === "string") return false;
      this.#frame(ws, this.#link.attachment, new Uint8Array(data));
      return true;
    }
    const stream = this.#byBrowser.get(ws);
    if (stream === undefined || this.#sockets.get(stream.id) !== stream) return false;
    if (!this.#guard(stream)) return true;
    stream.fromBrowser(data);
    this.#keepWithinRoom();
    return true;
  }

  /** A message on the link. Frames are handled before this returns; only `hello` waits for its signature check. */
  async linkMessage(ws: WebSocket, attachment: LinkAttachment, data: string | ArrayBuffer): Promise<void> {
    if (typeof data !== "string") return this.#frame(ws, attachment, new Uint8Array(data));
    if (data.length > MAX_CONTROL_CHARS) return closeQuietly(ws, CLOSE_PROTOCOL, "control message too large");
    const message = readControl(data);
    if (message === "unknown") return;
    if (message === "malformed") return closeQuietly(ws, CLOSE_PROTOCOL, "malformed control message");
    if (attachment.phase === "hello") {
      if (message.type === "hello") await this.#hello(ws, attachment, message);
      else closeQuietly(ws, CLOSE_LINK_REFUSED, "refused");
      return;
    }
    if (this.#link?.ws !== ws) return;
    this.#control(message);
  }

  /** A message of a browser whose stream is gone. */
  strayMessage(ws: WebSocket): void {
    closeQuietly(ws, CLOSE_GATEWAY_GONE, "stream ended");
  }

  linkClosed(ws: WebSocket, code: number): void {
    closeQuietly(ws, code === 1005 || code === 1006 ? 1000 : code);
    if (this.#link?.ws === ws) this.#linkGone();
  }

  streamClosed(ws: WebSocket, attachment: StreamAttachment, code: number, reason: string): void {
    const stream = this.#sockets.get(attachment.stream);
    if (stream === undefined) closeQuietly(ws);
    else stream.browserClosed(code, reason);
  }

  // --- link ------------------------------------------------------------------------------------------------------------------

  async #hello(ws: WebSocket, attachment: LinkAttachment, hello: Hello): Promise<void> {
    const { admission } = this.#options;
    if (hello.protocol < MIN_LINK_PROTOCOL || hello.protocol > LINK_PROTOCOL)
      return closeQuietly(ws, CLOSE_LINK_VERSION, `speak version ${LINK_PROTOCOL}`);
    const identity = admission.identity();
    const signed = joined([hello.gateway, attachment.nonce, hello.connectorNonce, String(hello.generation), String(hello.protocol)]);
    const isProven =
      identity !== null &&
      hello.gateway === identity.gateway &&
      hello.key.x === identity.key.x &&
      (await verifyTagged(identity.key, "link", signed, hello.signature));
    // The check waited: another hello on this socket, or a new enrolment, may have come between.
    const current = attachmentOf(ws);
    if (!isProven || current?.kind !== "link" || current.phase !== "hello" || admission.identity()?.key.x !== identity.key.x) {
      return closeQuietly(ws, CLOSE_LINK_REFUSED, "not this gateway's connector");
    }
    if (hello.generation < identity.acknowledged - 1) return closeQuietly(ws, CLOSE_LINK_STALE, "stale generation");
    const older = this.#link;
    if (older !== null) {
      this.#linkGone();
      closeQuietly(older.ws, CLOSE_SUPERSEDED, "a newer connector took over");
    }
    const generation = admission.nextGeneration();
    const ready: LinkAttachment = { ...attachment, phase: "ready", generation, version: hello.version, report: hello.report };
    ws.serializeAttachment(ready);
    this.#link = { ws, attachment: ready };
    this.#idBlock = null;
    this.#isBusy = null;
    this.send({
      type: "welcome",
      gateway: identity.gateway,
      origin: identity.origin,
      approveOrigin: this.#options.approveOrigin,
      rpId: this.#options.rpId,
      generation,
      serverTimeMs: this.nowMs(),
    });
    admission.linkChanged({ up: true, report: hello.report, version: hello.version });
    this.#tellBusy();
  }

  #control(message: ToRoom): void {
    const { admission } = this.#options;
    switch (message.type) {
      case "hello":
        return;
      case "ack":
        return admission.acknowledged(message.generation);
      case "report": {
        const link = this.#link;
        if (link === null) return;
        link.attachment = { ...link.attachment, report: message.report };
        link.ws.serializeAttachment(link.attachment);
        return admission.linkChanged({ up: true, report: message.report, version: link.attachment.version });
      }
      case "nonce": {
        const resolve = this.#nonces.get(message.id);
        this.#nonces.delete(message.id);
        return resolve?.({ nonce: message.nonce, connectorKey: message.connectorKey });
      }
      case "result": {
        const resolve = this.#commands.get(message.id);
        this.#commands.delete(message.id);
        return resolve?.(message);
      }
      case "cut-done":
      case "device":
        return admission.received(message);
    }
  }

  #linkGone(): void {
    this.#link = null;
    for (const stream of this.#sockets.values()) stream.gatewayClosed(CLOSE_GATEWAY_GONE, "gateway connection lost");
    for (const exchange of this.#exchanges.values()) exchange.abort(refusal(502, "The gateway's connection was lost.\n", true));
    for (const [id, upgrade] of this.#upgrades) {
      upgrade.answer(refusal(502, "The gateway's connection was lost.\n", true));
      this.#upgrades.delete(id);
    }
    for (const resolve of this.#commands.values()) resolve(null);
    for (const resolve of this.#nonces.values()) resolve(null);
    this.#commands.clear();
    this.#nonces.clear();
    this.#options.admission.linkChanged({ up: false, report: null, version: null });
  }

  // --- frames ------------------------------------------------------------------------------------------------------------------

  #frame(ws: WebSocket, attachment: LinkAttachment, bytes: Uint8Array<ArrayBuffer>): void {
    if (attachment.phase !== "ready") return closeQuietly(ws, CLOSE_LINK_REFUSED, "not this gateway's connector");
    if (this.#link?.ws !== ws) return;
    const frame = decodeFrame(bytes);
    if (typeof frame === "string") {
      closeQuietly(ws, CLOSE_PROTOCOL, frame);
      return this.#linkGone();
    }
    const stream = this.#sockets.get(frame.streamId);
    if (stream !== undefined) {
      if (!this.#guard(stream)) return;
      this.#socketFrame(stream, frame);
      if (frame.type === FRAME_DATA) this.#keepWithinRoom();
      return;
    }
    const exchange = this.#exchanges.get(frame.streamId);
    if (exchange !== undefined) return this.#exchangeFrame(exchange, frame);
    const upgrade = this.#upgrades.get(frame.streamId);
    if (upgrade !== undefined) return this.#upgradeFrame(frame, upgrade);
    if (frame.type === FRAME_DATA) this.sendFrame(encodeFrame(FRAME_RESET, 0, frame.streamId, encodeClose(1001, "unknown stream")));
  }

  #socketFrame(stream: WsStream, frame: Frame): void {
    switch (frame.type) {
      case FRAME_DATA:
        return stream.fromGateway(frame);
      case FRAME_CREDIT:
        return stream.granted(frame);
      case FRAME_PROBE:
        return stream.probed(frame);
      case FRAME_CLOSE:
      case FRAME_RESET: {
        const close = decodeClose(frame.payload);
        return stream.gatewayClosed(close?.code ?? CLOSE_PROTOCOL, close?.reason ?? "");
      }
      default:
        return stream.reset(CLOSE_PROTOCOL, "unexpected frame");
    }
  }

  #exchangeFrame(exchange: HttpExchange, frame: Frame): void {
    const { session } = exchange;
    if (session.expiresAtMs <= this.nowMs()) return exchange.reset(CLOSE_SESSION_OVER, "session over");
    if (this.#options.admission.isCut(session.device)) return exchange.reset(CLOSE_CUT, "cut by the owner");
    switch (frame.type) {
      case FRAME_OPENED: {
        const opened = readOpened(frame);
        return opened === null ? exchange.reset(CLOSE_PROTOCOL, "bad answer") : exchange.opened(opened);
      }
      case FRAME_DATA:
        return exchange.fromGateway(frame);
      case FRAME_END:
        return exchange.ended();
      case FRAME_CREDIT:
        return exchange.granted(frame);
      case FRAME_PROBE:
        return exchange.probed(frame);
      case FRAME_CLOSE:
      case FRAME_RESET:
        return exchange.abort(refusalFor(frame));
      default:
        return exchange.reset(CLOSE_PROTOCOL, "unexpected frame");
    }
  }

  #upgradeFrame(frame: Frame, upgrade: PendingUpgrade): void {
    if (frame.type === FRAME_RESET || frame.type === FRAME_CLOSE) {
      upgrade.answer(refusalFor(frame));
      return this.forget(frame.streamId);
    }
    if (frame.type !== FRAME_OPENED) return;
    const opened = readOpened(frame);
    this.#upgrades.delete(frame.streamId);
    if (opened === null) {
      upgrade.answer(refusal(502, "The gateway answered in a way that cannot be passed on.\n"));
      return this.forget(frame.streamId);
    }
    if (opened.status !== 101) {
      const exchange = new HttpExchange(frame.streamId, upgrade.session, "GET", this, upgrade.answer);
      this.#exchanges.set(frame.streamId, exchange);
      return exchange.opened(opened);
    }
    const { session } = upgrade;
    const { 0: client, 1: server } = new WebSocketPair();
    const attachment: StreamAttachment = {
      kind: "stream",
      stream: frame.streamId,
      session: session.session,
      device: session.device,
      access: session.access,
      expiresAtMs: session.expiresAtMs,
      holding: false,
    };
    this.#options.ctx.acceptWebSocket(server, ["stream"]);
    server.serializeAttachment(attachment);
    this.#add(new WsStream(server, attachment, this, false));
    const headers = new Headers();
    const protocol = opened.headers.find(([name]) => name.toLowerCase() === "sec-websocket-protocol");
    if (protocol !== undefined) headers.set("sec-websocket-protocol", protocol[1]);
    upgrade.answer(new Response(null, { status: 101, webSocket: client, headers }));
  }

  #add(stream: WsStream): void {
    this.#sockets.set(stream.id, stream);
    this.#byBrowser.set(stream.ws, stream);
  }

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

  /** Over 32 MiB in all: the stream that holds most goes, its neighbours never notice (PROTOCOL.md CR6). */
  #keepWithinRoom(): void {
    let total = 0;
    let worst: WsStream | null = null;
    for (const stream of this.#sockets.values()) {
      const held = stream.heldBytes;
      total += held;
      if (worst === null || held > worst.heldBytes) worst = stream;
    }
    if (total > MAX_QUEUED_PER_ROOM_BYTES && worst !== null && worst.heldBytes > MAX_QUEUED_PER_STREAM_BYTES) worst.reset(4413, "too slow");
  }

  #isFull(device: string): boolean {
    const all = this.#sockets.size + this.#exchanges.size + this.#upgrades.size;
    if (all >= MAX_STREAMS_PER_GATEWAY) return true;
    let own = 0;
    for (const stream of this.#sockets.values()) if (stream.attachment.device === device) own += 1;
    for (const exchange of this.#exchanges.values()) if (exchange.session.device === device) own += 1;
    for (const upgrade of this.#upgrades.values()) if (upgrade.session.device === device) own += 1;
    return own >= MAX_STREAMS_PER_DEVICE;
  }

  /** Ascending, never twice on one link: each instance of the object takes a block of 2^16 ids, noted on the link's socket. */
  #newStreamId(): number {
    const link = this.#link;
    if (link !== null && (this.#idBlock === null || this.#nextInBlock >= 1 << BLOCK_BITS)) {
      this.#idBlock = link.attachment.nextBlock;
      this.#nextInBlock = 1;
      link.attachment = { ...link.attachment, nextBlock: link.attachment.nextBlock + 1 };
      link.ws.serializeAttachment(link.attachment);
    }
    const id = ((this.#idBlock ?? 0) * (1 << BLOCK_BITS) + this.#nextInBlock) >>> 0;
    this.#nextInBlock += 1;
    return id;
  }

  #tellBusy(): void {
    const busy = this.#isWaiting || this.#sockets.size + this.#exchanges.size + this.#upgrades.size > 0;
    if (busy === this.#isBusy) return;
    if (this.send({ type: "attention", busy })) this.#isBusy = busy;
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

function readOpened(frame: Frame) {
  try {
    const parsed = openedSchema.safeParse(JSON.parse(new TextDecoder().decode(frame.payload)));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

/** An answer of ours in the gateway's place: short, plain, never cached. */
export function refusal(status: number, text: string, retry = false): Response {
  // The Worker shows the door instead when a person is looking; the gateway's own answers never carry this header.
  const headers = new Headers({ "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", [REFUSED_HEADER]: "1" });
  if (retry) headers.set("retry-after", "5");
  return new Response(text, { status, headers });
}

function refusalFor(frame: Frame): Response {
  const close = decodeClose(frame.payload);
  if (close?.code === CLOSE_SESSION_OVER) return refusal(401, "Open this address in a browser to sign this device in.\n");
  if (close?.code === CLOSE_CUT) return refusal(403, "This device may no longer connect.\n");
  if (close?.code === 4404) return refusal(404, "Not found.\n");
  return refusal(502, "The gateway did not answer.\n", true);
}
