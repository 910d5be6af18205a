/** The data leg: visitors' WebSockets and HTTP exchanges, from frames to the gateway's port and back. Always with our own forwarding headers. */
import http from "node:http";
import { WebSocket } from "ws";
import { isPublicAddress } from "../core/client-ip.ts";
import { decodeClose, encodeClose, sendableClose } from "../core/close-code.ts";
import { mayReach } from "../core/gateway-paths.ts";
import { fromGateway, fromVisitor } from "../core/header-filter.ts";
import { MessageAssembler, frameOf, piecesOf } from "../core/message-frames.ts";
import type { Piece } from "../core/message-frames.ts";
import { ReceiveCredit, SendCredit } from "../core/stream-credit.ts";
import {
  CLOSE_CUT,
  CLOSE_GATEWAY_GONE,
  CLOSE_NOT_FOUND,
  CLOSE_PROTOCOL,
  CLOSE_SESSION_OVER,
  CLOSE_TOO_SLOW,
} from "../protocol/close-codes.ts";
import {
  FRAME_CLOSE,
  FRAME_CREDIT,
  FRAME_DATA,
  FRAME_END,
  FRAME_OPEN,
  FRAME_OPENED,
  FRAME_PROBE,
  FRAME_RESET,
  decodeU32,
  encodeFrame,
  encodeU32,
} from "../protocol/frame.ts";
import type { Frame } from "../protocol/frame.ts";
import {
  CHALLENGE_WAIT_MS,
  MAX_FIRST_MESSAGE_BYTES,
  MAX_FRAME_PAYLOAD_BYTES,
  MAX_LOCAL_HANDSHAKES,
  MAX_MESSAGE_BYTES,
  OPEN_TIMEOUT_MS,
  PROBE_INTERVAL_MS,
} from "../protocol/limits.ts";
import { openSchema } from "../protocol/link-messages.ts";
import type { StreamOpen } from "../protocol/link-messages.ts";
import { utf8 } from "../protocol/statement-encoding.ts";
import { ACCESS_SCOPES } from "../protocol/words.ts";
import type { Access } from "../protocol/words.ts";
import type { Admitted } from "./admitted.ts";
import type { HandshakeWatch, OpenclawGateway } from "./openclaw/openclaw-port.ts";

export interface StreamsOptions {
  readonly gateway: OpenclawGateway;
  readonly admitted: Admitted;
  readonly sendFrame: (frame: Uint8Array<ArrayBuffer>) => void;
  readonly onDevice: (device: string, event: "paired" | "connected" | "pairing-refused", scopes?: readonly string[]) => void;
  readonly now: () => number;
}

interface Stream {
  readonly device: string;
  readonly expiresAtMs: number;
  frame(frame: Frame): void;
  /** Ends the gateway's side; `tell` also ends the room's. */
  end(code: number, reason: string, tell: boolean): void;
  tick(): void;
}

