/** Virtual connections: two ends that speak WebSocket messages over ordered pipes which can be slow, frozen, cut, or dead without saying so. */
import { sim } from "./sim.ts";
import type { Actor } from "./scheduler.ts";

export type Data = string | Uint8Array<ArrayBuffer>;
type Item = { readonly is: "message"; readonly data: Data } | { readonly is: "close"; readonly code: number; readonly reason: string };

const CLOSE_WAIT_MS = 10_000;

/** @returns bytes on the wire */
export function sizeOf(data: Data): number {
  if (typeof data !== "string") return data.byteLength;
  if (data.length < LONG_TEXT_CHARS) return Buffer.byteLength(data);
  let known = weights.find(({ text }) => text === data);
  if (known === undefined) {
    known = { text: data, bytes: Buffer.byteLength(data) };
    keep(known);
  }
  return known.bytes;
}

/** Says how many bytes a text has: the same one is asked about at every place that it passes. */
export function weighed(text: string, bytes: number): void {
  if (text.length >= LONG_TEXT_CHARS) keep({ text, bytes });
}

const LONG_TEXT_CHARS = 512;
const MAX_WEIGHTS = 8;
const weights: { readonly text: string; readonly bytes: number }[] = [];

function keep(weight: (typeof weights)[number]): void {
  weights.unshift(weight);
  if (weights.length > MAX_WEIGHTS) weights.pop();
}

/** One direction. What is put in comes out in order, later, or never. */
class Pipe {
  readonly #queue: { readonly item: Item; readonly bytes: number }[] = [];
  readonly #deliver: (item: Item) => void;
  readonly #owner: () => Actor;
  #isSending = false;
  #lastArrivalMs = 0;
  /** Bytes a millisecond; without one as much as there is. */
  rate = Number.POSITIVE_INFINITY;
  isFrozen = false;
  /** What goes in is lost, and nobody hears of it. */
  isHole = false;
  extraMs = 0;
  readonly latencyMs: number;
  queuedBytes = 0;

  constructor(latencyMs: number, owner: () => Actor, deliver: (item: Item) => void) {
    this.latencyMs = latencyMs;
    this.#owner = owner;
    this.#deliver = deliver;
  }

  put(item: Item): void {
    const bytes = item.is === "message" ? sizeOf(item.data) : 0;
    this.#queue.push({ item, bytes });
    this.queuedBytes += bytes;
    this.pump();
  }

  clear(): void {
    this.#queue.length = 0;
    this.queuedBytes = 0;
  }

  pump(): void {
    while (!this.#isSending && !this.isFrozen && !this.isHole) {
      const head = this.#queue[0];
      if (head === undefined) return;
      if (head.bytes === 0 || this.rate === Number.POSITIVE_INFINITY) {
        this.#sent();
        continue;
      }
      this.#isSending = true;
      sim.scheduler.after(
        head.bytes / this.rate,
        () => {
          this.#isSending = false;
          if (this.#queue[0] === head && !this.isFrozen && !this.isHole) this.#sent();
          this.pump();
        },
        sim.scheduler.world,
      );
    }
  }

  #sent(): void {
    const sent = this.#queue.shift();
    if (sent === undefined) return;
    this.queuedBytes -= sent.bytes;
    const { scheduler, timing } = sim;
    const arrivalMs = Math.max(
      this.#lastArrivalMs,
      scheduler.nowMs + this.latencyMs + this.extraMs + (timing.chance(0.2) ? timing.int(0, 8) : 0),
    );
    this.#lastArrivalMs = arrivalMs;
    scheduler.after(
      arrivalMs - scheduler.nowMs,
      () => {
        if (!this.isHole) this.#deliver(sent.item);
      },
      this.#owner,
    );
  }
}

export interface EndpointEvents {
  message(data: Data): void;
  /** The other end closed or is gone. `wasClean` false: nobody said so. */
  closed(code: number, reason: string, wasClean: boolean): void;
}

