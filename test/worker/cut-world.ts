/** A gateway whose connector signs receipts, and allowed devices with streams: what tests of cuts start from. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { writeReceipt } from "../../src/core/trust/receipt.ts";
import type { LinkResult, ToConnector } from "../../src/protocol/link-messages.ts";
import type { ReceiptStatement, SignedReceipt } from "../../src/protocol/receipt.ts";
import { sealSessionCookie } from "../../src/worker/auth/session-cookie.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { newLogKey } from "../support/test-key-log.ts";
import type { LogKey } from "../support/test-key-log.ts";
import { Arrivals, FakeConnector } from "./fake-connector.ts";
import type { FakeStream } from "./fake-connector.ts";
import { FakeBrowser } from "./room-bench.ts";
import { allowedDevice, ask, enrol, env, newGateway } from "./world.ts";
import type { GatewayWorld } from "./world.ts";

export type CutMessage = Extract<ToConnector, { type: "cut" }>;

const NONCE = "A".repeat(43);

/** A connector that says yes to every grant and session; cuts are the test's to answer. */
export class CuttingConnector {
  readonly link: FakeConnector;
  readonly cuts = new Arrivals<CutMessage>();
  readonly acks = new Arrivals<string>();
  readonly removals = new Arrivals<Extract<ToConnector, { type: "remove-entry" }>>();
  /** Ids of owed commands in the order in which they came. */
  readonly came: string[] = [];

  constructor(link: FakeConnector, answersGrants: boolean) {
    this.link = link;
    void this.#pump(answersGrants);
  }

  async #pump(answersGrants: boolean): Promise<void> {
    for (;;) {
      const message = await this.link.control.next();
      if ("id" in message) this.came.push(message.id);
      if (message.type === "grant" && answersGrants) this.link.say({ type: "result", id: message.id, ok: true });
      else if (message.type === "session") this.link.say({ type: "result", id: message.id, ok: true });
      else if (message.type === "nonce-request")
        this.link.say({ type: "nonce", id: message.id, nonce: NONCE, connectorKey: "A".repeat(43) });
      else if (message.type === "cut") this.cuts.put(message);
      else if (message.type === "receipt-ack") this.acks.put(message.cut);
      else if (message.type === "remove-entry") this.removals.put(message);
    }
  }

  answer(message: CutMessage, cut: Partial<NonNullable<LinkResult["cut"]>>): void {
    const said = { streamsClosed: 0, removed: 1, done: true, atMs: 2_000, tookMs: 3, ...cut };
    this.link.say({ type: "result", id: message.id, ok: true, cut: said });
  }
}

export class CutWorld {
  readonly gateway: GatewayWorld;
  readonly key: LogKey;
  #generation = 0;

  private constructor(gateway: GatewayWorld, key: LogKey) {
    this.gateway = gateway;
    this.key = key;
  }

  static async create(): Promise<CutWorld> {
    const gateway = await newGateway();
    const key = await newLogKey();
    await enrol(gateway, key.key);
    return new CutWorld(gateway, key);
  }

  /** The same around a gateway that a test made itself; it keeps its own connector. */
  static async of(gateway: GatewayWorld): Promise<CutWorld> {
    return new CutWorld(gateway, await newLogKey());
  }

  /** @param ack false: proven, but the new generation is not on its disk yet @param protocol version that it speaks */
  async connect(options: { ack?: boolean; answersGrants?: boolean; protocol?: number } = {}): Promise<CuttingConnector> {
    const link = await FakeConnector.dial(env, this.gateway.gateway);
    const identity = { key: this.key.key, sign: (data: Uint8Array<ArrayBuffer>) => this.key.sign(data) };
    const protocol = options.protocol === undefined ? {} : { protocol: options.protocol };
    await link.hello(this.gateway.gateway, identity, { generation: this.#generation, ...protocol });
    const welcome = await link.control.next();
    if (welcome.type !== "welcome") throw new Error(`expected welcome, got ${welcome.type}`);
    this.#generation = welcome.generation;
    if (options.ack !== false) link.say({ type: "ack", generation: welcome.generation });
    return new CuttingConnector(link, options.answersGrants !== false);
  }

  ack(connector: CuttingConnector): void {
    connector.link.say({ type: "ack", generation: this.#generation });
  }

  allow(): ReturnType<typeof allowedDevice> {
    return allowedDevice(this.gateway);
  }

  cut(device: string) {
    return this.gateway.room.cut({ account: this.gateway.person.id, device });
  }

  receipt(device: string) {
    return this.gateway.room.receipt({ account: this.gateway.person.id, device });
  }

  inRoom<T>(look: (storage: RoomStorage, state: DurableObjectState) => T | Promise<T>): Promise<T> {
    return runInDurableObject(this.gateway.room, (_room, state) => look(new RoomStorage(state.storage), state));
  }

  async alarm(): Promise<void> {
    await this.inRoom((_storage, state) => state.storage.setAlarm(Date.now()));
    await runDurableObjectAlarm(this.gateway.room);
  }

  /** What an honest connector signs about a cut; `changes` make it another one. */
  async sign(message: CutMessage, grant: string, changes: Partial<ReceiptStatement> = {}, by = this.key): Promise<SignedReceipt> {
    const body: ReceiptStatement = {
      v: 1,
      gateway: this.gateway.gateway,
      device: message.device,
      grant,
      cut: message.cut ?? "a".repeat(26),
      by: "owner",
      cutAtMs: message.cutAtMs,
      audit: message.audit ?? null,
      deniedAtMs: 1_000,
      removedAtMs: 2_000,
      streamsClosed: 1,
      removed: 1,
      absent: 0,
      entries: ["e".repeat(64)],
      log: "L".repeat(43),
      head: { seq: 3, hash: "H".repeat(43) },
      ...changes,
    };
    return writeReceipt(body, (bytes) => by.sign(bytes));
  }

  /** Puts a session of a device into the room. @returns its cookie */
  async session(device: { readonly id: string; readonly grant: string }): Promise<string> {
    const session = `session-${crypto.randomUUID()}`;
    const expiresAtMs = Date.now() + 3_600_000;
    await this.inRoom((storage) =>
      storage.put("sessions", session, { id: session, device: device.id, grant: device.grant, access: "full", expiresAtMs }),
    );
    const sealed = await sealSessionCookie(env, { session, gateway: this.gateway.gateway, device: device.id, expiresAtMs }, Date.now());
    return sealed.split(";", 1)[0] ?? "";
  }

  /** Opens a relayed WebSocket of a device. @param accept false: a browser that never answers anything, closes included */
  async stream(
    connector: CuttingConnector,
    device: { readonly id: string; readonly grant: string },
    accept = true,
  ): Promise<{ readonly stream: FakeStream; readonly ws: WebSocket; readonly browser: FakeBrowser | null }> {
    const answered = ask(`${this.gateway.origin}/`, { cookie: await this.session(device), headers: { upgrade: "websocket" } });
    const stream = await connector.link.streams.next();
    stream.opened();
    const response = await answered;
    if (response.webSocket === null) throw new Error(`upgrade answered ${response.status}`);
    return { stream, ws: response.webSocket, browser: accept ? new FakeBrowser(response) : null };
  }

  auditActions(): Promise<string[]> {
    return this.inRoom((storage) => storage.auditLines(0, 1_000).map((line) => (JSON.parse(line) as { action: string }).action));
  }
}
