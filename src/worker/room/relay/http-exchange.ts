/** One relayed HTTP exchange in the room: both bodies streamed, never held whole (PROTOCOL.md ST4). */
import { brokenAt, encodeClose, legOf } from "../../../core/link/close-code.ts";
import { ReceiveOrder, SendOrder } from "../../../core/link/frame-order.ts";
import { pageAnswer } from "../../../core/http/page-answer.ts";
import { ReceiveCredit, SendCredit } from "../../../core/link/stream-credit.ts";
import { CLOSE_GATEWAY_GONE, CLOSE_PROTOCOL, CLOSE_SESSION_OVER, CLOSE_TOO_SLOW } from "../../../protocol/close-codes.ts";
import { FLAG_SPLIT, FRAME_CREDIT, FRAME_END, FRAME_PROBE, FRAME_RESET, NO_PLACE, decodeU32, encodeU32 } from "../../../protocol/frame.ts";
import type { Frame } from "../../../protocol/frame.ts";
import type { StreamOpened } from "../../../protocol/link-messages.ts";
import { MAX_FRAME_PAYLOAD_BYTES } from "../../../protocol/limits.ts";
import type { AdmittedSession } from "../ports.ts";
import { CLOSE_ABORTED, refusalForClose } from "../refusals.ts";
import type { StreamHost } from "./ws-stream.ts";

const EMPTY_STATUS = new Set([204, 205, 304]);

/** Of the visitor's request, what the answer depends on. */
export interface Requested {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
}

export class HttpExchange {
  readonly id: number;
  readonly session: AdmittedSession;
  readonly #host: StreamHost;
  readonly #upstream = new SendCredit();
  readonly #downstream = new ReceiveCredit();
  readonly #sent = new SendOrder();
  readonly #received = new ReceiveOrder();
  readonly #answer: (response: Response) => void;
  readonly #request: Requested;
  #writer: WritableStreamDefaultWriter<Uint8Array> | null = null;
  /** Wakes the request body's pump after a grant, or with false when the exchange is over. */
  #onCredit: ((go: boolean) => void) | null = null;
  /** The last grant said that the line is slow: what there is credit for leaves, and not only whole pieces. */
  #isSplitting = false;
  #isOver = false;
  #isAnswered = false;
  /** When a byte of either body last moved, or the answer came. */
  #movedAtMs: number;
  /** Body that the visitor has not taken yet. */
  #unwrittenBytes = 0;

  constructor(id: number, session: AdmittedSession, request: Requested, host: StreamHost, answer: (response: Response) => void) {
    this.id = id;
    this.session = session;
    this.#request = request;
    this.#host = host;
    this.#answer = answer;
    this.#movedAtMs = host.nowMs();
  }

  get movedAtMs(): number {
    return this.#movedAtMs;
  }

  get heldBytes(): number {
    return this.#unwrittenBytes;
  }

