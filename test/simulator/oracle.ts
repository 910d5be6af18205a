/** What must hold, told from outside: the oracle sees every message on every leg and knows what the owner decided. */
import {
  FLAG_FIN,
  FRAME_CREDIT,
  FRAME_DATA,
  FRAME_END,
  FRAME_OPEN,
  FRAME_OPENED,
  FRAME_RESET,
  FRAME_CLOSE,
  batchError,
  decodeFrame,
  decodeU32,
  framesOf,
  isBatch,
} from "../../src/protocol/frame.ts";
import type { Frame } from "../../src/protocol/frame.ts";
import { decodeClose, legOf } from "../../src/core/link/close-code.ts";
import { BYTES_MISSING, BYTES_TWICE } from "../../src/core/link/frame-order.ts";
import { readSession } from "../../src/core/trust/statement.ts";
import {
  INITIAL_CREDIT_BYTES,
  LARGE_MESSAGE_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_QUEUED_PER_ROOM_BYTES,
  MAX_QUEUED_PER_STREAM_BYTES,
} from "../../src/protocol/limits.ts";
import { toConnectorSchema, toRoomSchema } from "../../src/protocol/link-messages.ts";
import { ACCESS_SCOPES } from "../../src/protocol/words.ts";
import type { Access } from "../../src/protocol/words.ts";
import type { Headers } from "./gateway.ts";
import type { Data, Endpoint } from "./network.ts";
import { sizeOf } from "./network.ts";
import { START_MS, sim } from "./sim.ts";
import { WorkerSocket } from "./worker-socket.ts";
import type { RoomTaps } from "./worker-socket.ts";

/** Resets that one honest end never has to send another. */
const NEVER = new Set([
  "more than granted", "bad credit", "bad probe", "unexpected frame", "message kind changed", "message_kind_changed", "text is not UTF-8", "bad answer",
  "unexpected answer", "body before answer", "end before answer", "data before opened", "internal error", "unknown socket", "bad open",
  "no sound address", BYTES_MISSING, BYTES_TWICE, "body longer than stated", "body shorter than stated", "malformed control message", "control message too large", "no frames here",
]); // prettier-ignore

/** @param reason with its leg or without */
function isNever(reason: string): boolean {
  const leg = legOf(reason);
  return NEVER.has(leg === null ? reason : reason.slice(leg.length + 2));
}

/** What an instance that is not the object any more must not tell a connector: it takes it for the room, or changes who may come in. */
const FROM_THE_ONE_ROOM = new Set(["welcome", "grant", "cut"]);

interface Session {
  readonly device: string;
  readonly grant: string;
  readonly expMs: number;
  readonly lifeMs: number;
  /** Its end by the connector's clock; null until that one said yes. */
  admittedUntilMs: number | null;
}

interface Held {
  up: number;
  /** Whole sizes of the browser's messages of which something is held, in order. */
  readonly messages: number[];
  down: number;
  /** Its largest message downwards: that one may be held beyond the limit of a stream. */
  largest: number;
  /** Of a message that has begun to come from the gateway. */
  partial: number;
}

/** @returns what is held of the browser's messages beside the one large message that a stream may have there (PROTOCOL.md CR6) */
function upBesideLargest({ up, messages }: Held): number {
  const gone = messages.reduce((sum, bytes) => sum + bytes, 0) - up;
  // Only the first has gone in part.
  const large = messages.map((bytes, i) => (bytes <= LARGE_MESSAGE_BYTES ? 0 : bytes - (i === 0 ? gone : 0)));
  return up - Math.max(0, ...large);
}

/** One stream on a link, as both directions' credit is counted from outside. */
interface Counted {
  readonly device: string;
  readonly expMs: number;
  /** The room's lives when it was opened: what it forgets, credit may be granted for twice (PROTOCOL.md CR5). */
  readonly wakes: number;
  /** Credit that is granted and not spent. */
  up: number;
  down: number;
}