/** One end of a connection. */
export class Endpoint {
  readonly name: string;
  events: EndpointEvents = { message: () => undefined, closed: () => undefined };
  /** Answers a close by itself, as browsers and Node's `ws` do; an object's hibernating socket does not. */
  repliesToClose = true;
  owner: Actor;
  state: "open" | "closing" | "peer-closed" | "closed" = "open";
  #peer: Endpoint | null = null;
  #pipe: Pipe | null = null;
  #held: Item[] = [];
  #isPaused = false;
  /** This end said close first. */
  hasBegunClose = false;

  private constructor(name: string, owner: Actor) {
    this.name = name;
    this.owner = owner;
  }

  /** @returns two connected ends */
  static pair(name: string, a: Actor, b: Actor, latencyMs: number): [Endpoint, Endpoint] {
    const [left, right] = [new Endpoint(`${name}<`, a), new Endpoint(`${name}>`, b)];
    left.#peer = right;
    right.#peer = left;
    left.#pipe = new Pipe(
      latencyMs,
      () => right.owner,
      (item) => right.#arrived(item),
    );
    right.#pipe = new Pipe(
      latencyMs,
      () => left.owner,
      (item) => left.#arrived(item),
    );
    return [left, right];
  }

  /** The direction that leaves this end. */
  get out(): Pipe {
    if (this.#pipe === null) throw new Error("not connected");
    return this.#pipe;
  }

  get peer(): Endpoint {
    if (this.#peer === null) throw new Error("not connected");
    return this.#peer;
  }

  get bufferedBytes(): number {
    return this.out.queuedBytes;
  }

  send(data: Data): void {
    if (this.state === "open" || this.state === "peer-closed") this.out.put({ is: "message", data });
  }

  close(code: number, reason: string): void {
    if (this.state === "closing" || this.state === "closed") return;
    this.out.put({ is: "close", code, reason });
    if (this.state === "peer-closed") {
      this.state = "closed";
      return;
    }
    this.state = "closing";
    this.hasBegunClose = true;
    if (!this.repliesToClose) return;
    sim.scheduler.after(
      CLOSE_WAIT_MS,
      () => {
        if (this.state === "closing") this.destroy();
      },
      this.owner,
    );
  }

  /** This end is gone at once; the other hears of it when the network tells, if it does. */
  destroy(): void {
    if (this.state === "closed") return;
    const wasOpen = this.state !== "peer-closed";
    this.state = "closed";
    this.out.clear();
    const { peer } = this;
    if (!this.out.isHole)
      sim.scheduler.after(
        this.out.latencyMs,
        () => peer.lost(1006),
        () => peer.owner,
      );
    if (wasOpen) sim.scheduler.after(0, () => this.events.closed(1006, "", false), this.owner);
  }

  /** The network says that the connection is gone. */
  lost(code: number): void {
    if (this.state === "closed") return;
    const wasOver = this.state === "peer-closed";
    this.state = "closed";
    this.out.clear();
    if (!wasOver) this.events.closed(code, "", false);
  }

  /** Both ends hear that the connection broke. */
  cut(): void {
    const { peer } = this;
    sim.scheduler.after(0, () => this.lost(1006), this.owner);
    sim.scheduler.after(
      0,
      () => peer.lost(1006),
      () => peer.owner,
    );
  }

  get isFrozen(): boolean {
    return this.#isPaused;
  }

  pause(): void {
    this.#isPaused = true;
    this.peer.out.isFrozen = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.peer.out.isFrozen = false;
    const { peer } = this;
    sim.scheduler.after(
      0,
      () => {
        while (!this.#isPaused && this.#held.length > 0) this.#take(this.#held.shift() as Item);
        peer.out.pump();
      },
      this.owner,
    );
  }

  #arrived(item: Item): void {
    if (this.state === "closed" || this.state === "peer-closed") return;
    if (this.#isPaused || this.#held.length > 0) this.#held.push(item);
    else this.#take(item);
  }

  #take(item: Item): void {
    if (this.state === "closed" || this.state === "peer-closed") return;
    if (item.is === "message") return this.events.message(item.data);
    const wasClosing = this.state === "closing";
    this.state = "peer-closed";
    if (wasClosing) this.state = "closed";
    else if (this.repliesToClose) this.close(item.code === 1005 ? 1000 : item.code, item.reason);
    this.events.closed(item.code, item.reason, true);
  }
}
