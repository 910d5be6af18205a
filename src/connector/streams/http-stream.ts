/** One HTTP exchange: frames of the room on one side, a request to the gateway's port on the other. Bodies are never held whole. */
import type http from "node:http";
import { brokenAt, encodeClose } from "../../core/link/close-code.ts";
import type { Piece } from "../../core/link/message-frames.ts";
import { ReceiveOrder } from "../../core/link/frame-order.ts";
import { DrainWatch } from "../../core/link/drain-watch.ts";
import { BODY_MISSING, CLOSE_GATEWAY_GONE, CLOSE_PROTOCOL, CLOSE_TOO_SLOW, HEAD_TOO_LARGE } from "../../protocol/close-codes.ts";
import { FRAME_CREDIT, FRAME_DATA, FRAME_END, FRAME_OPENED, FRAME_PROBE, FRAME_RESET, decodeU32 } from "../../protocol/frame.ts";
import type { Frame } from "../../protocol/frame.ts";
import { BODY_SILENCE_MS, GATEWAY_STILL_MS_PER_STEP, MAX_FRAME_PAYLOAD_BYTES } from "../../protocol/limits.ts";
import { HEAD_LIMITS, answerHead, isHeadTooLarge } from "./answer-head.ts";
import { Incoming } from "./receive-credit.ts";
import { requestGateway } from "../openclaw/dial.ts";
import { Outgoing } from "./send-queue.ts";
import { PAUSE_ABOVE_BYTES } from "./stream.ts";
import type { Stream, StreamParts } from "./stream.ts";

/** Methods that may be sent again when it is not known whether the first one arrived (RFC 9110 §9.2.2). */
const IDEMPOTENT = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];

export class HttpStream implements Stream {
  readonly device: string;
  readonly expiresAtMs: number;
  readonly order = new ReceiveOrder();
  readonly #parts: StreamParts & { readonly agent: http.Agent };
  readonly #out: Outgoing;
  readonly #in: Incoming;
  readonly #drain = new DrainWatch(GATEWAY_STILL_MS_PER_STEP);
  #request: http.ClientRequest | null = null;
  #response: http.IncomingMessage | null = null;
  #isOver = false;
  /** What the request's stated length leaves for DATA: a byte more or less would be read as another request. */
  #bodyLeft: number;
  /** When the visitor's body last moved. */
  #bodyMovedAtMs: number;
  #isBodyOver: boolean;
  #isRetry = false;

  constructor(parts: StreamParts & { readonly agent: http.Agent }) {
    this.#parts = parts;
    this.device = parts.open.device;
    this.expiresAtMs = parts.expiresAtMs;
    const length = parts.headers["content-length"];
    this.#bodyLeft = !parts.open.hasBody ? 0 : length === undefined ? Infinity : Number(length);
    this.#bodyMovedAtMs = parts.now();
    this.#isBodyOver = !parts.open.hasBody;
    this.#in = new Incoming(parts);
    this.#out = new Outgoing(
      { ...parts, forget: () => this.#done() },
      this.#in,
      () => this.#response?.resume(),
      () => this.end(CLOSE_TOO_SLOW, brokenAt("device-room", "too slow"), true),
    );
  }

