/** The waiting page's connection to the room: dials again by itself after sleep and lost networks. */
import type { ToDoor } from "../protocol/door-messages.ts";
import { DOOR_PING_MS } from "../protocol/limits.ts";
import { DOOR_PREFIX, ROOM_PING, ROOM_PONG } from "../protocol/words.ts";

/** After waking up, a connection that says nothing for this long is dead, whatever the browser believes. */
const WAKE_ANSWER_MS = 4_000;
const SLOWEST_DIAL_MS = 15_000;

export interface WaitLineEvents {
  message(message: ToDoor): void;
  /** The connection is gone; another is on its way. */
  dropped(): void;
}

export class WaitLine {
  readonly #events: WaitLineEvents;
  #socket: WebSocket | null = null;
  #isWanted = false;
  #attempts = 0;
  #heardAtMs = 0;
  #ping: number | undefined;
  #dial: number | undefined;

  constructor(events: WaitLineEvents) {
    this.#events = events;
  }

  start(): void {
    this.stop();
    this.#isWanted = true;
    this.#attempts = 0;
    this.#connect();
  }

  stop(): void {
    this.#isWanted = false;
    this.#forget()?.close();
  }

  send(message: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Call when the page is shown again or the network is back: proves the connection, or dials at once. */
  wake(): void {
    const socket = this.#socket;
    if (!this.#isWanted || socket?.readyState === WebSocket.CONNECTING) return;
    if (socket?.readyState !== WebSocket.OPEN) return this.#redial();
    const askedAtMs = Date.now();
    socket.send(ROOM_PING);
    setTimeout(() => {
      if (this.#socket === socket && this.#heardAtMs < askedAtMs) this.#redial();
    }, WAKE_ANSWER_MS);
  }

  #redial(): void {
    const old = this.#forget();
    this.#events.dropped();
    this.#connect();
    // Last: closing a dead socket may take the browser a minute, and nobody listens to it any more.
    old?.close();
  }

  #forget(): WebSocket | null {
    const socket = this.#socket;
    this.#socket = null;
    clearInterval(this.#ping);
    clearTimeout(this.#dial);
    return socket;
  }

  #connect(): void {
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}${DOOR_PREFIX}wait`);
    this.#socket = socket;
    socket.addEventListener("message", (event) => {
      if (this.#socket !== socket) return;
      this.#heardAtMs = Date.now();
      if (event.data === ROOM_PONG) return;
      this.#attempts = 0;
      this.#events.message(JSON.parse(String(event.data)) as ToDoor);
    });
    socket.addEventListener("open", () => {
      if (this.#socket !== socket) return;
      this.#heardAtMs = Date.now();
      this.#ping = window.setInterval(() => this.#beat(socket), DOOR_PING_MS);
    });
    socket.addEventListener("close", () => {
      if (this.#socket !== socket) return;
      this.#forget();
      this.#events.dropped();
      this.#attempts += 1;
      const waitMs = Math.random() * Math.min(SLOWEST_DIAL_MS, 400 * 2 ** Math.min(this.#attempts, 10));
      this.#dial = window.setTimeout(() => this.#isWanted && this.#connect(), waitMs);
    });
  }

  #beat(socket: WebSocket): void {
    if (Date.now() - this.#heardAtMs > 2.5 * DOOR_PING_MS) this.#redial();
    else if (socket.readyState === WebSocket.OPEN) socket.send(ROOM_PING);
  }
}