  /** Sends the request body with credit, then END. Never rejects. */
  async pump(body: ReadableStream<Uint8Array> | null): Promise<void> {
    const reader = body?.getReader();
    try {
      for (;;) {
        const part = reader === undefined ? { done: true as const, value: undefined } : await reader.read();
        if (this.#isOver) break;
        if (!this.#mayCross()) return;
        if (part.done) {
          this.#host.sendFrame(FRAME_END, 0, this.id, undefined, this.#sent);
          return;
        }
        this.#movedAtMs = this.#host.nowMs();
        for (let at = 0; at < part.value.byteLength;) {
          let payload = part.value.subarray(at, at + MAX_FRAME_PAYLOAD_BYTES);
          while (!this.#upstream.spend(payload.byteLength)) {
            if (!(await this.#credit())) return;
            if (this.#isSplitting && this.#upstream.left > 0) payload = payload.subarray(0, this.#upstream.left);
          }
          at += payload.byteLength;
          this.#host.sendData(this.id, [{ payload, flags: 0 }], this.#downstream, this.#sent);
        }
      }
    } catch {
      this.visitorLeft();
    } finally {
      if (this.#isOver) await reader?.cancel().catch(() => undefined);
    }
  }

  /** First for every frame of the connector. @returns false when frames before it are missing, or it came before: that ended the exchange (PROTOCOL.md FR6) */
  isInOrder(frame: Frame): boolean {
    const wrong = this.#received.take(frame);
    if (wrong !== null) this.reset(CLOSE_GATEWAY_GONE, brokenAt("room-connector", wrong));
    return wrong === null;
  }

  /** OPENED: answers the visitor with status and headers; the body follows. */
  opened(opened: StreamOpened): void {
    // A second answer, or a switch of protocols that nobody asked for.
    if (this.#isAnswered || opened.status === 101) return this.reset(CLOSE_PROTOCOL, brokenAt("room-connector", "unexpected answer"));
    const headers = new Headers();
    for (const [name, value] of pageAnswer(opened.headers, this.#request.path)) appendQuietly(headers, name, value);
    this.#isAnswered = true;
    this.#movedAtMs = this.#host.nowMs();
    if (EMPTY_STATUS.has(opened.status) || this.#request.method === "HEAD") {
      this.#answer(new Response(null, { status: opened.status, headers }));
      return;
    }
    const length = headers.get("content-length") ?? "";
    // With a known length the visitor sees Content-Length, and a body that breaks off is an error, not an end.
    const { readable, writable } = /^\d{1,15}$/.test(length) ? new FixedLengthStream(Number(length)) : new IdentityTransformStream();
    this.#writer = writable.getWriter();
    // The visitor leaving shows here first when no write is under way.
    this.#writer.closed.catch(() => this.visitorLeft());
    // `manual`: the gateway's own content-encoding passes as it is.
    this.#answer(new Response(readable, { status: opened.status, headers, encodeBody: "manual" }));
  }

  fromGateway(frame: Frame): void {
    if (!this.#downstream.receive(frame.payload.byteLength))
      return this.reset(CLOSE_TOO_SLOW, brokenAt("room-connector", "more than granted"));
    this.#movedAtMs = this.#host.nowMs();
    const writer = this.#writer;
    const bytes = frame.payload.byteLength;
    if (!this.#isAnswered) return this.reset(CLOSE_PROTOCOL, brokenAt("room-connector", "body before answer"));
    // An answer without a body (HEAD, 304): what comes anyway is dropped.
    if (writer === null || bytes === 0) return this.#grant(bytes);
    this.#unwrittenBytes += bytes;
    writer.write(frame.payload).then(
      () => {
        this.#unwrittenBytes -= bytes;
        this.#grant(bytes);
      },
      () => this.visitorLeft(),
    );
  }

  /** END of the gateway: the answer is whole. */
  ended(): void {
    if (!this.#isAnswered) return this.reset(CLOSE_PROTOCOL, brokenAt("room-connector", "end before answer"));
    this.#over();
    this.#writer?.close().catch(() => undefined);
  }

  granted(frame: Frame): void {
    const bytes = decodeU32(frame.payload);
    if (bytes === null) return this.reset(CLOSE_PROTOCOL, brokenAt("room-connector", "bad credit"));
    this.#upstream.grant(bytes);
    this.#isSplitting = (frame.flags & FLAG_SPLIT) !== 0;
    this.#wake(true);
  }

  probed(frame: Frame): void {
    // Bytes that the visitor has not read are still in `write`; only a sender that lost count gets more.
    const left = decodeU32(frame.payload);
    if (left === null) return this.reset(CLOSE_PROTOCOL, brokenAt("room-connector", "bad probe"));
    if (this.#unwrittenBytes > 0) return;
    const grant = this.#downstream.creditForProbe(left, frame.place !== NO_PLACE);
    if (grant !== null) this.#host.sendFrame(FRAME_CREDIT, 0, this.id, encodeU32(grant), this.#sent);
  }

  /** The connector, the link or a guard ended it. The visitor sees an error status, or a body that breaks off. */
  abort(response: Response): void {
    if (this.#isOver) return;
    this.#over();
    if (!this.#isAnswered) this.#answer(response);
    else this.#writer?.abort(brokenOff()).catch(() => undefined);
  }

  /** Nobody waits for the answer any more: the gateway need not go on (PROTOCOL.md IS6). */
  visitorLeft(): void {
    this.reset(CLOSE_ABORTED, "visitor went away");
  }

  /** The room holds too much, and most of it is this answer, which its visitor does not take (PROTOCOL.md CR6). */
  overflow(): void {
    this.reset(CLOSE_TOO_SLOW, brokenAt("device-room", "too slow"));
  }

  /** Ends it towards the connector as well. */
  reset(code: number, reason: string): void {
    if (this.#isOver) return;
    this.broke(code, reason);
    this.#host.sendFrame(FRAME_RESET, 0, this.id, encodeClose(code, reason));
    this.abort(refusalForClose(code, reason));
  }

  /** For the audit, when the reason names a leg; a visitor that went away is no break: pages do that all the time. */
  broke(code: number, reason: string): void {
    const leg = legOf(reason);
    if (leg !== null) this.#host.broke({ leg, code, reason, device: this.session.device });
  }

  #grant(bytes: number): void {
    if (this.#isOver) return;
    const grant = this.#downstream.consume(bytes);
    if (grant > 0) this.#host.sendFrame(FRAME_CREDIT, 0, this.id, encodeU32(grant), this.#sent);
  }

  /** The visitor goes on sending when its session is over, and the alarm that ends it may be late (PROTOCOL.md ST7). */
  #mayCross(): boolean {
    if (this.session.expiresAtMs > this.#host.nowMs()) return true;
    this.reset(CLOSE_SESSION_OVER, "session over");
    return false;
  }

  #credit(): Promise<boolean> {
    if (this.#isOver) return Promise.resolve(false);
    if (this.#upstream.blocked(this.#host.nowMs()) === "probe") {
      this.#host.sendFrame(FRAME_PROBE, 0, this.id, encodeU32(this.#upstream.probeValue()), this.#sent);
    }
    return new Promise((resolve) => {
      this.#onCredit = resolve;
    });
  }

  #wake(go: boolean): void {
    const wake = this.#onCredit;
    this.#onCredit = null;
    wake?.(go);
  }

  #over(): void {
    this.#isOver = true;
    this.#wake(false);
    this.#host.forget(this.id);
  }
}

/**
 * Why a body breaks off. Nothing awaits it: the runtime reports a response body that fails for any other reason than a lost connection as an
 * uncaught error of this object, and it is `retryable` that makes one (workerd, jsg/util: createTunneledException).
 */
function brokenOff(): Error {
  return Object.assign(new Error("ended"), { retryable: true });
}

/** A field that the platform cannot write is left out: one odd header of a plugin must not cost the whole answer. */
function appendQuietly(headers: Headers, name: string, value: string): void {
  try {
    headers.append(name, value);
  } catch {
    // Not a header field.
  }
}