export class Oracle implements RoomTaps {
  /** Owner-signed grants: device and access. */
  readonly grants = new Map<string, { readonly device: string; readonly access: Access; readonly notAfterMs: number }>();
  /** Every session that was asked of a connector, and whether it said yes. */
  readonly sessions = new Map<string, Session>();
  /** Devices whose cut has begun in the room. */
  readonly cut = new Set<string>();
  /** Devices that the connector says it has cut. */
  readonly cutAtConnector = new Set<string>();
  /** Until when something is slow, so that a stream may be given up for it. */
  slowUntilMs = 0;
  /** Who has a stream of which id, by link. */
  readonly #streams = new Map<WorkerSocket, Map<number, Counted>>();
  wakes: () => number = () => 0;
  /** Messages with several frames, by who sent them. */
  readonly batches = { room: 0, connector: 0 };
  readonly #lastId = new Map<WorkerSocket, number>();
  readonly #held = new Map<WorkerSocket, Held>();
  readonly #socketOfStream = new Map<string, WorkerSocket>();
  /** Most that the room held for one stream, and for all. */
  mostHeld = 0;
  mostHeldInAll = 0;

  // --- the room's sockets ------------------------------------------------------------------------------------------------------

  roomSends(socket: WorkerSocket, data: Data): void {
    const kind = socket.tags[0];
    if (kind === "link") return this.#toConnector(socket, data);
    if (kind === "wait" && socket.instance?.isStale === true && typeof data === "string" && data.includes('"allowed"'))
      sim.fail("case 12", "a stale instance let a device in");
    if (kind !== "stream") return;
    const attachment = socket.deserializeAttachment() as { stream: number; device: string; expiresAtMs: number };
    this.#checkCrossing(socket, attachment.device, attachment.expiresAtMs, "to the browser");
    const held = this.#held.get(socket);
    if (held !== undefined) {
      held.down -= sizeOf(data);
      held.largest = Math.max(held.largest, sizeOf(data));
    }
  }

  roomReceives(socket: WorkerSocket, data: Data): void {
    const kind = socket.tags[0];
    if (kind === "link") return this.#fromConnector(socket, data);
    // A room that has closed drops what was on its way by then.
    if (kind !== "stream" || socket.readyState !== WorkerSocket.OPEN) return;
    const held = this.#held.get(socket) ?? { up: 0, messages: [], down: 0, largest: 0, partial: 0 };
    held.up += sizeOf(data);
    held.messages.push(sizeOf(data));
    this.#held.set(socket, held);
    const { stream } = socket.deserializeAttachment() as { stream: number };
    this.#socketOfStream.set(String(stream), socket);
  }

