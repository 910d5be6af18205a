/** A TCP proxy on loopback that does to connections what networks do: delay, thin out, freeze without a word, break off. */
import net from "node:net";
import type { AddressInfo, Socket } from "node:net";

/** More than a far line holds at the rates of a bench. */
const QUEUE_BYTES = 4 * 1024 * 1024;
const SLICE_MS = 50;

/** One direction of one connection: bytes in order, when and as fast as the test says. */
export class ProxiedLane {
  /** Bytes a second; null: as fast as they come. */
  rate: number | null = null;
  latencyMs = 0;
  /** Once this many more bytes have passed, the connection is reset: in the middle of whatever they belong to. */
  resetAfterBytes: number | null = null;
  /** Sees what is about to pass; may hold this lane or the other one from here on. */
  onBytes: (bytes: Buffer) => void = () => undefined;
  /** What passes in the place of what came. */
  alter: (bytes: Buffer) => Buffer = (bytes) => bytes;
  passedBytes = 0;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #onReset: () => void;
  readonly #queue: { readonly bytes: Buffer; readonly dueMs: number }[] = [];
  #queuedBytes = 0;
  #budget = 0;
  #budgetAtMs = 0;
  #isHeld = false;
  #hasEnded = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, onReset: () => void) {
    this.#from = from;
    this.#to = to;
    this.#onReset = onReset;
    from.on("data", (came: Buffer) => {
      this.onBytes(came);
      const bytes = this.alter(came);
      if (bytes.byteLength === 0) return;
      this.#queue.push({ bytes, dueMs: Date.now() + this.latencyMs });
      this.#queuedBytes += bytes.byteLength;
      if (this.#queuedBytes > QUEUE_BYTES) from.pause();
      this.#pump();
    });
    from.on("end", () => {
      this.#hasEnded = true;
      this.#pump();
    });
    to.on("drain", () => this.#pump());
  }

  /** Nothing passes and nothing is read any more; nobody hears of it. */
  hold(): void {
    this.#isHeld = true;
    this.#from.pause();
  }

  /** What was held passes after all, late. */
  release(): void {
    this.#isHeld = false;
    this.#pump();
  }

  /** What is still here passes, then the end. */
  finish(): void {
    this.#hasEnded = true;
    this.#pump();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#queue.length = 0;
  }

  #pump(): void {
    while (!this.#isHeld && this.#timer === undefined && !this.#to.destroyed && !this.#to.writableNeedDrain) {
      const head = this.#queue[0];
      if (head === undefined) {
        if (this.#hasEnded) this.#to.end();
        else this.#from.resume();
        return;
      }
      const waitMs = head.dueMs - Date.now();
      if (waitMs > 0) return this.#later(waitMs);
      const rated = this.rate === null ? Infinity : this.#mayPass(this.rate);
      if (rated < 1) return this.#later(SLICE_MS);
      const most = Math.min(this.resetAfterBytes ?? Infinity, rated);
      const slice = head.bytes.subarray(0, most);
      if (slice.byteLength === head.bytes.byteLength) this.#queue.shift();
      else this.#queue[0] = { bytes: head.bytes.subarray(slice.byteLength), dueMs: head.dueMs };
      this.#queuedBytes -= slice.byteLength;
      this.passedBytes += slice.byteLength;
      this.#to.write(slice);
      if (this.resetAfterBytes !== null) {
        this.resetAfterBytes -= slice.byteLength;
        // The bytes before it must be on their way, or the reset takes them along.
        if (this.resetAfterBytes <= 0) return void setImmediate(this.#onReset);
      }
      this.#budget -= slice.byteLength;
    }
  }

  /** Bytes that a line of that rate takes now: what it took none of for a moment, up to one slice, however many pieces it comes in. */
  #mayPass(rate: number): number {
    const nowMs = Date.now();
    this.#budget = Math.min(
      Math.max(1, (rate * SLICE_MS) / 1_000),
      Math.max(0, this.#budget) + (rate * (nowMs - this.#budgetAtMs)) / 1_000,
    );
    this.#budgetAtMs = nowMs;
    return Math.floor(this.#budget);
  }

  #later(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#pump();
    }, ms);
  }
}

/** One connection through the proxy. `up` leads to the server. */
export class ProxiedConnection {
  /** First line that the client sent: tells what the connection is for. */
  firstLine = "";
  readonly up: ProxiedLane;
  readonly down: ProxiedLane;
  readonly #client: Socket;
  readonly #server: Socket;
  #isSilent = false;

  constructor(client: Socket, server: Socket, onGone: () => void) {
    this.#client = client;
    this.#server = server;
    this.up = new ProxiedLane(client, server, () => this.reset());
    this.down = new ProxiedLane(server, client, () => this.reset());
    client.prependOnceListener("data", (bytes: Buffer) => {
      this.firstLine = bytes.toString("latin1").split("\r\n", 1)[0] ?? "";
    });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      socket.on("error", () => undefined);
      socket.on("close", (hadError) => {
        // A silent network does not tell the other side.
        if (this.#isSilent) return;
        if (hadError) other.resetAndDestroy();
        if (!client.destroyed || !server.destroyed) return;
        this.#stop();
        onGone();
      });
    }
  }

  /** Half-open from here on: neither side hears anything, not even that the other one gave up. */
  silence(): void {
    this.#isSilent = true;
    this.up.hold();
    this.down.hold();
  }

  /** What had been swallowed arrives after all, where somebody still listens. */
  speakAgain(): void {
    this.#isSilent = false;
    this.up.release();
    this.down.release();
    if (this.#client.destroyed) this.up.finish();
    if (this.#server.destroyed) this.down.finish();
  }

  /** RST to both sides. */
  reset(): void {
    this.#stop();
    this.#client.resetAndDestroy();
    this.#server.resetAndDestroy();
  }

  #stop(): void {
    this.up.stop();
    this.down.stop();
  }
}

export class FaultProxy {
  readonly #server: net.Server;
  readonly #open = new Set<ProxiedConnection>();
  /** Called for each new connection, before its first byte. */
  onConnection: (connection: ProxiedConnection) => void = () => undefined;

  private constructor(targetPort: () => number) {
    this.#server = net.createServer({ allowHalfOpen: true }, (client) => {
      const server = net.connect({ host: "127.0.0.1", port: targetPort(), allowHalfOpen: true });
      client.setNoDelay(true);
      server.setNoDelay(true);
      const connection: ProxiedConnection = new ProxiedConnection(client, server, () => this.#open.delete(connection));
      this.#open.add(connection);
      this.onConnection(connection);
    });
  }

  /** Listens on 127.0.0.1; `port` 0 takes a free one. The target's port is asked for at each connection. */
  static async start(options: { readonly port: number; readonly targetPort: () => number }): Promise<FaultProxy> {
    const proxy = new FaultProxy(options.targetPort);
    await new Promise<void>((resolve) => proxy.#server.listen(options.port, "127.0.0.1", resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Open connections whose first line begins so, oldest first. */
  connections(firstLine: string): readonly ProxiedConnection[] {
    return [...this.#open].filter((each) => each.firstLine.startsWith(firstLine));
  }

  async stop(): Promise<void> {
    for (const connection of this.#open) connection.reset();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
