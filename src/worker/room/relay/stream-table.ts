/** Every stream of a room by its id: open sockets, HTTP exchanges, and upgrades that wait for the gateway. */
import { MAX_EXCHANGES_PER_DEVICE, MAX_STREAMS_PER_DEVICE, MAX_STREAMS_PER_GATEWAY, SILENT_EXCHANGE_MS } from "../../../protocol/limits.ts";
import type { HttpExchange } from "./http-exchange.ts";
import type { AdmittedSession } from "../ports.ts";
import type { WsStream } from "./ws-stream.ts";

/** A browser's upgrade that waits for the gateway's first frame. */
export interface PendingUpgrade {
  readonly session: AdmittedSession;
  readonly answer: (response: Response) => void;
}

/** What every stream is held against: its session, its device, its end. */
export type Holdings = Pick<AdmittedSession, "session" | "device" | "expiresAtMs">;

export class StreamTable {
  readonly sockets = new Map<number, WsStream>();
  readonly exchanges = new Map<number, HttpExchange>();
  readonly upgrades = new Map<number, PendingUpgrade>();
  readonly #byBrowser = new WeakMap<WebSocket, WsStream>();

  get size(): number {
    return this.sockets.size + this.exchanges.size + this.upgrades.size;
  }

  add(stream: WsStream): void {
    this.sockets.set(stream.id, stream);
    this.#byBrowser.set(stream.ws, stream);
  }

  /** @returns the live stream of a browser's socket */
  ofBrowser(ws: WebSocket): WsStream | null {
    const stream = this.#byBrowser.get(ws);
    return stream !== undefined && this.sockets.get(stream.id) === stream ? stream : null;
  }

  forget(stream: number): void {
    this.sockets.delete(stream);
    this.exchanges.delete(stream);
    this.upgrades.delete(stream);
  }

  /** Whether one more stream of this device would be too many, for it or for the room. @param isSocket a WebSocket's, not an HTTP exchange */
  isFull(device: string, isSocket: boolean): boolean {
    if (this.size >= MAX_STREAMS_PER_GATEWAY) return true;
    let own = 0;
    for (const holdings of this.#holdings()) if (holdings.device === device) own += 1;
    return own >= MAX_STREAMS_PER_DEVICE || (!isSocket && this.#exchangesOf(device).length >= MAX_EXCHANGES_PER_DEVICE);
  }

  /** @returns the device's exchange that has been silent longest, or null when none has been for SILENT_EXCHANGE_MS */
  mostSilent(device: string, nowMs: number): HttpExchange | null {
    const silent = this.#exchangesOf(device).filter(({ movedAtMs }) => nowMs - movedAtMs >= SILENT_EXCHANGE_MS);
    return silent.reduce<HttpExchange | null>((most, each) => (most !== null && most.movedAtMs <= each.movedAtMs ? most : each), null);
  }

  #exchangesOf(device: string): HttpExchange[] {
    return [...this.exchanges.values()].filter(({ session }) => session.device === device);
  }

  /** @returns when the first session of an open stream ends, in ms, or null without streams */
  firstEndMs(): number | null {
    let first: number | null = null;
    for (const { expiresAtMs } of this.#holdings()) first = first === null ? expiresAtMs : Math.min(first, expiresAtMs);
    return first;
  }

  *holders(): Generator<WsStream | HttpExchange> {
    yield* this.sockets.values();
    yield* this.exchanges.values();
  }

  *#holdings(): Generator<Holdings> {
    for (const stream of this.sockets.values()) yield stream.attachment;
    for (const exchange of this.exchanges.values()) yield exchange.session;
    for (const upgrade of this.upgrades.values()) yield upgrade.session;
  }
}
