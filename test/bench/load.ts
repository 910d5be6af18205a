/** The one client program of every measurement: opens sockets, keeps messages in flight, checks every echo. */
import { WebSocket } from "ws";
import { ECHO_HELLO } from "../support/echo.ts";

export interface Target {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface OpenSocket {
  readonly ws: WebSocket;
  /** What closed it. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string; readonly atMs: number }>;
}

const OPEN_WITHIN_MS = 30_000;

/**
 * Opens one socket and speaks at once, as every client of a gateway does.
 *
 * @returns once the gateway's first message and the echo of ours are here
 * @throws Error when it is refused
 */
export async function openSocket({ url, headers }: Target): Promise<OpenSocket> {
  const ws = new WebSocket(url, {
    headers: { ...headers },
    perMessageDeflate: false,
    handshakeTimeout: OPEN_WITHIN_MS,
    maxPayload: 64 * 1024 * 1024,
  });
  const closed = new Promise<{ code: number; reason: string; atMs: number }>((resolve) => {
    ws.on("close", (code, reason) => resolve({ code, reason: reason.toString("utf8"), atMs: performance.now() }));
  });
  await new Promise<void>((resolve, reject) => {
    ws.once("error", reject);
    ws.once("close", (code, reason) => reject(new Error(`closed ${code} ${reason.toString("utf8")}`)));
    ws.once("message", (data: Buffer) => {
      if (data.toString("utf8") === ECHO_HELLO) resolve();
      else reject(new Error("the gateway's first message was lost"));
    });
  });
  ws.on("error", () => undefined);
  const socket = { ws, closed };
  await echoOnce(socket, "first");
  return socket;
}

/** Opens many, so many at a time, until one is refused. */
export async function openUpTo(
  count: number,
  atOnce: number,
  target: (socket: number) => Target,
): Promise<{ readonly sockets: OpenSocket[]; readonly error: Error | null }> {
  const sockets: OpenSocket[] = [];
  let next = 0;
  let failed: Error | null = null;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < count && failed === null; i = next++) {
      try {
        sockets[i] = await openSocket(target(i));
      } catch (error) {
        failed ??= error instanceof Error ? error : new Error(String(error));
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
  return { sockets: sockets.filter((socket) => socket !== undefined), error: failed };
}

/** Opens many, so many at a time. @throws Error when one is refused; the others are closed again */
export async function openSockets(count: number, atOnce: number, target: (socket: number) => Target): Promise<OpenSocket[]> {
  const { sockets, error } = await openUpTo(count, atOnce, target);
  if (error === null) return sockets;
  await closeSockets(sockets);
  throw error;
}

export async function closeSockets(sockets: readonly OpenSocket[]): Promise<void> {
  for (const { ws } of sockets) ws.close(1000);
  await Promise.all(sockets.map(({ closed }) => closed));
}

/** One message and its echo. @throws Error when the socket is closed, or closes first */
export async function echoOnce({ ws }: OpenSocket, message: string): Promise<void> {
  if (ws.readyState !== WebSocket.OPEN) throw new Error("closed before the message");
  await new Promise<void>((resolve, reject) => {
    const closed = (code: number): void => reject(new Error(`closed ${code}`));
    ws.once("close", closed);
    ws.once("message", () => {
      ws.off("close", closed);
      resolve();
    });
    ws.send(message);
  });
}

/** Says how many of these sockets have been closed, and with what; nothing of none. */
export async function lossesOf(sockets: readonly OpenSocket[]): Promise<string | null> {
  const ends = await Promise.all(sockets.filter(({ ws }) => ws.readyState === WebSocket.CLOSED).map(({ closed }) => closed));
  const first = ends[0];
  return first === undefined
    ? null
    : `${ends.length} of ${sockets.length} sockets were closed, the first with ${first.code} "${first.reason}"`;
}

/** One round trip of each socket, one after the other. @returns milliseconds, in their order */
export async function roundTrips(sockets: readonly OpenSocket[]): Promise<number[]> {
  const tookMs: number[] = [];
  for (const socket of sockets) {
    const startedAt = performance.now();
    await echoOnce(socket, "again");
    tookMs.push(performance.now() - startedAt);
  }
  return tookMs;
}

/** @param share 0 to 1 @returns the value below which that share of the values lies; null of none */
export function quantile(values: readonly number[], share: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? null;
}

/** @returns p50 and p99 under names that begin with `name` */
export function spread(name: string, values: readonly number[]): Record<string, number | null> {
  return { [`${name} p50 ms`]: quantile(values, 0.5), [`${name} p99 ms`]: quantile(values, 0.99) };
}

export interface LoadShape {
  /** Messages that each socket keeps under way. */
  readonly inFlight: number;
  readonly bytes: number;
}

export interface LoadResult {
  readonly tripsPerS: number;
  /** Trips that ended while it was measured. */
  readonly trips: number;
  /** Of those that also began in that time. */
  readonly latenciesMs: readonly number[];
}

/**
 * A running closed loop: every echo sends the next message. Each message carries its number; one that is lost, doubled, out of order or of
 * another length ends the run.
 */
export class Load {
  readonly #sockets: readonly OpenSocket[];
  #latenciesMs: number[] = [];
  #countedFrom = Number.POSITIVE_INFINITY;
  #trips = 0;
  #firstAt = 0;
  #lastAt = 0;
  #isOver = false;
  #underWay = 0;
  #onIdle: (() => void) | null = null;
  readonly #failed: Promise<never>;

  constructor(sockets: readonly OpenSocket[], shape: LoadShape) {
    this.#sockets = sockets;
    let fail: (error: Error) => void = () => undefined;
    this.#failed = new Promise<never>((_resolve, reject) => {
      fail = reject;
    });
    this.#failed.catch(() => undefined);
    for (const { ws } of sockets) this.#run(ws, shape, fail);
  }

