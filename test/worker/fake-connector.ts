/** The other end of a link, in workerd: proves its key, answers commands, and serves streams with the credit rules of PROTOCOL.md. */
import { decodeClose, encodeClose } from "../../src/core/link/close-code.ts";
import type { Close } from "../../src/core/link/close-code.ts";
import { linkProofFields } from "../../src/core/trust/key-log.ts";
import { MessageAssembler, piecesOf } from "../../src/core/link/message-frames.ts";
import type { Message, Piece } from "../../src/core/link/message-frames.ts";
import { ReceiveOrder, SendOrder } from "../../src/core/link/frame-order.ts";
import { ReceiveCredit, SendCredit } from "../../src/core/link/stream-credit.ts";
import {
  FLAG_ANEW,
  FRAME_CLOSE,
  FRAME_CREDIT,
  FRAME_DATA,
  FRAME_END,
  FRAME_OPEN,
  FRAME_OPENED,
  FRAME_PROBE,
  FRAME_RESET,
  batchError,
  decodeFrame,
  decodeU32,
  framesOf,
  hasPlace,
  isBatch,
  encodeU32,
  writeFrame,
} from "../../src/protocol/frame.ts";
import type { Frame, FrameType } from "../../src/protocol/frame.ts";
import { FRAME_HEADER_BYTES, MAX_FRAME_PAYLOAD_BYTES } from "../../src/protocol/limits.ts";
import type { KeyLogHead } from "../../src/protocol/key-log.ts";
import { openSchema, toConnectorSchema } from "../../src/protocol/link-messages.ts";
import type { GatewayReport, StreamOpen, ToConnector, ToRoom } from "../../src/protocol/link-messages.ts";
import { joined, tagged, toBase64url, utf8 } from "../../src/protocol/statement-encoding.ts";
import type { ConnectorKey } from "../../src/protocol/statements.ts";
import { LINK_PROTOCOL } from "../../src/protocol/version.ts";
import { ROOM_PONG } from "../../src/protocol/words.ts";
import { handle } from "../../src/worker/app.ts";
import type { Env } from "../../src/worker/env.ts";

/** Values that arrive in order and are taken in order; a taker waits for the next one. */
export class Arrivals<T> {
  readonly #values: T[] = [];
  readonly #takers: ((value: T) => void)[] = [];

  put(value: T): void {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#values.push(value);
    else taker(value);
  }

  next(): Promise<T> {
    const value = this.#values.shift();
    return value === undefined ? new Promise((resolve) => this.#takers.push(resolve)) : Promise.resolve(value);
  }

  /** How many wait to be taken. */
  get count(): number {
    return this.#values.length;
  }
}

/** A public address of this connector's own: budgets and places of addresses do not meet by accident. */
function anyAddress(): string {
  return `82.${[...crypto.getRandomValues(new Uint8Array(3))].join(".")}`;
}

export interface ConnectorIdentity {
  readonly key: ConnectorKey;
  sign(data: Uint8Array<ArrayBuffer>): Promise<string>;
}

export async function newConnectorIdentity(): Promise<ConnectorIdentity> {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  const jwk = (await crypto.subtle.exportKey("jwk", pair.publicKey)) as JsonWebKey;
  return {
    key: { kty: "OKP", crv: "Ed25519", x: jwk.x ?? "" },
    sign: async (data) => toBase64url(new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, data))),
  };
}

