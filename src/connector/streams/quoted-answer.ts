/** A gateway's HTTP answer to an upgrade that it refused, passed on as it is (PROTOCOL.md ST3, IS10). */
import type http from "node:http";
import { brokenAt, encodeClose } from "../../core/link/close-code.ts";
import { CLOSE_GATEWAY_GONE, HEAD_TOO_LARGE } from "../../protocol/close-codes.ts";
import { FRAME_DATA, FRAME_END, FRAME_OPENED, FRAME_RESET } from "../../protocol/frame.ts";
import type { FrameType } from "../../protocol/frame.ts";
import { MAX_FRAME_PAYLOAD_BYTES, QUOTE_TIMEOUT_MS } from "../../protocol/limits.ts";
import { answerHead } from "./answer-head.ts";
import type { StreamParts } from "./stream.ts";

/** As much of a refusal's body as one frame holds: no page of ours reads more of it. */
const MAX_QUOTED_BYTES = MAX_FRAME_PAYLOAD_BYTES;

export class QuotedAnswer {
  readonly #response: http.IncomingMessage;
  readonly #parts: StreamParts;
  readonly #timer: NodeJS.Timeout;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #isOver = false;

  constructor(response: http.IncomingMessage, parts: StreamParts) {
    this.#response = response;
    this.#parts = parts;
    this.#timer = setTimeout(() => this.#brokeOff(), QUOTE_TIMEOUT_MS);
    const isCut = Number(response.headers["content-length"] ?? 0) > MAX_QUOTED_BYTES;
    const head = answerHead(response, isCut ? ["content-length"] : []);
    if (head === null) {
      this.#over(FRAME_RESET, encodeClose(CLOSE_GATEWAY_GONE, brokenAt("connector-gateway", HEAD_TOO_LARGE)));
      return;
    }
    parts.sendFrame(FRAME_OPENED, 0, parts.id, head);
    response.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#bytes += chunk.byteLength;
      if (this.#bytes >= MAX_QUOTED_BYTES) this.#whole();
    });
    response.on("end", () => this.#whole());
    for (const event of ["aborted", "error", "close"]) response.on(event, () => this.#brokeOff());
  }

  /** The room is done with the stream: nothing more is sent. */
  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#response.destroy();
  }

  #whole(): void {
    if (this.#isOver) return;
    const body = Buffer.concat(this.#chunks).subarray(0, MAX_QUOTED_BYTES);
    if (body.byteLength > 0) this.#parts.sendFrame(FRAME_DATA, 0, this.#parts.id, body);
    this.#over(FRAME_END);
  }

  #brokeOff(): void {
    if (!this.#isOver) this.#over(FRAME_RESET, encodeClose(CLOSE_GATEWAY_GONE, brokenAt("connector-gateway", "gateway broke off")));
  }

  #over(type: FrameType, payload?: Uint8Array): void {
    const { id, sendFrame, forget } = this.#parts;
    this.stop();
    sendFrame(type, 0, id, payload);
    forget();
  }
}