  roomCloses(socket: WorkerSocket, code: number, reason: string): void {
    sim.trace(`room closes ${socket.tags[0] ?? "?"} ${code} ${reason}`);
    const held = this.#held.get(socket);
    // Nobody is told that it was too much when it was not.
    if (reason.includes("too much at once") && held !== undefined && upBesideLargest(held) <= MAX_QUEUED_PER_STREAM_BYTES && this.#heldInAll() <= MAX_QUEUED_PER_ROOM_BYTES)
      sim.fail("CR6", `a stream was ended for ${held.up} bytes upwards (${this.#heldInAll()} in all)`); // prettier-ignore
    this.#held.delete(socket);
    if (isNever(reason) && socket.instance?.isStale !== true)
      sim.fail("honest", `the room closed a ${socket.tags[0] ?? ""} socket: ${code} ${reason}`);
    this.#checkSlow(code, reason);
  }

  #heldInAll(): number {
    let all = 0;
    for (const [socket, held] of this.#held) all += Math.max(0, held.up) + Math.max(0, held.down) + socket.bufferedAmount;
    return all;
  }

  /** Called when an event is over: what the room holds then, it holds. */
  checkMemory(): void {
    const all = this.#heldInAll();
    for (const [socket, held] of this.#held) {
      const bytes = Math.max(0, held.up) + Math.max(0, held.down) + socket.bufferedAmount;
      if (bytes > this.mostHeld) this.mostHeld = bytes;
      const limit = MAX_QUEUED_PER_STREAM_BYTES + Math.min(held.largest, MAX_MESSAGE_BYTES) + 2 * INITIAL_CREDIT_BYTES;
      if (upBesideLargest(held) > MAX_QUEUED_PER_STREAM_BYTES || held.down + socket.bufferedAmount > limit)
        sim.fail("CR6", `the room holds ${held.up} bytes up and ${held.down + socket.bufferedAmount} down for one stream`);
    }
    if (all > this.mostHeldInAll) this.mostHeldInAll = all;
    if (all > MAX_QUEUED_PER_ROOM_BYTES + 65_536) sim.fail("CR6", `the room holds ${all} bytes`);
  }

  // --- the link ----------------------------------------------------------------------------------------------------------------

  #toConnector(link: WorkerSocket, data: Data): void {
    if (typeof data === "string") {
      const parsed = toConnectorSchema.safeParse(JSON.parse(data));
      if (!parsed.success) return sim.fail("FR3", `the room sent ${data.slice(0, 100)}`);
      const message = parsed.data;
      sim.trace(`room > ${message.type}`);
      if (link.instance?.isStale === true && FROM_THE_ONE_ROOM.has(message.type))
        sim.fail("case 12", `a stale instance told the connector: ${message.type}`);
      if (message.type === "session") {
        const body = readSession(message.signed.statement)?.body;
        if (body !== undefined)
          this.sessions.set(message.session, {
            device: body.device,
            grant: body.grant,
            expMs: body.expMs,
            lifeMs: body.expMs - body.iatMs,
            admittedUntilMs: null,
          });
      }
      return;
    }
    for (const frame of this.#framesIn(data, "room")) this.#frameToConnector(link, frame);
  }

  /** Several in one message only where both ends said that they read that. */
  #framesIn(data: Uint8Array<ArrayBuffer>, by: "room" | "connector"): Iterable<Frame> {
    if (!isBatch(data)) {
      const frame = decodeFrame(data, sim.hasPlaces);
      if (typeof frame !== "string") return [frame];
      sim.fail("FR1", `the ${by} sent ${frame}`);
      return [];
    }
    const error = sim.hasBatches ? batchError(data, sim.hasPlaces) : "a batch to an older end";
    if (error !== null) {
      sim.fail("FR5", `the ${by} sent ${error}`);
      return [];
    }
    const frames = [...framesOf(data, sim.hasPlaces)];
    this.batches[by] += 1;
    if (frames.length < 2) sim.fail("FR5", `the ${by} sent a batch of ${frames.length}`);
    return frames;
  }