/** One stream as the connector holds it. The test plays the gateway: it reads `messages` and calls `send`. */
export class FakeStream {
  readonly id: number;
  readonly open: StreamOpen;
  /** Whole WebSocket messages of the browser. */
  readonly messages = new Arrivals<Message>();
  /** CLOSE, RESET or END of the room. */
  readonly endings = new Arrivals<Close & { readonly type: number }>();
  readonly probes = new Arrivals<number>();
  /** Every CREDIT of the room, in order. */
  readonly credits: number[] = [];
  /** False: takes bytes but grants nothing, as a gateway does that reads nothing. */
  isGranting = true;
  /** The test checks the room's own limit. */
  ignoresCredit = false;
  /** Bytes of DATA that came. */
  receivedBytes = 0;
  /** Places of what this end sends, on a link that has them: a test that takes one without sending it has lost a frame. */
  readonly sent = new SendOrder();
  /** What was wrong with places of the room, and those with which its count began anew. */
  readonly wrong: string[] = [];
  readonly anew: number[] = [];
  readonly #order = new ReceiveOrder();
  readonly #link: FakeConnector;
  readonly #credit = new SendCredit();
  readonly #receive = new ReceiveCredit();
  readonly #assembler = new MessageAssembler();
  #queue: { readonly piece: Piece; readonly sent: () => void }[] = [];

  constructor(link: FakeConnector, id: number, open: StreamOpen) {
    this.#link = link;
    this.id = id;
    this.open = open;
  }

