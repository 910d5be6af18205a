/** A hibernatable WebSocket as a Durable Object has it: refuses what the platform refuses, sends nothing before the object's writes are on disk. */
import { Endpoint, sizeOf } from "./network.ts";
import type { Data } from "./network.ts";
import type { RoomInstance } from "./room-instance.ts";
import { sim } from "./sim.ts";

/** Who watches what leaves a room. */
export interface RoomTaps {
  roomSends(socket: WorkerSocket, data: Data): void;
  roomCloses(socket: WorkerSocket, code: number, reason: string): void;
  roomReceives(socket: WorkerSocket, data: Data): void;
}

const MAX_ATTACHMENT_BYTES = 16_384;

export class WorkerSocket {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;

  /** Set when the socket is accepted; another one after every wake. */
  instance: RoomInstance | null = null;
  endpoint: Endpoint;
  tags: readonly string[] = [];
  autoAnsweredAtMs: number | null = null;
  #attachment: string | null = null;
  /** The same for everybody who asks: whoever changes it is told. */
  #read: unknown = null;
  #gatedBytes = 0;
  #isClosed = false;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
    endpoint.repliesToClose = false;
  }

  get readyState(): number {
    const { state } = this.endpoint;
    if (state === "closed") return WorkerSocket.CLOSED;
    return this.#isClosed || state !== "open" ? WorkerSocket.CLOSING : WorkerSocket.OPEN;
  }

  get bufferedAmount(): number {
    return this.#gatedBytes + this.endpoint.bufferedBytes;
  }

  send(data: Data): void {
    if (this.#isClosed) throw new TypeError("Can't call WebSocket send() after close().");
    const { instance } = this;
    if (instance === null) throw new TypeError("You must accept() the socket first.");
    if (instance.isBroken) return;
    const bytes = sizeOf(data);
    instance.host.taps.roomSends(this, data);
    this.#gatedBytes += bytes;
    instance.output(() => {
      this.#gatedBytes -= bytes;
      this.endpoint.send(data);
    });
  }

  close(code?: number, reason = ""): void {
    if (code !== undefined && (code < 1000 || code > 4999 || [1004, 1005, 1006, 1015].includes(code)))
      throw new DOMException(`Invalid WebSocket close code: ${code}.`, "InvalidAccessError");
    if (Buffer.byteLength(reason) > 123) throw new SyntaxError("WebSocket close reason must not be longer than 123 bytes.");
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.instance?.host.taps.roomCloses(this, code ?? 1005, reason);
    const closing = (): void => this.endpoint.close(code ?? 1005, reason);
    if (this.instance === null) closing();
    else this.instance.output(closing);
  }

  serializeAttachment(value: unknown): void {
    const text = JSON.stringify(value);
    if (text.length > MAX_ATTACHMENT_BYTES) throw new Error("serializeAttachment: the value is too large");
    this.#attachment = text;
    this.#read = null;
  }

  deserializeAttachment(): unknown {
    if (this.#attachment === null) return null;
    this.#read ??= frozen(JSON.parse(this.#attachment));
    return this.#read;
  }
}

function frozen(value: unknown): unknown {
  if (typeof value === "object" && value !== null) for (const each of Object.values(Object.freeze(value))) frozen(each);
  return value;
}

/** The client's end is handed out as it is: whoever dialled gets it. */
export class WorkerSocketPair {
  readonly 0: Endpoint;
  readonly 1: WorkerSocket;

  constructor() {
    const { scheduler, timing } = sim;
    const [client, server] = Endpoint.pair("room", scheduler.world, scheduler.actor, timing.int(1, 25));
    // What the room sends at once must find somebody who listens.
    client.pause();
    this[0] = client;
    this[1] = new WorkerSocket(server);
  }
}