/** Header fields of one forwarded request: the visitor's, filtered once more, then ours. */
function forwardedHeaders(open: StreamOpen, access: Access): Record<string, string | string[]> | null {
  const filtered = fromVisitor(open.headers);
  if (filtered === null || !isPublicAddress(open.clientIp)) return null;
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of filtered) {
    const before = headers[name];
    headers[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  headers["host"] = open.host;
  headers["x-forwarded-for"] = open.clientIp;
  headers["x-forwarded-proto"] = "https";
  headers["x-forwarded-host"] = open.host;
  headers["x-openclaw-scopes"] = ACCESS_SCOPES[access].join(",");
  return headers;
}

export class Streams {
  readonly #options: StreamsOptions;
  readonly #streams = new Map<number, Stream>();
  /** Only the data leg uses it; the control leg has a socket of its own. */
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
  #handshakes = 0;
  readonly #waitingHandshakes: (() => void)[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(options: StreamsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#tick(), PROBE_INTERVAL_MS);
    this.#timer.unref();
  }

  get count(): number {
    return this.#streams.size;
  }

  /** A frame of the room. */
  frame(frame: Frame): void {
    if (frame.type === FRAME_OPEN) return this.#open(frame);
    const stream = this.#streams.get(frame.streamId);
    if (stream !== undefined) return stream.frame(frame);
    if (frame.type === FRAME_DATA) this.#reset(frame.streamId, 1001, "unknown stream");
  }

  /** Ends every stream of a device. @returns how many */
  endDevice(device: string): number {
    const own = [...this.#streams].filter(([, stream]) => stream.device === device);
    for (const [, stream] of own) stream.end(CLOSE_CUT, "cut by the owner", true);
    return own.length;
  }

  /** The link went: nothing is resumed. */
  endAll(): void {
    for (const stream of this.#streams.values()) stream.end(1001, "connection lost", false);
    this.#streams.clear();
  }

  close(): void {
    clearInterval(this.#timer);
    this.endAll();
    this.#agent.destroy();
  }

  #tick(): void {
    const nowMs = this.#options.now();
    for (const stream of this.#streams.values()) {
      if (stream.expiresAtMs <= nowMs) stream.end(CLOSE_SESSION_OVER, "session over", true);
      else stream.tick();
    }
  }

  #reset(id: number, code: number, reason: string): void {
    this.#options.sendFrame(encodeFrame(FRAME_RESET, 0, id, encodeClose(code, reason)));
  }

  #open(frame: Frame): void {
    const id = frame.streamId;
    let open: StreamOpen;
    try {
      open = openSchema.parse(JSON.parse(new TextDecoder().decode(frame.payload)));
    } catch {
      return this.#reset(id, CLOSE_PROTOCOL, "bad open");
    }
    const { gateway, admitted } = this.#options;
    const admission = admitted.admits(open);
    if (admission === "no-session") return this.#reset(id, CLOSE_SESSION_OVER, "no such session");
    if (admission === "cut") return this.#reset(id, CLOSE_CUT, "cut by the owner");
    if (!gateway.isServing) return this.#reset(id, CLOSE_GATEWAY_GONE, "gateway not serving");
    if (!mayReach({ kind: open.kind, method: open.method, path: open.path, access: admission.access }))
      return this.#reset(id, CLOSE_NOT_FOUND, "not found");
    const headers = forwardedHeaders(open, admission.access);
    if (headers === null) return this.#reset(id, CLOSE_PROTOCOL, "no sound address");
    const common = {
      id,
      open,
      headers,
      expiresAtMs: admission.expiresAtMs,
      target: gateway.target,
      options: this.#options,
      forget: () => this.#streams.delete(id),
    };
    if (open.kind === "http") {
      this.#streams.set(id, new HttpStream({ ...common, agent: this.#agent }));
      return;
    }
    const watch = gateway.watch(open, {
      paired: () => this.#options.onDevice(open.device, "paired"),
      connected: (scopes) => this.#options.onDevice(open.device, "connected", scopes),
      refused: () => this.#options.onDevice(open.device, "pairing-refused"),
    });
    this.#streams.set(id, new WsLocalStream({ ...common, watch, slot: (run) => this.#slot(run) }));
  }

  /** Waits for one of the places below OpenClaw's limit of unauthenticated sockets; the callback gives it back. */
  #slot(run: (release: () => void) => void): void {
    const start = (): void => {
      this.#handshakes += 1;
      let isReleased = false;
      run(() => {
        if (isReleased) return;
        isReleased = true;
        this.#handshakes -= 1;
        this.#waitingHandshakes.shift()?.();
      });
    };
    if (this.#handshakes < MAX_LOCAL_HANDSHAKES) start();
    else this.#waitingHandshakes.push(start);
  }
}

interface Common {
  readonly id: number;
  readonly open: StreamOpen;
  readonly headers: Record<string, string | string[]>;
  readonly expiresAtMs: number;
  readonly target: { readonly host: string; readonly port: number };
  readonly options: StreamsOptions;
  readonly forget: () => void;
}

/** Credit, queue and probing of the direction towards the room; shared by both kinds of stream. */
class Outgoing {
  readonly #common: Common;
  readonly #credit = new SendCredit();
  #queue: Piece[] = [];
  #final: Uint8Array<ArrayBuffer> | null = null;
  readonly #onDrain: () => void;
  readonly #onStall: () => void;
  queuedBytes = 0;

  constructor(common: Common, onDrain: () => void, onStall: () => void) {
    this.#common = common;
    this.#onDrain = onDrain;
    this.#onStall = onStall;
  }

  send(pieces: Iterable<Piece>): void {
    for (const piece of pieces) {
      this.#queue.push(piece);
      this.queuedBytes += piece.payload.byteLength;
    }
    this.flush();
  }

  /** The last frame of this direction, after everything that waits. */
  finish(frame: Uint8Array<ArrayBuffer>): void {
    this.#final = frame;
    this.flush();
  }