  #run(ws: WebSocket, { inFlight, bytes }: LoadShape, fail: (error: Error) => void): void {
    const payload = Buffer.alloc(bytes, 0x61);
    const sentAt: number[] = [];
    let sent = 0;
    let received = 0;
    const send = (): void => {
      payload.writeUInt32BE(sent >>> 0);
      sent += 1;
      this.#underWay += 1;
      sentAt.push(performance.now());
      ws.send(payload);
    };
    ws.on("message", (data: Buffer) => {
      const nowMs = performance.now();
      if (data.byteLength !== bytes || data.readUInt32BE() !== received) return fail(new Error(`echo ${received} came wrong`));
      received += 1;
      this.#underWay -= 1;
      const startedAt = sentAt.shift() ?? nowMs;
      if (startedAt >= this.#countedFrom) this.#latenciesMs.push(nowMs - startedAt);
      this.#trips += 1;
      if (this.#trips === 1) this.#firstAt = nowMs;
      this.#lastAt = nowMs;
      if (!this.#isOver) send();
      else if (this.#underWay === 0) this.#onIdle?.();
    });
    ws.on("close", (code, reason) => {
      if (!this.#isOver || this.#underWay > 0) fail(new Error(`closed ${code} ${reason.toString("utf8")} under load`));
    });
    for (let i = 0; i < inFlight; i += 1) send();
  }

  /** Counts trips for a time. @throws Error when a message came wrong or a socket closed */
  async measure(forMs: number): Promise<LoadResult> {
    this.#latenciesMs = [];
    this.#trips = 0;
    this.#countedFrom = performance.now();
    await Promise.race([
      this.#failed,
      new Promise((resolve) => {
        setTimeout(resolve, forMs);
      }),
    ]);
    const tookMs = performance.now() - this.#countedFrom;
    const trips = this.#trips;
    const latenciesMs = this.#latenciesMs;
    // From the first to the last arrival: where few messages cross, parts of trips at both ends of the time would count for nothing.
    const rate = trips < 2 ? trips / tookMs : (trips - 1) / (this.#lastAt - this.#firstAt);
    return { tripsPerS: rate * 1000, trips, latenciesMs };
  }

  /** Sends no more and waits for what is under way. */
  async stop(): Promise<void> {
    this.#isOver = true;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    if (this.#underWay > 0) await Promise.race([idle, this.#failed]);
    for (const { ws } of this.#sockets) ws.removeAllListeners("message");
  }
}
