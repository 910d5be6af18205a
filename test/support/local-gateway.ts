/** A plain server on loopback in the gateway's place: it records what reaches it, and the test plays its part. */
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import type { PairedEntry } from "../../src/core/trust/drift.ts";
import type { HandshakeWatch, OpenclawGateway, Removal, WatchEvents } from "../../src/connector/openclaw/openclaw-port.ts";
import { GatewayAwayError } from "../../src/connector/openclaw/openclaw-port.ts";
import type { SettingsQuestion } from "../../src/protocol/link-local-acts.ts";
import type { GatewayReport } from "../../src/protocol/link-messages.ts";
import { Arrivals } from "./arrivals.ts";

export interface GatewaySocket {
  readonly ws: WebSocket;
  readonly request: http.IncomingMessage;
  readonly messages: Arrivals<{ readonly data: Buffer; readonly isBinary: boolean }>;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
}

export interface Refusal {
  readonly status: number;
  readonly body: string;
  /** Stated length, when the body that comes is not all of it. */
  readonly length?: number;
  /** False: the connection stays open after what comes. */
  readonly ends?: boolean;
}

export interface GatewayExchange {
  readonly request: http.IncomingMessage;
  readonly response: http.ServerResponse;
}

export class LocalGateway {
  readonly sockets = new Arrivals<GatewaySocket>();
  readonly exchanges = new Arrivals<GatewayExchange>();
  /** Upgrades and requests that reached it, whatever became of them. */
  heard = 0;
  /** Set: upgrades are refused with this answer. */
  refuses: Refusal | null = null;
  readonly #server = http.createServer();
  readonly #open = new Set<Socket>();

  static async start(): Promise<LocalGateway> {
    const gateway = new LocalGateway();
    gateway.#server.listen(0, "127.0.0.1");
    await once(gateway.#server, "listening");
    return gateway;
  }

  private constructor() {
    const sockets = new WebSocketServer({ noServer: true, maxPayload: 64 * 1024 * 1024 });
    this.#server.on("connection", (socket: Socket) => {
      this.#open.add(socket);
      socket.on("close", () => this.#open.delete(socket));
    });
    this.#server.on("request", (request, response) => {
      this.heard += 1;
      this.exchanges.put({ request, response });
    });
    this.#server.on("upgrade", (request, socket, head) => {
      this.heard += 1;
      const { refuses } = this;
      if (refuses !== null) {
        const { status, body, length = Buffer.byteLength(body), ends = true } = refuses;
        socket
          .on("error", () => undefined)
          .on("end", () => socket.end())
          .resume();
        socket.write(`HTTP/1.1 ${status} Refused\r\nx-why: full\r\ncontent-length: ${length}\r\n\r\n${body}`);
        if (ends) socket.end();
        return;
      }
      sockets.handleUpgrade(request, socket, head, (ws) => {
        const messages: GatewaySocket["messages"] = new Arrivals();
        ws.on("message", (data: Buffer, isBinary: boolean) => messages.put({ data, isBinary }));
        ws.on("error", () => undefined);
        const closed = new Promise<{ code: number; reason: string }>((resolve) => {
          ws.on("close", (code, reason) => resolve({ code, reason: reason.toString("utf8") }));
        });
        this.sockets.put({ ws, request, messages, closed });
      });
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** TCP connections that are open now. */
  get connections(): number {
    return this.#open.size;
  }

  async stop(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** What the connector knows of the gateway, said by the test; the handshake is over when the test says so. */
export class StubOpenclaw implements OpenclawGateway {
  readonly target: { readonly host: string; port: number };
  report: GatewayReport = { state: "online" };
  /** Handshakes end with the gateway's first message that is this text. */
  doneText = "hello-ok";
  /** The message that waits for `answer`. */
  heldText = "not-paired";
  /** What leaves in its place, null: it passes. */
  answer: Promise<string | null> = Promise.resolve(null);
  isHolding = false;
  isAway = false;
  /** What the last `removeBound` calls named, in order. */
  readonly removed: string[] = [];
  /** The gateway's own pairing list. */
  list: readonly PairedEntry[] = [];
  readonly pairing = new Set<() => void>();
  readonly #listeners = new Set<(report: GatewayReport) => void>();

  constructor(port: number) {
    this.target = { host: "127.0.0.1", port };
  }

  get isServing(): boolean {
    return this.report.state === "online";
  }

  settings: SettingsQuestion | null = null;
  rotateSecret: OpenclawGateway["rotateSecret"] = () => Promise.resolve("internal");
  answerSettings: OpenclawGateway["answerSettings"] = () => Promise.resolve("over");

  start(): void {
    // Nothing to start.
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  onReport(listener: (report: GatewayReport) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(report: GatewayReport): void {
    this.report = report;
    for (const listener of this.#listeners) listener(report);
  }

  /** Whether the device of the newest stream may still be paired, as that stream would ask. */
  mayPair: () => Promise<boolean> = () => Promise.reject(new Error("no stream was opened"));

  watch(_open: unknown, events: WatchEvents, mayPair: () => Promise<boolean>): HandshakeWatch {
    this.mayPair = mayPair;
    let isDone = false;
    let page: string | null = null;
    return {
      firstFromBrowser: (text) => {
        page = /^page (\S+)/.exec(text)?.[1] ?? null;
        return text.replace("no-secret", "the-secret");
      },
      get page() {
        return page;
      },
      fromGateway: (text) => {
        if (text === this.heldText) {
          isDone = true;
          this.isHolding = true;
          return this.answer;
        }
        if (text !== this.doneText) return null;
        isDone = true;
        events.connected(["operator.read"]);
        return null;
      },
      get isDone() {
        return isDone;
      },
    };
  }

  removeBound(device: string): Promise<Removal> {
    if (this.isAway) return Promise.reject(new GatewayAwayError("away"));
    this.removed.push(device);
    return Promise.resolve({ removed: 1, absent: 0, entries: ["e".repeat(64)] });
  }

  paired(): Promise<readonly PairedEntry[]> {
    return this.isAway ? Promise.reject(new GatewayAwayError("away")) : Promise.resolve(this.list);
  }

  removeEntry(entry: string): Promise<void> {
    if (this.isAway) return Promise.reject(new GatewayAwayError("away"));
    this.list = this.list.filter((each) => each.id !== entry);
    return Promise.resolve();
  }

  /** What one round trip takes; the test says so, or refuses. */
  pinged: () => Promise<number> = () => Promise.resolve(1);
  readonly #pings = new Set<(ms: number) => void>();

  async ping(): Promise<number> {
    if (this.isAway) throw new GatewayAwayError("away");
    const ms = await this.pinged();
    for (const listener of this.#pings) listener(ms);
    return ms;
  }

  onPing(listener: (ms: number) => void): () => void {
    this.#pings.add(listener);
    return () => this.#pings.delete(listener);
  }

  onPairing(listener: () => void): () => void {
    this.pairing.add(listener);
    return () => this.pairing.delete(listener);
  }
}
