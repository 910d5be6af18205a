/** One visitor's WebSocket: frames of the room on one side, a socket at the gateway's port on the other. */
import type http from "node:http";
import { WebSocket } from "ws";
import { brokenAt, decodeClose, encodeClose, sendableClose } from "../core/close-code.ts";
import { fromGateway } from "../core/header-filter.ts";
import { MessageAssembler, piecesOf } from "../core/message-frames.ts";
import { ReceiveOrder } from "../core/frame-order.ts";
import { DrainWatch } from "../core/drain-watch.ts";
import { CLOSE_CUT, CLOSE_GATEWAY_GONE, CLOSE_PROTOCOL, CLOSE_TOO_SLOW } from "../protocol/close-codes.ts";
import { FRAME_CLOSE, FRAME_CREDIT, FRAME_DATA, FRAME_END, FRAME_OPENED, FRAME_PROBE, FRAME_RESET, decodeU32 } from "../protocol/frame.ts";
import type { Frame } from "../protocol/frame.ts";
import {
  CHALLENGE_WAIT_MS,
  GATEWAY_STILL_MS_PER_STEP,
  MAX_FIRST_MESSAGE_BYTES,
  MAX_FRAME_PAYLOAD_BYTES,
  MAX_MESSAGE_BYTES,
  OPEN_TIMEOUT_MS,
} from "../protocol/limits.ts";
import { utf8 } from "../protocol/statement-encoding.ts";
import { gatewayUrl, pinnedTls } from "./openclaw/dial.ts";
import type { HandshakeWatch } from "./openclaw/openclaw-port.ts";
import type { HandshakePlaces } from "./handshake-places.ts";
import { Incoming } from "./incoming.ts";
import { Outgoing } from "./outgoing.ts";
import { PAUSE_ABOVE_BYTES, headerPairs } from "./stream.ts";
import type { Stream, StreamParts } from "./stream.ts";

export interface WsStreamParts extends StreamParts {
  readonly watch: HandshakeWatch;
  readonly places: HandshakePlaces;
}

export class WsStream implements Stream {
  readonly device: string;
  readonly expiresAtMs: number;
  readonly order = new ReceiveOrder();
  readonly #parts: WsStreamParts;
  readonly #out: Outgoing;
  readonly #in: Incoming;
  readonly #assembler = new MessageAssembler();
  readonly #drain = new DrainWatch(GATEWAY_STILL_MS_PER_STEP);
  /** Taken from the room while the gateway is behind with an earlier message: granted when it has caught up. */
  #withheldBytes = 0;
  #socket: WebSocket | null = null;
  #isOpened = false;
  #isOver = false;
  #isFirst = true;
  #release: () => void = () => undefined;
  #openTimer: NodeJS.Timeout | undefined;
  #releaseTimer: NodeJS.Timeout | undefined;

  constructor(parts: WsStreamParts) {
    this.#parts = parts;
    this.device = parts.open.device;
    this.expiresAtMs = parts.expiresAtMs;
    this.#in = new Incoming(parts);
    this.#out = new Outgoing(
      parts,
      this.#in,
      () => {
        if (this.#socket?.isPaused === true) this.#socket.resume();
      },
      () => this.end(CLOSE_TOO_SLOW, brokenAt("device-room", "too slow"), true),
    );
  }