  #put(type: FrameType, flags: number, payload: Uint8Array = new Uint8Array()): void {
    this.#link.frame(this.framed(type, flags, payload));
  }

  /** @returns a frame that may be sent now, with its place */
  framed(type: FrameType, flags: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.byteLength);
    const place = this.#link.hasPlaces && hasPlace(type) ? this.sent.take(payload.byteLength) : 0;
    writeFrame(bytes, 0, type, flags, this.id, payload, place);
    return bytes;
  }

  opened(status = 101, headers: readonly (readonly [string, string])[] = []): void {
    this.#put(FRAME_OPENED, 0, utf8(JSON.stringify({ status, headers })));
  }

  /** @returns when the last frame left this end; that takes the room's credit */
  async send(message: string | Uint8Array): Promise<void> {
    const isText = typeof message === "string";
    await this.#queued(piecesOf(isText ? utf8(message) : message, isText));
  }

  /** Part of an HTTP body. */
  async body(bytes: Uint8Array): Promise<void> {
    const pieces: Piece[] = [];
    for (let at = 0; at < bytes.byteLength; at += MAX_FRAME_PAYLOAD_BYTES)
      pieces.push({ payload: bytes.subarray(at, at + MAX_FRAME_PAYLOAD_BYTES), flags: 0 });
    await this.#queued(pieces);
  }

  end(): void {
    this.#put(FRAME_END, 0);
  }

  close(code: number, reason: string): void {
    this.#put(FRAME_CLOSE, 0, encodeClose(code, reason));
  }

  reset(code: number, reason: string): void {
    this.#put(FRAME_RESET, 0, encodeClose(code, reason));
  }

  /** Asks for credit, as a connector does every second. */
  probe(): void {
    this.#put(FRAME_PROBE, 0, encodeU32(this.#credit.probeValue()));
  }

  /** Grants by hand. @param flags FLAG_SPLIT as over a slow line */
  grant(bytes: number, flags = 0): void {
    this.#receive.consume(bytes);
    this.#put(FRAME_CREDIT, flags, encodeU32(bytes));
  }

  get isBlocked(): boolean {
    return this.#queue.length > 0;
  }

  #queued(pieces: Iterable<Piece>): Promise<void> {
    const waits: Promise<void>[] = [];
    for (const piece of pieces) waits.push(new Promise((sent) => this.#queue.push({ piece, sent })));
    this.#flush();
    return Promise.all(waits).then(() => undefined);
  }

  #flush(): void {
    let sent = 0;
    for (const { piece, sent: tell } of this.#queue) {
      if (!this.ignoresCredit && !this.#credit.spend(piece.payload.byteLength)) break;
      this.#put(FRAME_DATA, piece.flags, piece.payload);
      tell();
      sent += 1;
    }
    this.#queue.splice(0, sent);
  }

  received(frame: Frame): void {
    const wrong = this.#order.take(frame);
    if (wrong !== null) this.wrong.push(wrong);
    if ((frame.flags & FLAG_ANEW) !== 0) this.anew.push(frame.place - frame.payload.byteLength - 1);
    switch (frame.type) {
      case FRAME_DATA: {
        if (!this.#receive.receive(frame.payload.byteLength)) throw new Error("the room sent more than it was granted");
        this.receivedBytes += frame.payload.byteLength;
        if (this.open.kind === "ws") {
          const message = this.#assembler.push(frame);
          if (typeof message === "string") throw new Error(message);
          if (message !== null) this.messages.put(message);
        }
        if (!this.isGranting) return;
        const grant = this.#receive.consume(frame.payload.byteLength);
        if (grant > 0) this.#put(FRAME_CREDIT, 0, encodeU32(grant));
        return;
      }
      case FRAME_CREDIT:
        this.credits.push(decodeU32(frame.payload) ?? 0);
        this.#credit.grant(this.credits.at(-1) ?? 0);
        return this.#flush();
      case FRAME_PROBE: {
        const left = decodeU32(frame.payload) ?? 0;
        this.probes.put(left);
        const grant = this.isGranting ? this.#receive.answerProbe(left) : 0;
        if (grant > 0) this.#put(FRAME_CREDIT, 0, encodeU32(grant));
        return;
      }
      case FRAME_END:
        return this.endings.put({ type: FRAME_END, code: 0, reason: "" });
      default: {
        const close = decodeClose(frame.payload) ?? { code: 0, reason: "" };
        this.endings.put({ type: frame.type, ...close });
      }
    }
  }
}

export interface HelloChanges {
  readonly protocol?: number;
  readonly generation?: number;
  readonly gateway?: string;
  readonly key?: ConnectorKey;
  /** End of its key log; `signedHead` is what it signs, when that differs. */
  readonly head?: KeyLogHead | undefined;
  readonly signedHead?: KeyLogHead;
  /** `rotate` entries that lead to its key. */
  readonly rotations?: readonly string[];
  readonly report?: GatewayReport;
  /** Signs something else than it says. */
  readonly signature?: string;
  /** Says that it reads several frames in one message. */
  readonly batch?: boolean;
  /** Says that its frames say their place. */
  readonly places?: boolean;
}

export class FakeConnector {
  readonly ws: WebSocket;
  readonly streams = new Arrivals<FakeStream>();
  /** Control messages after the challenge that are not answered here. */
  readonly control = new Arrivals<ToConnector>();
  readonly closed: Promise<Close>;
  readonly pongs = new Arrivals<null>();
  /** RESETs for streams that this end does not know. */
  readonly strayResets = new Arrivals<number>();
  readonly #challenge = new Arrivals<Extract<ToConnector, { type: "challenge" }>>();
  readonly #byId = new Map<number, FakeStream>();
  generation = 0;
  /** Whether it said that it reads several frames in one message. */
  isBatching = false;
  /** Whether it said that its frames say their place. */
  hasPlaces = false;
  /** Such messages of the room so far, and the sizes of all its binary ones. */
  batchCount = 0;
  readonly messageSizes: number[] = [];

  constructor(ws: WebSocket) {
    this.ws = ws;
    ws.binaryType = "arraybuffer";
    this.closed = new Promise((resolve) => {
      ws.addEventListener("close", (event) => resolve({ code: event.code, reason: event.reason }));
    });
    ws.addEventListener("message", (event) => this.#message(event.data as string | ArrayBuffer));
    ws.accept();
  }

  /** Opens a socket at `/link/<gateway>`; nothing is proven yet. */
  static async dial(env: Env, gateway: string, address = anyAddress()): Promise<FakeConnector> {
    const headers = { upgrade: "websocket", "cf-connecting-ip": address };
    const response = await handle(new Request(`${env.APP_ORIGIN}/link/${gateway}`, { headers }), env);
    if (response.webSocket === null) throw new Error(`link answered ${response.status}`);
    return new FakeConnector(response.webSocket);
  }

  /** Dials, proves and acknowledges. */
  static async up(env: Env, gateway: string, identity: ConnectorIdentity, generation = 0, more: HelloChanges = {}): Promise<FakeConnector> {
    const connector = await FakeConnector.dial(env, gateway);
    await connector.hello(gateway, identity, { generation, ...more });
    await connector.welcome();
    return connector;
  }

  async hello(gateway: string, identity: ConnectorIdentity, changes: HelloChanges = {}): Promise<void> {
    const challenge = await this.#challenge.next();
    this.isBatching = changes.batch ?? false;
    this.hasPlaces = changes.places ?? false;
    const connectorNonce = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
    const protocol = changes.protocol ?? LINK_PROTOCOL;
    const generation = changes.generation ?? 0;
    const named = changes.gateway ?? gateway;
    const head = changes.signedHead ?? changes.head;
    const proof = { gateway: named, roomNonce: challenge.nonce, connectorNonce, generation, protocol, head };
    const signature = await identity.sign(tagged("link", joined(linkProofFields(proof))));
    this.say({
      type: "hello",
      protocol,
      version: "0.0.0-test",
      gateway: named,
      key: changes.key ?? identity.key,
      connectorNonce,
      generation,
      signature: changes.signature ?? signature,
      report: changes.report ?? { state: "online" },
      ...(changes.head === undefined ? {} : { head: changes.head }),
      ...(changes.batch === undefined ? {} : { batch: changes.batch }),
      ...(changes.places === undefined ? {} : { places: changes.places }),
      ...(changes.rotations === undefined ? {} : { rotations: [...changes.rotations] }),
    });
  }

  /** Waits for `welcome` and acknowledges its generation. */
  async welcome(): Promise<Extract<ToConnector, { type: "welcome" }>> {
    const message = await this.control.next();
    if (message.type !== "welcome") throw new Error(`expected welcome, got ${message.type}`);
    this.generation = message.generation;
    this.say({ type: "ack", generation: message.generation });
    return message;
  }

  say(message: ToRoom): void {
    this.ws.send(JSON.stringify(message));
  }

  frame(bytes: Uint8Array): void {
    this.ws.send(bytes);
  }

  #message(data: string | ArrayBuffer): void {
    if (typeof data === "string") {
      if (data === ROOM_PONG) return this.pongs.put(null);
      const message = toConnectorSchema.parse(JSON.parse(data));
      if (message.type === "challenge") this.#challenge.put(message);
      else this.control.put(message);
      return;
    }
    const bytes = new Uint8Array(data);
    this.messageSizes.push(bytes.byteLength);
    if (isBatch(bytes)) {
      const error = batchError(bytes, this.hasPlaces);
      if (error !== null || !this.isBatching) throw new Error(`the room sent a batch: ${error ?? "not asked for"}`);
      this.batchCount += 1;
      for (const frame of framesOf(bytes, this.hasPlaces)) this.#frame(frame);
      return;
    }
    const frame = decodeFrame(bytes, this.hasPlaces);
    if (typeof frame === "string") throw new Error(`the room sent ${frame}`);
    this.#frame(frame);
  }

  #frame(frame: Frame): void {
    if (frame.type === FRAME_OPEN) {
      if (this.#byId.has(frame.streamId)) throw new Error("the room used a stream id twice");
      const stream = new FakeStream(this, frame.streamId, openSchema.parse(JSON.parse(new TextDecoder().decode(frame.payload))));
      this.#byId.set(frame.streamId, stream);
      this.streams.put(stream);
      return;
    }
    const stream = this.#byId.get(frame.streamId);
    if (stream !== undefined) stream.received(frame);
    else if (frame.type === FRAME_RESET) this.strayResets.put(frame.streamId);
  }
}

/** A frame byte by byte, also one that no sound connector sends. */
export function frameFor(type: number, flags: number, id: number, payload: readonly number[] = []): Uint8Array {
  return new Uint8Array([type, flags, 0, 0, id >>> 24, (id >>> 16) & 0xff, (id >>> 8) & 0xff, id & 0xff, ...payload]);
}