  granted(bytes: number): void {
    this.#credit.grant(bytes);
    this.flush();
  }

  flush(): void {
    const { id, options } = this.#common;
    let sent = 0;
    for (const piece of this.#queue) {
      if (!this.#credit.spend(piece.payload.byteLength)) break;
      options.sendFrame(frameOf(id, piece));
      this.queuedBytes -= piece.payload.byteLength;
      sent += 1;
    }
    if (sent > 0) this.#queue.splice(0, sent);
    if (this.#queue.length > 0) return this.tick();
    if (this.#final !== null) {
      options.sendFrame(this.#final);
      this.#final = null;
      this.#common.forget();
      return;
    }
    this.#onDrain();
  }

  tick(): void {
    if (this.#queue.length === 0) return;
    const what = this.#credit.blocked(this.#common.options.now());
    if (what === "stalled") this.#onStall();
    else if (what === "probe")
      this.#common.options.sendFrame(encodeFrame(FRAME_PROBE, 0, this.#common.id, encodeU32(this.#credit.probeValue())));
  }
}

/** Above this the gateway's socket is paused until the room has taken what waits. */
const PAUSE_ABOVE_BYTES = 512 * 1024;

class WsLocalStream implements Stream {
  readonly device: string;
  readonly expiresAtMs: number;
  readonly #common: Common & { readonly watch: HandshakeWatch };
  readonly #out: Outgoing;
  readonly #receive = new ReceiveCredit();
  readonly #assembler = new MessageAssembler();
  #socket: WebSocket | null = null;
  #isOpened = false;
  #isOver = false;
  #isFirst = true;
  #release: () => void = () => undefined;
  #openTimer: NodeJS.Timeout | undefined;
  #releaseTimer: NodeJS.Timeout | undefined;

  constructor(common: Common & { readonly watch: HandshakeWatch; readonly slot: (run: (release: () => void) => void) => void }) {
    this.#common = common;
    this.device = common.open.device;
    this.expiresAtMs = common.expiresAtMs;
    this.#out = new Outgoing(
      common,
      () => this.#socket?.resume(),
      () => this.end(CLOSE_TOO_SLOW, "too slow", true),
    );
    common.slot((release) => {
      this.#release = release;
      if (this.#isOver) release();
      else this.#dial();
    });
  }

  #dial(): void {
    const { open, headers, target } = this.#common;
    const host = target.host.includes(":") ? `[${target.host}]` : target.host;
    const offered = headers["sec-websocket-protocol"];
    const protocols = typeof offered === "string" ? offered.split(",").map((each) => each.trim()) : [];
    const own = { ...headers };
    delete own["sec-websocket-protocol"];
    const socket = new WebSocket(`ws://${host}:${target.port}${open.path}`, protocols, {
      headers: own,
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
      handshakeTimeout: OPEN_TIMEOUT_MS,
      followRedirects: false,
    });
    this.#socket = socket;
    socket.on("open", () => {
      // R9: the page waits 750 ms for the challenge and then fails for good, so its upgrade is answered with the challenge at hand.
      this.#openTimer = setTimeout(() => this.#opened(), CHALLENGE_WAIT_MS);
      // By then OpenClaw has ended a socket without a handshake; one that is still open is a plugin's and needs no place.
      this.#releaseTimer = setTimeout(this.#release, OPEN_TIMEOUT_MS);
    });
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (!this.#isOpened) {
        this.#opened();
      }
      this.#fromGateway(data, isBinary);
    });
    socket.on("unexpected-response", (_request, response) => this.#quote(response));
    socket.on("error", () => undefined);
    socket.on("close", (code, reason) => {
      this.#release();
      clearTimeout(this.#releaseTimer);
      if (this.#isOver) return;
      this.#isOver = true;
      clearTimeout(this.#openTimer);
      if (!this.#isOpened) {
        this.#common.options.sendFrame(encodeFrame(FRAME_RESET, 0, this.#common.id, encodeClose(CLOSE_GATEWAY_GONE, "gateway closed")));
        this.#common.forget();
      } else this.#out.finish(encodeFrame(FRAME_CLOSE, 0, this.#common.id, encodeClose(code, reason.toString("utf8"))));
    });
  }

  #opened(): void {
    if (this.#isOpened || this.#isOver) return;
    this.#isOpened = true;
    clearTimeout(this.#openTimer);
    const protocol = this.#socket?.protocol ?? "";
    const headers = protocol === "" ? [] : [["sec-websocket-protocol", protocol]];
    this.#common.options.sendFrame(encodeFrame(FRAME_OPENED, 0, this.#common.id, utf8(JSON.stringify({ status: 101, headers }))));
  }

  /** The gateway refused the upgrade with an HTTP answer: passed on as it is. */
  #quote(response: http.IncomingMessage): void {
    this.#isOver = true;
    this.#release();
    const { id, options, forget } = this.#common;
    const headers = fromGateway(pairs(response.rawHeaders));
    options.sendFrame(encodeFrame(FRAME_OPENED, 0, id, utf8(JSON.stringify({ status: response.statusCode ?? 502, headers }))));
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => {
      if (chunks.length < 4) chunks.push(chunk);
    });
    response.on("end", () => {
      const body = Buffer.concat(chunks).subarray(0, MAX_FRAME_PAYLOAD_BYTES);
      if (body.byteLength > 0) options.sendFrame(encodeFrame(FRAME_DATA, 0, id, body));
      options.sendFrame(encodeFrame(FRAME_END, 0, id));
      forget();
    });
  }

  #fromGateway(data: Buffer, isBinary: boolean): void {
    const { watch } = this.#common;
    if (!isBinary && !watch.isDone) {
      watch.fromGateway(data.toString("utf8"));
      if (watch.isDone) this.#release();
    }
    this.#out.send(piecesOf(data, !isBinary));
    if (this.#out.queuedBytes > PAUSE_ABOVE_BYTES) this.#socket?.pause();
  }

  frame(frame: Frame): void {
    switch (frame.type) {
      case FRAME_DATA:
        return this.#fromRoom(frame);
      case FRAME_CREDIT:
        return this.#out.granted(decodeU32(frame.payload) ?? 0);
      case FRAME_PROBE: {
        const grant =
          (this.#socket?.bufferedAmount ?? 0) > PAUSE_ABOVE_BYTES ? 0 : this.#receive.answerProbe(decodeU32(frame.payload) ?? 0);
        if (grant > 0) this.#credit(grant);
        return;
      }
      case FRAME_CLOSE:
      case FRAME_RESET: {
        const close = decodeClose(frame.payload) ?? { code: 1000, reason: "" };
        return this.end(close.code, close.reason, false);
      }
      default:
        return this.end(CLOSE_PROTOCOL, "unexpected frame", true);
    }
  }

  #fromRoom(frame: Frame): void {
    if (!this.#receive.receive(frame.payload.byteLength)) return this.end(CLOSE_TOO_SLOW, "more than granted", true);
    const bytes = frame.payload.byteLength;
    const message = this.#assembler.push(frame);
    if (typeof message === "string") return this.end(message === "message_too_large" ? 1009 : CLOSE_PROTOCOL, message, true);
    if (message === null) return this.#consumed(bytes);
    const { watch } = this.#common;
    let data: string | Uint8Array = message.data;
    if (this.#isFirst && message.isText && message.data.byteLength <= MAX_FIRST_MESSAGE_BYTES) {
      const text = new TextDecoder().decode(message.data);
      data = watch.firstFromBrowser(text);
    }
    if (this.#isFirst && (!message.isText || watch.isDone)) this.#release();
    this.#isFirst = false;
    this.#socket?.send(data, { binary: !message.isText }, () => this.#consumed(bytes));
  }

  #consumed(bytes: number): void {
    if (this.#isOver) return;
    const grant = this.#receive.consume(bytes);
    if (grant > 0) this.#credit(grant);
  }

  #credit(bytes: number): void {
    this.#common.options.sendFrame(encodeFrame(FRAME_CREDIT, 0, this.#common.id, encodeU32(bytes)));
  }

  end(code: number, reason: string, tell: boolean): void {
    clearTimeout(this.#openTimer);
    this.#release();
    this.#isOver = true;
    this.#common.forget();
    if (tell) this.#common.options.sendFrame(encodeFrame(FRAME_RESET, 0, this.#common.id, encodeClose(code, reason)));
    const socket = this.#socket;
    if (socket === null) return;
    if (code === 1006 || code === CLOSE_CUT || socket.readyState !== WebSocket.OPEN) return socket.terminate();
    const clean = sendableClose(code, reason);
    socket.resume();
    socket.close(clean.code, clean.reason);
  }

  tick(): void {
    this.#out.tick();
  }
}

class HttpStream implements Stream {
  readonly device: string;
  readonly expiresAtMs: number;
  readonly #common: Common;
  readonly #out: Outgoing;
  readonly #receive = new ReceiveCredit();
  readonly #request: http.ClientRequest;
  #response: http.IncomingMessage | null = null;
  #isOver = false;

  constructor(common: Common & { readonly agent: http.Agent }) {
    this.#common = common;
    this.device = common.open.device;
    this.expiresAtMs = common.expiresAtMs;
    this.#out = new Outgoing(
      { ...common, forget: () => this.#done() },
      () => this.#response?.resume(),
      () => this.end(CLOSE_TOO_SLOW, "too slow", true),
    );
    const { open, headers, target, agent } = common;
    this.#request = http.request({
      host: target.host,
      port: target.port,
      method: open.method,
      path: open.path,
      headers,
      agent,
      setHost: false,
    });
    this.#request.on("response", (response) => this.#answered(response));
    this.#request.on("upgrade", (_response, socket) => {
      socket.destroy();
      this.end(CLOSE_PROTOCOL, "unexpected upgrade", true);
    });
    this.#request.on("error", () => this.end(CLOSE_GATEWAY_GONE, "gateway did not answer", true));
    if (!open.hasBody) this.#request.end();
  }

  #answered(response: http.IncomingMessage): void {
    if (this.#isOver) return void response.destroy();
    this.#response = response;
    const { id, options } = this.#common;
    const headers = fromGateway(pairs(response.rawHeaders));
    options.sendFrame(encodeFrame(FRAME_OPENED, 0, id, utf8(JSON.stringify({ status: response.statusCode ?? 502, headers }))));
    response.on("data", (chunk: Buffer) => {
      this.#out.send(bodyPieces(chunk));
      if (this.#out.queuedBytes > PAUSE_ABOVE_BYTES) response.pause();
    });
    response.on("end", () => this.#out.finish(encodeFrame(FRAME_END, 0, id)));
    response.on("error", () => this.end(CLOSE_GATEWAY_GONE, "gateway broke off", true));
    response.on("aborted", () => this.end(CLOSE_GATEWAY_GONE, "gateway broke off", true));
  }

  frame(frame: Frame): void {
    switch (frame.type) {
      case FRAME_DATA: {
        const bytes = frame.payload.byteLength;
        if (!this.#receive.receive(bytes)) return this.end(CLOSE_TOO_SLOW, "more than granted", true);
        this.#request.write(frame.payload, () => this.#consumed(bytes));
        return;
      }
      case FRAME_END:
        this.#request.end();
        return;
      case FRAME_CREDIT:
        return this.#out.granted(decodeU32(frame.payload) ?? 0);
      case FRAME_PROBE: {
        if (this.#request.writableLength > PAUSE_ABOVE_BYTES) return;
        const grant = this.#receive.answerProbe(decodeU32(frame.payload) ?? 0);
        if (grant > 0) this.#credit(grant);
        return;
      }
      default:
        return this.end(1001, "ended", false);
    }
  }

  #consumed(bytes: number): void {
    if (this.#isOver) return;
    const grant = this.#receive.consume(bytes);
    if (grant > 0) this.#credit(grant);
  }

  #credit(bytes: number): void {
    this.#common.options.sendFrame(encodeFrame(FRAME_CREDIT, 0, this.#common.id, encodeU32(bytes)));
  }

  #done(): void {
    this.#isOver = true;
    this.#common.forget();
  }

  end(code: number, reason: string, tell: boolean): void {
    if (this.#isOver) return;
    this.#done();
    if (tell) this.#common.options.sendFrame(encodeFrame(FRAME_RESET, 0, this.#common.id, encodeClose(code, reason)));
    this.#request.destroy();
    this.#response?.destroy();
  }

  tick(): void {
    this.#out.tick();
  }
}

function* bodyPieces(chunk: Buffer): Generator<Piece> {
  for (let at = 0; at < chunk.byteLength; at += MAX_FRAME_PAYLOAD_BYTES)
    yield { payload: chunk.subarray(at, at + MAX_FRAME_PAYLOAD_BYTES), flags: 0 };
}

function pairs(raw: readonly string[]): [string, string][] {
  const out: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) out.push([raw[i] ?? "", raw[i + 1] ?? ""]);
  return out;
}