  start(): void {
    const { open, headers, target, agent } = this.#parts;
    let request: http.ClientRequest;
    try {
      request = requestGateway(target, {
        method: open.method,
        path: open.path,
        headers,
        // The second time on a connection of its own: the pool's others may have been closed with the first.
        agent: !this.#isRetry && agent,
        setHost: false,
        ...HEAD_LIMITS,
      });
    } catch {
      // A method or a header field that cannot be written: the library throws, and the other streams go on.
      return this.end(CLOSE_PROTOCOL, brokenAt("room-connector", "bad open"), true);
    }
    this.#request = request;
    // Node would leave fields out beyond a number of its own, and say nothing.
    request.maxHeadersCount = 0;
    let readBefore = 0;
    request.on("socket", (socket) => {
      readBefore = socket.bytesRead;
    });
    request.on("response", (response) => this.#answered(response));
    request.on("upgrade", (_response, socket) => {
      socket.destroy();
      this.end(CLOSE_PROTOCOL, brokenAt("connector-gateway", "unexpected upgrade"), true);
    });
    request.on("error", (error) => {
      const isUnread = request.reusedSocket && (request.socket?.bytesRead ?? readBefore) === readBefore;
      this.#failed(error, isUnread);
    });
    // The gateway may answer, or refuse, before the first byte of the body.
    if (open.hasBody) request.flushHeaders();
    else request.end();
  }

  /** @param isUnread the gateway had closed the idle connection that the request took, or closed it before it answered */
  #failed(error: NodeJS.ErrnoException, isUnread: boolean): void {
    if (this.#isOver) return;
    const { open } = this.#parts;
    if (isUnread && !this.#isRetry && !open.hasBody && IDEMPOTENT.includes(open.method)) {
      this.#isRetry = true;
      return this.start();
    }
    const what = isHeadTooLarge(error) ? HEAD_TOO_LARGE : "gateway did not answer";
    this.end(CLOSE_GATEWAY_GONE, brokenAt("connector-gateway", what), true);
  }

  #answered(response: http.IncomingMessage): void {
    if (this.#isOver) return void response.destroy();
    this.#response = response;
    const { id, sendFrame } = this.#parts;
    const head = answerHead(response);
    if (head === null) return this.end(CLOSE_GATEWAY_GONE, brokenAt("connector-gateway", HEAD_TOO_LARGE), true);
    sendFrame(FRAME_OPENED, 0, id, head);
    response.on("data", (chunk: Buffer) => {
      this.#out.send(bodyPieces(chunk));
      if (this.#out.queuedBytes > PAUSE_ABOVE_BYTES) response.pause();
    });
    response.on("end", () => this.#out.finish(FRAME_END));
    response.on("error", () => this.end(CLOSE_GATEWAY_GONE, brokenAt("connector-gateway", "gateway broke off"), true));
    response.on("aborted", () => this.end(CLOSE_GATEWAY_GONE, brokenAt("connector-gateway", "gateway broke off"), true));
  }

  frame(frame: Frame): void {
    switch (frame.type) {
      case FRAME_DATA: {
        const bytes = frame.payload.byteLength;
        if (!this.#in.receive(bytes)) return this.end(CLOSE_TOO_SLOW, brokenAt("room-connector", "more than granted"), true);
        this.#bodyMovedAtMs = this.#parts.now();
        this.#bodyLeft -= bytes;
        if (this.#bodyLeft < 0) return this.end(CLOSE_PROTOCOL, brokenAt("device-room", "body longer than stated"), true);
        this.#request?.write(frame.payload, () => this.#consumed(bytes));
        this.#drain.wrote(bytes, this.#unsentBytes);
        return;
      }
      case FRAME_END:
        if (this.#bodyLeft > 0 && this.#bodyLeft < Infinity)
          return this.end(CLOSE_PROTOCOL, brokenAt("device-room", "body shorter than stated"), true);
        this.#isBodyOver = true;
        this.#request?.end();
        return;
      case FRAME_CREDIT:
        return this.#out.granted(decodeU32(frame.payload) ?? 0);
      case FRAME_PROBE: {
        if (this.#unsentBytes > PAUSE_ABOVE_BYTES) return this.#in.withhold();
        return this.#in.probed(frame);
      }
      default:
        return this.end(1001, "ended", false);
    }
  }

  /** Of the upload, what the gateway has not taken. */
  get #unsentBytes(): number {
    return this.#request?.writableLength ?? 0;
  }

  #consumed(bytes: number): void {
    if (this.#isOver) return;
    this.#in.consumed(bytes);
  }

  #done(): void {
    this.#isOver = true;
    this.#out.stop();
    this.#in.stop();
    // An answer before the upload's end: the connection waits for the rest, which nobody sends any more.
    if (this.#request?.writableEnded === false) this.#request.destroy();
    this.#parts.forget();
  }

  end(code: number, reason: string, tell: boolean): void {
    if (this.#isOver) return;
    this.#done();
    if (tell) this.#parts.sendFrame(FRAME_RESET, 0, this.#parts.id, encodeClose(code, reason));
    this.#request?.destroy();
    this.#response?.destroy();
  }

  remind(): void {
    if (!this.#isOver) this.#in.remind();
  }

  tick(): void {
    this.#out.tick();
    if (!this.#isOver && this.#drain.look(this.#unsentBytes, this.#parts.now()) === "still")
      this.end(CLOSE_TOO_SLOW, brokenAt("connector-gateway", "gateway too slow"), true);
    else if (!this.#isOver && this.#isBodyMissing) this.end(CLOSE_TOO_SLOW, brokenAt("device-room", BODY_MISSING), true);
  }

  /** Nothing of an announced body comes although the room could send it, and the gateway waits for it (PROTOCOL.md IS3). */
  get #isBodyMissing(): boolean {
    const { now } = this.#parts;
    if (this.#isBodyOver || this.#response !== null || this.#unsentBytes > 0) return false;
    return this.#in.openBytes >= MAX_FRAME_PAYLOAD_BYTES && now() - this.#bodyMovedAtMs >= BODY_SILENCE_MS;
  }
}

function* bodyPieces(chunk: Buffer): Generator<Piece> {
  for (let at = 0; at < chunk.byteLength; at += MAX_FRAME_PAYLOAD_BYTES)
    yield { payload: chunk.subarray(at, at + MAX_FRAME_PAYLOAD_BYTES), flags: 0 };
}
