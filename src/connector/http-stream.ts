/** One HTTP exchange: frames of the room on one side, a request to the gateway's port on the other. Bodies are never held whole. */
import http from "node:http";
import { encodeClose } from "../core/close-code.ts";
import { fromGateway } from "../core/header-filter.ts";
import type { Piece } from "../core/message-frames.ts";
import { ReceiveCredit } from "../core/stream-credit.ts";
import { CLOSE_GATEWAY_GONE, CLOSE_PROTOCOL, CLOSE_TOO_SLOW } from "../protocol/close-codes.ts";
import {
  FRAME_CREDIT,
  FRAME_DATA,
  FRAME_END,
  FRAME_OPENED,
  FRAME_PROBE,
  FRAME_RESET,
  decodeU32,
  encodeFrame,
  encodeU32,
} from "../protocol/frame.ts";
import type { Frame } from "../protocol/frame.ts";
import { MAX_FRAME_PAYLOAD_BYTES } from "../protocol/limits.ts";
import { utf8 } from "../protocol/statement-encoding.ts";
import { Outgoing } from "./outgoing.ts";
import { PAUSE_ABOVE_BYTES, headerPairs } from "./stream.ts";
import type { Stream, StreamParts } from "./stream.ts";

export class HttpStream implements Stream {
  readonly device: string;
  readonly expiresAtMs: number;
  readonly #parts: StreamParts;
  readonly #out: Outgoing;
  readonly #receive = new ReceiveCredit();
  readonly #request: http.ClientRequest;
  #response: http.IncomingMessage | null = null;
  #isOver = false;

  constructor(parts: StreamParts & { readonly agent: http.Agent }) {
    this.#parts = parts;
    this.device = parts.open.device;
    this.expiresAtMs = parts.expiresAtMs;
    this.#out = new Outgoing(
      { ...parts, forget: () => this.#done() },
      () => this.#response?.resume(),
      () => this.end(CLOSE_TOO_SLOW, "too slow", true),
    );
    const { open, headers, target, agent } = parts;
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
    const { id, sendFrame } = this.#parts;
    const headers = fromGateway(headerPairs(response.rawHeaders));
    sendFrame(encodeFrame(FRAME_OPENED, 0, id, utf8(JSON.stringify({ status: response.statusCode ?? 502, headers }))));
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
    this.#parts.sendFrame(encodeFrame(FRAME_CREDIT, 0, this.#parts.id, encodeU32(bytes)));
  }

  #done(): void {
    this.#isOver = true;
    this.#parts.forget();
  }

  end(code: number, reason: string, tell: boolean): void {
    if (this.#isOver) return;
    this.#done();
    if (tell) this.#parts.sendFrame(encodeFrame(FRAME_RESET, 0, this.#parts.id, encodeClose(code, reason)));
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