  #frameToConnector(link: WorkerSocket, frame: Frame): void {
    const streams = this.#streams.get(link) ?? new Map<number, Counted>();
    this.#streams.set(link, streams);
    if (frame.type === FRAME_OPEN) {
      if (link.instance?.isStale === true) sim.fail("case 12", "a stale instance opened a stream");
      if (frame.streamId <= (this.#lastId.get(link) ?? 0))
        sim.fail("FR4", `stream id ${frame.streamId} after ${this.#lastId.get(link) ?? 0}`);
      this.#lastId.set(link, frame.streamId);
      const open = JSON.parse(new TextDecoder().decode(frame.payload)) as { session: string; device: string; path: string };
      sim.trace(`room > OPEN ${frame.streamId} ${open.path}`);
      const credit = { up: INITIAL_CREDIT_BYTES, down: INITIAL_CREDIT_BYTES, wakes: this.wakes() };
      streams.set(frame.streamId, { device: open.device, expMs: this.sessions.get(open.session)?.expMs ?? 0, ...credit });
    }
    const stream = streams.get(frame.streamId);
    if (stream !== undefined && frame.type === FRAME_DATA) stream.up -= frame.payload.byteLength;
    if (stream !== undefined && frame.type === FRAME_CREDIT) this.#granted(stream, "down", frame.payload);
    if (frame.type === FRAME_RESET || frame.type === FRAME_CLOSE) {
      this.#ended(frame.type, frame.payload, "room", link.instance?.isStale === true);
      return;
    }
    if (frame.type !== FRAME_DATA && frame.type !== FRAME_OPEN && frame.type !== FRAME_END) return;
    if (stream === undefined) return sim.fail("FR4", `the room sent on stream ${frame.streamId}, which it never opened`);
    this.#checkCrossing(link, stream.device, stream.expMs, "to the connector");
    const browser = this.#socketOfStream.get(String(frame.streamId));
    const held = browser === undefined ? undefined : this.#held.get(browser);
    if (held === undefined || frame.type !== FRAME_DATA) return;
    held.up -= frame.payload.byteLength;
    if ((frame.flags & FLAG_FIN) !== 0) held.messages.shift();
  }

  #fromConnector(link: WorkerSocket, data: Data): void {
    if (typeof data === "string") {
      const parsed = toRoomSchema.safeParse(JSON.parse(data));
      if (!parsed.success) return sim.fail("FR3", `the connector sent ${data.slice(0, 100)}`);
      const message = parsed.data;
      sim.trace(`room < ${message.type}${message.type === "result" ? ` ${message.ok ? "ok" : (message.refusal ?? "")}` : ""}`);
      return;
    }
    for (const frame of isBatch(data) ? framesOf(data, sim.hasPlaces) : this.#framesIn(data, "connector"))
      this.#frameFromConnector(link, frame);
  }

  #frameFromConnector(link: WorkerSocket, frame: Frame): void {
    if (frame.type !== FRAME_DATA) return;
    const browser = this.#socketOfStream.get(String(frame.streamId));
    const held = browser === undefined ? undefined : this.#held.get(browser);
    if (held !== undefined && this.#streams.get(link)?.has(frame.streamId) === true) {
      held.down += frame.payload.byteLength;
      held.partial += frame.payload.byteLength;
      held.largest = Math.max(held.largest, held.partial);
      if ((frame.flags & FLAG_FIN) !== 0) held.partial = 0;
    }
  }

  /** What a connector says, at the moment when it says it. */
  connectorSays(room: Endpoint, data: Data): void {
    if (typeof data !== "string") {
      for (const frame of this.#framesIn(data, "connector")) this.#connectorFrame(room, frame);
      return;
    }
    if (!data.startsWith("{")) return;
    const parsed = toRoomSchema.safeParse(JSON.parse(data));
    // Thrown here it would be an error of the connector's own, which that one handles.
    if (!parsed.success) return sim.fail("FR3", `the connector sent ${data.slice(0, 100)}`);
    const message = parsed.data;
    if (message.type === "result" && message.ok) {
      const session = message.id.startsWith("session-") ? this.sessions.get(message.id.slice(8)) : undefined;
      if (session !== undefined) session.admittedUntilMs = sim.scheduler.nowMs + sim.scheduler.actor.skewMs + session.lifeMs;
      if (message.id.startsWith("cut-")) this.cutAtConnector.add(message.id.slice(4));
      const grant = message.id.startsWith("grant-") ? this.grants.get(message.id.slice(6)) : undefined;
      if (grant !== undefined) this.cutAtConnector.delete(grant.device);
    }
  }

  #connectorFrame(room: Endpoint, frame: Frame): void {
    if (frame.type === FRAME_RESET || frame.type === FRAME_CLOSE) this.#ended(frame.type, frame.payload, "connector");
    for (const [link, streams] of this.#streams) {
      const stream = link.endpoint === room ? streams.get(frame.streamId) : undefined;
      if (stream !== undefined && frame.type === FRAME_DATA) stream.down -= frame.payload.byteLength;
      if (stream !== undefined && frame.type === FRAME_CREDIT) this.#granted(stream, "up", frame.payload);
    }
    if (frame.type === FRAME_OPENED) sim.trace(`connector > OPENED ${frame.streamId}`);
  }

