/** A room for a real connector's link: it lets everybody in, answers heartbeats, and the test says the rest. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import { toRoomSchema } from "../../src/protocol/link-messages.ts";
import type { ToConnector, ToRoom } from "../../src/protocol/link-messages.ts";
import { LINK_PROTOCOL, MIN_LINK_PROTOCOL } from "../../src/protocol/version.ts";
import { ROOM_PING, ROOM_PONG } from "../../src/protocol/words.ts";
import { Arrivals } from "./arrivals.ts";
import { TEST_GATEWAY, TEST_ORIGIN } from "./connector-state.ts";

type Hello = Extract<ToRoom, { type: "hello" }>;

/** What Node takes out of a socket at once. */
const READ_BYTES = 65_536;

export class PlayedRoom {
  readonly hellos = new Arrivals<Hello>();
  /** Control messages after `hello`. */
  readonly said = new Arrivals<ToRoom>();
  /** Every heartbeat; called before its answer goes out. */
  onPing: () => void = () => undefined;
  /** Set: the link ends with this close. It leaves together with the next heartbeat's answer and arrives in another read of the socket. */
  closeBehindPong: { readonly code: number; readonly reason: string } | null = null;
  /** Every binary message of the connector. */
  onFrames: (message: Uint8Array<ArrayBuffer>) => void = () => undefined;
  /** Whether it says that frames say their place. */
  places: boolean | undefined;
  readonly #server: WebSocketServer;
  #socket: WebSocket | null = null;
  #tcp: Socket | null = null;
  #generation = 0;
  /** Added to `welcome`. */
  also: Partial<Extract<ToConnector, { type: "welcome" }>> = {};

  static async start(): Promise<PlayedRoom> {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    await once(server, "listening");
    return new PlayedRoom(server);
  }

  private constructor(server: WebSocketServer) {
    this.#server = server;
    server.on("connection", (socket, request) => {
      this.#socket = socket;
      this.#tcp = request.socket;
      socket.on("error", () => undefined);
      socket.on("message", (data: Buffer, isBinary: boolean) => {
        if (isBinary) this.onFrames(new Uint8Array(data));
        else this.#text(data.toString("utf8"));
      });
      this.say({ type: "challenge", nonce: "A".repeat(43), minProtocol: MIN_LINK_PROTOCOL, maxProtocol: LINK_PROTOCOL });
    });
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  say(message: ToConnector): void {
    this.#socket?.send(JSON.stringify(message));
  }

  sendFrame(frame: Uint8Array): void {
    this.#socket?.send(frame);
  }

  /** Ends the link as a network does that goes away. */
  drop(): void {
    this.#socket?.terminate();
  }

  /** The next message of that type; others before it are passed over. */
  async next<Type extends ToRoom["type"]>(type: Type): Promise<Extract<ToRoom, { type: Type }>> {
    for (;;) {
      const message = await this.said.next();
      if (message.type === type) return message as Extract<ToRoom, { type: Type }>;
    }
  }

  async stop(): Promise<void> {
    for (const socket of this.#server.clients) socket.terminate();
    this.#server.close();
    await once(this.#server, "close");
  }

  #text(text: string): void {
    if (text === ROOM_PING) {
      this.onPing();
      this.#tcp?.cork();
      this.#socket?.send(ROOM_PONG);
      if (this.closeBehindPong !== null) {
        this.#socket?.send(JSON.stringify({ type: "filler", text: "x".repeat(READ_BYTES) }));
        this.#socket?.close(this.closeBehindPong.code, this.closeBehindPong.reason);
      }
      this.#tcp?.uncork();
      return;
    }
    const message = toRoomSchema.parse(JSON.parse(text));
    if (message.type !== "hello") return this.said.put(message);
    this.hellos.put(message);
    this.#generation += 1;
    const where = { gateway: TEST_GATEWAY, origin: TEST_ORIGIN, approveOrigin: "http://approve.localhost:8787", rpId: "approve.localhost" };
    const places = this.places === undefined ? {} : { places: this.places };
    this.say({
      type: "welcome",
      ...where,
      ...places,
      generation: this.#generation,
      serverTimeMs: Date.now(),
      head: message.head ?? null,
      ...this.also,
    });
  }
}