  start(): void {
    this.#parts.places.take((release) => {
      this.#release = release;
      if (this.#isOver) return release();
      try {
        this.#dial();
      } catch {
        // A subprotocol or a header field that cannot be written: the library throws, and the other streams go on.
        this.end(CLOSE_PROTOCOL, brokenAt("room-connector", "bad open"), true);
      }
    });
  }

  #dial(): void {
    const { open, headers, target } = this.#parts;
    const offered = headers["sec-websocket-protocol"];
    const protocols = typeof offered === "string" ? offered.split(",").map((each) => each.trim()) : [];
    const own = { ...headers };
    delete own["sec-websocket-protocol"];
    const socket = new WebSocket(`${gatewayUrl(target, "ws")}${open.path}`, protocols, {
      ...pinnedTls(target),
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
      // A gateway that has not read our close yet goes on sending, and on the next link this id is another device's stream.
      if (this.#isOver) return;
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
        this.#parts.sendFrame(
          FRAME_RESET,
          0,
          this.#parts.id,
          encodeClose(CLOSE_GATEWAY_GONE, brokenAt("connector-gateway", "gateway closed")),
        );
        this.#parts.forget();
      } else this.#out.finish(FRAME_CLOSE, encodeClose(code, reason.toString("utf8")));
    });
  }

  #opened(): void {
    if (this.#isOpened || this.#isOver) return;
    this.#isOpened = true;
    clearTimeout(this.#openTimer);
    const protocol = this.#socket?.protocol ?? "";
    const headers = protocol === "" ? [] : [["sec-websocket-protocol", protocol]];
    this.#parts.sendFrame(FRAME_OPENED, 0, this.#parts.id, utf8(JSON.stringify({ status: 101, headers })));
  }

  /** The gateway refused the upgrade with an HTTP answer: passed on as it is. */
  #quote(response: http.IncomingMessage): void {
    this.#isOver = true;
    this.#release();
    const { id, sendFrame, forget } = this.#parts;
    const headers = fromGateway(headerPairs(response.rawHeaders));
    sendFrame(FRAME_OPENED, 0, id, utf8(JSON.stringify({ status: response.statusCode ?? 502, headers })));
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => {
      if (chunks.length < 4) chunks.push(chunk);
    });
    response.on("end", () => {
      const body = Buffer.concat(chunks).subarray(0, MAX_FRAME_PAYLOAD_BYTES);
      if (body.byteLength > 0) sendFrame(FRAME_DATA, 0, id, body);
      sendFrame(FRAME_END, 0, id);
      forget();
    });
  }

  #fromGateway(data: Buffer, isBinary: boolean): void {
    const { watch } = this.#parts;
    if (!isBinary && !watch.isDone) {
      try {
        watch.fromGateway(data.toString("utf8"));
      } catch {
        return this.#unkept();
      }
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
        // Nothing for now: whether the gateway stands still is this end's to say, and the room must not take it for a link that does.
        if (this.#isGatewayBehind) return this.#in.withhold();
        return this.#in.probed(frame);
      }
      case FRAME_CLOSE:
      case FRAME_RESET: {
        const close = decodeClose(frame.payload) ?? { code: 1000, reason: "" };
        return this.end(close.code, close.reason, false);
      }
      default:
        return this.end(CLOSE_PROTOCOL, brokenAt("room-connector", "unexpected frame"), true);
    }
  }

  #fromRoom(frame: Frame): void {
    if (!this.#isOpened) return this.end(CLOSE_PROTOCOL, brokenAt("room-connector", "data before opened"), true);
    if (!this.#in.receive(frame.payload.byteLength)) return this.end(CLOSE_TOO_SLOW, brokenAt("room-connector", "more than granted"), true);
    const bytes = frame.payload.byteLength;
    const message = this.#assembler.push(frame);
    if (typeof message === "string")
      return this.end(message === "message_too_large" ? 1009 : CLOSE_PROTOCOL, brokenAt("room-connector", message), true);
    if (message === null) return this.#taken(bytes);
    const { watch } = this.#parts;
    let data: string | Uint8Array = message.data;
    if (this.#isFirst && message.isText && message.data.byteLength <= MAX_FIRST_MESSAGE_BYTES) {
      const text = new TextDecoder().decode(message.data);
      try {
        data = watch.firstFromBrowser(text);
      } catch {
        return this.#unkept();
      }
    }
    if (this.#isFirst && (!message.isText || watch.isDone)) this.#release();
    this.#isFirst = false;
    const socket = this.#socket;
    if (socket === null) return;
    socket.send(data, { binary: !message.isText }, () => this.#taken(bytes));
    if (this.#drain.wrote(message.data.byteLength, socket.bufferedAmount)) this.#drain.look(socket.bufferedAmount, this.#parts.now());
  }

  /** The disk refused what the handshake must leave there: without it a cut would miss this device's entry, so the stream ends, and only it. */
  #unkept(): void {
    this.end(CLOSE_GATEWAY_GONE, "this machine's disk refuses", true);
  }

  /** Messages larger than the window are put together here: a second one may not begin to while the gateway has not taken the first. */
  get #isGatewayBehind(): boolean {
    return (this.#socket?.bufferedAmount ?? 0) > PAUSE_ABOVE_BYTES;
  }

  #taken(bytes: number): void {
    this.#withheldBytes += bytes;
    if (this.#isGatewayBehind) return;
    const taken = this.#withheldBytes;
    this.#withheldBytes = 0;
    this.#consumed(taken);
  }

  #consumed(bytes: number): void {
    if (this.#isOver) return;
    this.#in.consumed(bytes);
  }

  end(code: number, reason: string, tell: boolean): void {
    clearTimeout(this.#openTimer);
    this.#release();
    this.#isOver = true;
    this.#out.stop();
    this.#in.stop();
    this.#parts.forget();
    if (tell) this.#parts.sendFrame(FRAME_RESET, 0, this.#parts.id, encodeClose(code, reason));
    const socket = this.#socket;
    if (socket === null) return;
    if (code === 1006 || code === CLOSE_CUT || socket.readyState !== WebSocket.OPEN) return socket.terminate();
    const clean = sendableClose(code, reason);
    socket.resume();
    socket.close(clean.code, clean.reason);
  }

  remind(): void {
    if (this.#isOpened && !this.#isOver) this.#in.remind();
  }

  tick(): void {
    this.#out.tick();
    if (this.#isOver || this.#socket === null) return;
    if (this.#drain.look(this.#socket.bufferedAmount, this.#parts.now()) === "still")
      this.end(CLOSE_TOO_SLOW, brokenAt("connector-gateway", "gateway too slow"), true);
  }
}
