/** One HTTP exchange: frames of the room on one side, a request to the gateway's port on the other. Bodies are never held whole. */
import type http from "node:http";
import { brokenAt, encodeClose } from "../core/close-code.ts";
import { fromGateway } from "../core/header-filter.ts";
import type { Piece } from "../core/message-frames.ts";
import { ReceiveOrder } from "../core/frame-order.ts";
import { DrainWatch } from "../core/drain-watch.ts";
import { CLOSE_GATEWAY_GONE, CLOSE_PROTOCOL, CLOSE_TOO_SLOW } from "../protocol/close-codes.ts";
import { FRAME_CREDIT, FRAME_DATA, FRAME_END, FRAME_OPENED, FRAME_PROBE, FRAME_RESET, decodeU32 } from "../protocol/frame.ts";
import type { Frame } from "../protocol/frame.ts";
import { GATEWAY_STILL_MS_PER_STEP, MAX_FRAME_PAYLOAD_BYTES } from "../protocol/limits.ts";
import { utf8 } from "../protocol/statement-encoding.ts";
import { Incoming } from "./incoming.ts";
import { requestGateway } from "./openclaw/dial.ts";
import { Outgoing } from "./outgoing.ts";
import { PAUSE_ABOVE_BYTES, headerPairs } from "./stream.ts";
import type { Stream, StreamParts } from "./stream.ts";

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

  constructor(parts: StreamParts & { readonly agent: http.Agent }) {
    this.#parts = parts;
    this.device = parts.open.device;
    this.expiresAtMs = parts.expiresAtMs;
    const length = parts.headers["content-length"];
    this.#bodyLeft = !parts.open.hasBody ? 0 : length === undefined ? Infinity : Number(length);
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
        agent,
        setHost: false,
      });
    } catch {
      // A method or a header field that cannot be written: the library throws, and the other streams go on.
      return this.end(CLOSE_PROTOCOL, brokenAt("room-connector", "bad open"), true);
    }
    this.#request = request;
    request.on("response", (response) => this.#answered(response));
    request.on("upgrade", (_response, socket) => {
      socket.destroy();
      this.end(CLOSE_PROTOCOL, brokenAt("connector-gateway", "unexpected upgrade"), true);
    });
    request.on("error", () => this.end(CLOSE_GATEWAY_GONE, brokenAt("connector-gateway", "gateway did not answer"), true));
    if (!open.hasBody) request.end();
  }

  #answered(response: http.IncomingMessage): void {
    if (this.#isOver) return void response.destroy();
    this.#response = response;
    const { id, sendFrame } = this.#parts;
    const headers = fromGateway(headerPairs(response.rawHeaders));
    sendFrame(FRAME_OPENED, 0, id, utf8(JSON.stringify({ status: response.statusCode ?? 502, headers })));
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
        this.#bodyLeft -= bytes;
        if (this.#bodyLeft < 0) return this.end(CLOSE_PROTOCOL, brokenAt("device-room", "body longer than stated"), true);
        this.#request?.write(frame.payload, () => this.#consumed(bytes));
        this.#drain.wrote(bytes, this.#unsentBytes);
        return;
      }
      case FRAME_END:
        if (this.#bodyLeft > 0 && this.#bodyLeft < Infinity)
          return this.end(CLOSE_PROTOCOL, brokenAt("device-room", "body shorter than stated"), true);
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
  }
}

function* bodyPieces(chunk: Buffer): Generator<Piece> {
  for (let at = 0; at < chunk.byteLength; at += MAX_FRAME_PAYLOAD_BYTES)
    yield { payload: chunk.subarray(at, at + MAX_FRAME_PAYLOAD_BYTES), flags: 0 };
}
