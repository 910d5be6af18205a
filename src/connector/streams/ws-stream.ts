/** One visitor's WebSocket: frames of the room on one side, a socket at the gateway's port on the other. */
import { WebSocket } from "ws";
import { brokenAt, decodeClose, encodeClose, sendableClose } from "../../core/link/close-code.ts";
import { MessageAssembler, piecesOf } from "../../core/link/message-frames.ts";
import { ReceiveOrder } from "../../core/link/frame-order.ts";
import { DrainWatch } from "../../core/link/drain-watch.ts";
import { CLOSE_CUT, CLOSE_GATEWAY_GONE, CLOSE_PROTOCOL, CLOSE_TOO_SLOW, HEAD_TOO_LARGE } from "../../protocol/close-codes.ts";
import { FRAME_CLOSE, FRAME_CREDIT, FRAME_DATA, FRAME_OPENED, FRAME_PROBE, FRAME_RESET, decodeU32 } from "../../protocol/frame.ts";
import type { Frame, FrameType } from "../../protocol/frame.ts";
import {
  CHALLENGE_SHOWS_MS,
  CHALLENGE_WAIT_MS,
  GATEWAY_STILL_MS_PER_STEP,
  MAX_FIRST_MESSAGE_BYTES,
  MAX_MESSAGE_BYTES,
  OPEN_TIMEOUT_MS,
} from "../../protocol/limits.ts";
import { utf8 } from "../../protocol/statement-encoding.ts";
import { COME_BACK_CLOSE } from "../../core/pairing/held-answer.ts";
import { awaitsChallenge, isChallenge } from "../openclaw/challenge.ts";
import { gatewayUrl, pinnedTls } from "../openclaw/dial.ts";
import type { HandshakeWatch } from "../openclaw/openclaw-port.ts";
import { HEAD_LIMITS, isHeadTooLarge } from "./answer-head.ts";
import type { HandshakePlaces, Place } from "./handshake-slots.ts";
import { Incoming } from "./receive-credit.ts";
import { Outgoing } from "./send-queue.ts";
import { QuotedAnswer } from "./quoted-answer.ts";
import { PAUSE_ABOVE_BYTES } from "./stream.ts";
import type { Stream, StreamParts } from "./stream.ts";

export interface WsStreamParts extends StreamParts {
  readonly watch: HandshakeWatch;
  readonly places: HandshakePlaces;
}

/** Without ignoreBOM a byte order mark, which is the message's own, would be lost. */
const TEXT = new TextDecoder("utf-8", { ignoreBOM: true });

/** What a gateway broke that sends messages `ws` refuses: close code and words (PROTOCOL.md, close codes). */
const WS_ERRORS: Readonly<Record<string, readonly [number, string]>> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: [1009, "message too large"],
  WS_ERR_INVALID_UTF8: [1007, "text is not UTF-8"],
};