  /** Credit is given back for what was taken, so there is never more of it about than at the start. */
  #granted(stream: Counted, direction: "up" | "down", payload: Uint8Array<ArrayBuffer>): void {
    stream[direction] += decodeU32(payload) ?? 0;
    if (stream.wakes === this.wakes() && stream[direction] > INITIAL_CREDIT_BYTES)
      sim.fail("CR1", `${stream[direction]} bytes of credit are about on one stream (${direction})`);
  }

  /** @param isStale by an instance that is not the object any more: whatever it begins may fail */
  #ended(type: number, payload: Uint8Array<ArrayBuffer>, by: string, isStale = false): void {
    const { code, reason } = decodeClose(payload) ?? { code: 0, reason: "" };
    if (type === FRAME_RESET) sim.trace(`${by} > RESET ${code} ${reason}`);
    if (isNever(reason) && !isStale) sim.fail("honest", `the ${by} ended a stream: ${code} ${reason}`);
    this.#checkSlow(code, reason);
  }

  #checkSlow(code: number, reason: string): void {
    if (code === 4413 && reason.includes("too slow") && sim.scheduler.nowMs > this.slowUntilMs)
      sim.fail("CR4", `a stream was given up as slow although nothing was: ${reason}`);
  }

  /** PROTOCOL.md ST7: nothing crosses for a device that is cut, or after the session's end. */
  #checkCrossing(socket: WorkerSocket, device: string, expMs: number, where: string): void {
    // What a stale instance does with its own sockets ends with it; it opens nothing.
    if (socket.instance?.isStale === true) return;
    if (this.cut.has(device)) sim.fail("I3", `a frame crossed ${where} after the device was cut`);
    if (expMs <= sim.scheduler.nowMs) sim.fail("ST7", `a frame crossed ${where} ${sim.scheduler.nowMs - expMs} ms after the session's end`);
  }

  // --- the gateway -------------------------------------------------------------------------------------------------------------

  /** Something of a visitor reached the gateway: its session must have been admitted, by a live grant, and no wider. */
  arrived(
    path: string,
    headers: Headers,
    visit: { readonly session: string; readonly device: string } | null,
    connectorNowMs: number,
    isCurrent: boolean,
  ): void {
    sim.trace(`gateway < ${path}`);
    if (headers["x-forwarded-for"] === undefined) return sim.fail("R1", "a bare request reached the gateway");
    if (visit === null) return sim.fail("I1", `the gateway was reached without a session: ${path}`);
    const session = this.sessions.get(visit.session);
    if (session === undefined || session.admittedUntilMs === null)
      return sim.fail("I1", `a session that the connector never admitted reached the gateway`);
    const grant = this.grants.get(session.grant);
    if (grant === undefined || grant.device !== session.device) return sim.fail("I1", "no grant of the owner is behind the session");
    if (session.admittedUntilMs <= connectorNowMs) return sim.fail("I1", "a session that is over reached the gateway");
    // A copy of the machine that was stopped meanwhile has not heard of it; it is switched off soon.
    if (isCurrent && this.cutAtConnector.has(session.device))
      return sim.fail("I1", "a device that the connector had cut reached the gateway");
    const scopes = String(headers["x-openclaw-scopes"]);
    if (scopes !== ACCESS_SCOPES[grant.access].join(",")) sim.fail("I2", `scopes ${scopes} for a grant of ${grant.access}`);
  }

  slow(forMs: number): void {
    this.slowUntilMs = Math.max(this.slowUntilMs, sim.scheduler.nowMs + forMs);
  }
}

export const at = (): number => sim.scheduler.nowMs - START_MS;
