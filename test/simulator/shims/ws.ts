/** `ws` as the connector uses it, over virtual connections. */
import { EventEmitter } from "node:events";
import { sizeOf } from "../network.ts";
import type { Data, Endpoint } from "../network.ts";
import { route } from "../route.ts";
import { sim } from "../sim.ts";

type SendCallback = (error?: Error) => void;

export class WebSocket extends EventEmitter {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;

  binaryType = "nodebuffer";
  protocol = "";
  #state = WebSocket.CONNECTING;
  #endpoint: Endpoint | null = null;
  readonly #actor = sim.scheduler.actor;
  #isEmitted = false;

  constructor(
    url: string,
    protocols?: readonly string[] | object,
    options?: { headers?: Record<string, string>; handshakeTimeout?: number },
  ) {
    super();
    const given = options ?? (protocols as { headers?: Record<string, string>; handshakeTimeout?: number } | undefined) ?? {};
    const { scheduler } = sim;
    if (given.handshakeTimeout !== undefined)
      scheduler.after(given.handshakeTimeout, () => {
        if (this.#state !== WebSocket.CONNECTING) return;
        this.emit("error", new Error("Opening handshake has timed out"));
        this.#close(1006, "");
      });
    route().dial(url, given.headers ?? {}, this.#actor, (answer) => {
      if (this.#state !== WebSocket.CONNECTING) {
        if ("endpoint" in answer) answer.endpoint.destroy();
        return;
      }
      if ("error" in answer) {
        this.emit("error", Object.assign(new Error(answer.error), { code: answer.error }));
        this.#close(1006, "");
      } else if ("status" in answer) {
        this.emit("unexpected-response", {}, answer.response);
      } else if (answer.endpoint.state === "closed") {
        // Gone again before its answer was read.
        this.emit("error", new Error("socket hang up"));
        this.#close(1006, "");
      } else this.#open(answer.endpoint);
    });
  }

  get readyState(): number {
    return this.#state;
  }

  get bufferedAmount(): number {
    return this.#endpoint?.bufferedBytes ?? 0;
  }

  send(data: Data | Buffer, options?: object | SendCallback, callback?: SendCallback): void {
    if (this.#state === WebSocket.CONNECTING) throw new Error("WebSocket is not open: readyState 0 (CONNECTING)");
    const done = typeof options === "function" ? (options as SendCallback) : callback;
    if (this.#state !== WebSocket.OPEN || this.#endpoint === null) {
      if (done !== undefined) sim.scheduler.after(0, () => done(new Error("WebSocket is not open")), this.#actor);
      return;
    }
    const { isBinary } = { isBinary: (options as { binary?: boolean } | undefined)?.binary ?? typeof data !== "string" };
    const endpoint = this.#endpoint;
    const wire = asOlder(isBinary || typeof data === "string" ? (data as Data) : Buffer.from(data as Uint8Array).toString("utf8"));
    route().connectorSends(this, wire);
    endpoint.send(wire);
    if (done !== undefined) this.#whenSent(endpoint, sizeOf(wire), done);
  }

  /** The callback comes when the kernel took it: at once while the other end reads. */
  #whenSent(endpoint: Endpoint, _bytes: number, done: SendCallback): void {
    const look = (): void => {
      if (this.#state === WebSocket.CLOSED) done(new Error("closed"));
      else if (endpoint.bufferedBytes <= 64 * 1024) done();
      else sim.scheduler.after(20, look, this.#actor);
    };
    sim.scheduler.after(0, look, this.#actor);
  }

  close(code?: number, reason = ""): void {
    if (code !== undefined && !(code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) && !(code >= 3000 && code <= 4999))
      throw new TypeError("First argument must be a valid error code number");
    if (Buffer.byteLength(reason) > 123) throw new RangeError("The message must not be greater than 123 bytes");
    if (this.#state === WebSocket.CONNECTING) {
      this.emit("error", new Error("WebSocket was closed before the connection was established"));
      return this.#close(1006, "");
    }
    if (this.#state !== WebSocket.OPEN) return;
    this.#state = WebSocket.CLOSING;
    this.#endpoint?.close(code ?? 1005, reason);
  }

  terminate(): void {
    if (this.#state === WebSocket.CLOSED) return;
    if (this.#endpoint === null) return this.#close(1006, "");
    this.#state = WebSocket.CLOSING;
    this.#endpoint.destroy();
  }

  get isPaused(): boolean {
    return this.#endpoint?.isFrozen ?? false;
  }

  pause(): void {
    if (this.#state === WebSocket.OPEN || this.#state === WebSocket.CLOSING) this.#endpoint?.pause();
  }

  resume(): void {
    if (this.#state === WebSocket.OPEN || this.#state === WebSocket.CLOSING) this.#endpoint?.resume();
  }

  get endpoint(): Endpoint | null {
    return this.#endpoint;
  }

  #open(endpoint: Endpoint): void {
    this.#state = WebSocket.OPEN;
    this.#endpoint = endpoint;
    endpoint.owner = this.#actor;
    endpoint.events = {
      message: (data) => {
        if (typeof data !== "string") this.emit("message", Buffer.from(data.buffer, data.byteOffset, data.byteLength), true);
        else this.emit("message", Buffer.from(asOlder(data) as string), false);
      },
      closed: (code, reason) => this.#close(code, reason),
    };
    this.emit("open");
  }

  #close(code: number, reason: string): void {
    this.#state = WebSocket.CLOSED;
    if (this.#isEmitted) return;
    this.#isEmitted = true;
    sim.scheduler.after(0, () => this.emit("close", code, Buffer.from(reason)), this.#actor);
  }
}

/** Without what an older end does not say (PROTOCOL.md FR5, FR6), in the runs that have one. */
function asOlder(data: Data): Data {
  if ((sim.hasBatches && sim.hasPlaces) || typeof data !== "string" || !/^\{"type":"(?:hello|welcome)"/.test(data)) return data;
  const message = JSON.parse(data) as { batch?: boolean; places?: boolean };
  if (!sim.hasBatches) delete message.batch;
  if (!sim.hasPlaces) delete message.places;
  return JSON.stringify(message);
}