/** The gateway's message that waits for the approval of its page's key, and the end that came behind it. */
interface Held {
  readonly data: Buffer;
  end: readonly [type: FrameType, code: number, reason: string] | null;
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
  #place: Place | null = null;
  /** The gateway said something that is no challenge: no handshake is in flight. */
  #isHandshakeOver = false;
  #quoted: QuotedAnswer | null = null;
  #held: Held | null = null;
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
    this.#parts.places.take(this.device, (place) => {
      if (this.#isOver) return place.release();
      this.#place = place;
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
      ...HEAD_LIMITS,
    });
    this.#socket = socket;
    socket.on("open", () => {
      const waits = awaitsChallenge(open.path);
      // R9: the page waits 750 ms for the challenge and then fails for good, so its upgrade is answered with the challenge at hand.
      if (waits) this.#openTimer = setTimeout(() => this.#opened(), CHALLENGE_WAIT_MS);
      else this.#opened();
      // OpenClaw ends a socket without a handshake after 15 s; elsewhere than where its page connects, one without a challenge is a plugin's.
      this.#releaseTimer = setTimeout(() => this.#place?.release(), waits ? OPEN_TIMEOUT_MS : CHALLENGE_SHOWS_MS);
    });
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      // A gateway that has not read our close yet goes on sending, and on the next link this id is another device's stream.
      if (this.#isOver) return;
      this.#opened();
      this.#fromGateway(data, isBinary);
    });
    socket.on("unexpected-response", (_request, response) => {
      this.#over();
      this.#quoted = new QuotedAnswer(response, this.#parts);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      const [code, what] =
        WS_ERRORS[error.code ?? ""] ?? (error.code?.startsWith("WS_ERR_") === true ? [1002, "broken protocol"] : [0, ""]);
      if (isHeadTooLarge(error)) this.#gatewayEnded(CLOSE_GATEWAY_GONE, HEAD_TOO_LARGE);
      else if (code > 0) this.#gatewayEnded(code, what);
    });
    socket.on("close", (code, reason) => {
      if (this.#isOpened) this.#ended(FRAME_CLOSE, code, reason.toString("utf8"));
      else this.#gatewayEnded(CLOSE_GATEWAY_GONE, "gateway closed");
    });
  }

  /** The gateway's side is over for a reason that is not the gateway's own word. */
  #gatewayEnded(code: number, what: string): void {
    this.#ended(FRAME_RESET, code, brokenAt("connector-gateway", what));
  }

  /** The last frame of this stream, after everything that the gateway sent before. */
  #ended(type: FrameType, code: number, reason: string): void {
    if (this.#held !== null) {
      this.#held.end ??= [type, code, reason];
      return;
    }
    const wasOver = this.#isOver;
    this.#over();
    if (!wasOver) this.#out.finish(type, encodeClose(code, reason));
  }

  /** Nothing more is read from the gateway. */
  #over(): void {
    this.#isOver = true;
    this.#held = null;
    clearTimeout(this.#openTimer);
    clearTimeout(this.#releaseTimer);
    this.#place?.release();
  }

  #opened(): void {
    if (this.#isOpened || this.#isOver) return;
    this.#isOpened = true;
    clearTimeout(this.#openTimer);
    const protocol = this.#socket?.protocol ?? "";
    const headers = protocol === "" ? [] : [["sec-websocket-protocol", protocol]];
    this.#parts.sendFrame(FRAME_OPENED, 0, this.#parts.id, utf8(JSON.stringify({ status: 101, headers })));
  }

  #fromGateway(data: Buffer, isBinary: boolean): void {
    const { watch } = this.#parts;
    const text = isBinary || (this.#isHandshakeOver && watch.isDone) ? null : data.toString("utf8");
    if (!this.#isHandshakeOver) this.#settlePlace(text);
    // Who is sent away hears nothing but the close: a gateway that goes on is not waited for.
    this.#settle(null);
    if (text !== null && !watch.isDone) {
      try {
        const answer = watch.fromGateway(text);
        if (answer !== null) return this.#hold(data, answer);
      } catch {
        return this.#unkept();
      }
    }
    this.#pass(data, !isBinary);
  }

  #pass(data: Buffer, isText: boolean): void {
    this.#out.send(piecesOf(data, isText));
    if (this.#out.queuedBytes > PAUSE_ABOVE_BYTES) this.#socket?.pause();
  }

  /** @param answer what leaves in the message's place (PROTOCOL.md R18) */
  #hold(data: Buffer, answer: Promise<string | null>): void {
    this.#held = { data, end: null };
    void answer.then((instead) => this.#settle(instead));
  }

  /** What is held leaves: as it came, or as this text and its close. */
  #settle(instead: string | null): void {
    const held = this.#held;
    if (held === null) return;
    this.#held = null;
    if (instead === null) {
      this.#pass(held.data, true);
      if (held.end !== null) this.#ended(...held.end);
      return;
    }
    this.#pass(Buffer.from(instead), true);
    this.#ended(FRAME_CLOSE, COME_BACK_CLOSE.code, COME_BACK_CLOSE.reason);
    this.#socket?.close(1000);
  }

  /** Only the gateway's word counts: a browser could say anything while its socket still holds a place there. @param text null: binary */
  #settlePlace(text: string | null): void {
    clearTimeout(this.#releaseTimer);
    if (text !== null && isChallenge(text)) {
      this.#place?.retake();
      this.#releaseTimer = setTimeout(() => this.#place?.release(), OPEN_TIMEOUT_MS);
      return;
    }
    this.#isHandshakeOver = true;
    this.#place?.release();
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
        return this.#end(close.code, close.reason, frame.type === FRAME_RESET && close.code === CLOSE_CUT);
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
      const text = TEXT.decode(message.data);
      try {
        const first = watch.firstFromBrowser(text);
        if (first !== text) data = first;
      } catch {
        return this.#unkept();
      }
    }
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
    this.#end(code, reason, code === CLOSE_CUT, tell);
  }

  /** @param isCut the device was cut: nothing is waited for; a browser's own 4403 is a close like any other */
  #end(code: number, reason: string, isCut: boolean, tell = false): void {
    this.#over();
    this.#out.stop();
    this.#in.stop();
    this.#quoted?.stop();
    this.#parts.forget();
    if (tell) this.#parts.sendFrame(FRAME_RESET, 0, this.#parts.id, encodeClose(code, reason));
    const socket = this.#socket;
    if (socket === null) return;
    if (code === 1006 || isCut || socket.readyState !== WebSocket.OPEN) return socket.terminate();
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
