/** The connector's one link to its room: one loop dials, proves the key, beats, and dials again (PROTOCOL.md LINK). */
import { randomBytes } from "node:crypto";
import { WebSocket } from "ws";
import { linkProofFields } from "../../core/trust/key-log.ts";
import { nextDial } from "../../core/link/link-backoff.ts";
import {
  CLOSE_LINK_QUARANTINED,
  CLOSE_LINK_REFUSED,
  CLOSE_LINK_STALE,
  CLOSE_LINK_VERSION,
  CLOSE_PROTOCOL,
  CLOSE_SUPERSEDED,
} from "../../protocol/close-codes.ts";
import { clockAheadMs } from "../../core/measure/clock-difference.ts";
import { inWordsOf } from "../../core/link/link-versions.ts";
import { batchError, decodeFrame, framesOf, isBatch } from "../../protocol/frame.ts";
import { HEARTBEAT_BUSY_MS, HEARTBEAT_IDLE_MS, RECONNECT_MAX_MS } from "../../protocol/limits.ts";
import type { KeyLogAlarm } from "../../protocol/key-log.ts";
import { toConnectorSchema } from "../../protocol/link-messages.ts";
import type { ToConnector, ToRoom } from "../../protocol/link-messages.ts";
import { joined } from "../../protocol/statement-encoding.ts";
import { LINK_PROTOCOL } from "../../protocol/version.ts";
import { ROOM_PONG } from "../../protocol/words.ts";
import type { MachineFault } from "../../protocol/words.ts";
import type { Admitted } from "../trust/admissions.ts";
import { AuditAnchor } from "./audit-anchor.ts";
import type { BlockedAnswer } from "./blocked-devices.ts";
import { BlockedDevices } from "./blocked-devices.ts";
import { Cuts } from "../trust/cuts.ts";
import type { Dialler } from "../network/dialler.ts";
import { PacedDownlink } from "../streams/downlink.ts";
import { DriftWatch } from "../trust/drift-watch.ts";
import type { Identity } from "../trust/identity.ts";
import type { KeyLog } from "../trust/key-log-file.ts";
import { LinkCommands } from "./commands.ts";
import { dialRoom } from "./link-dial.ts";
import type { DialEnd } from "./link-dial.ts";
import { LinkDisk } from "./link-disk.ts";
import { LinkHops } from "../measure/link-latency.ts";
import { LinkKeyLog } from "./key-log-sync.ts";
import { LinkTraffic } from "../measure/traffic.ts";
import { LocalActs } from "../trust/local-acts.ts";
import type { Measured } from "../measure/metrics.ts";
import type { OpenclawGateway } from "../openclaw/openclaw-port.ts";
import type { GatewayFile, StateFiles } from "../state/state-files.ts";
import { Streams } from "../streams/streams.ts";
import { TurnSender } from "../streams/uplink.ts";

export type LinkStatus =
  | { readonly state: "dialing" }
  /** `clockAheadMs`: this machine's clock differs from the room's by that much; null when it does not matter. */
  | { readonly state: "up"; readonly clockAheadMs: number | null }
  | { readonly state: "waiting"; readonly ms: number; readonly why: string }
  /** Final: dialing again would not help. */
  | { readonly state: "stopped"; readonly why: "refused" | "superseded" | "stale" | "version" };

export interface LinkOptions {
  readonly files: StateFiles;
  readonly identity: Identity;
  readonly admitted: Admitted;
  readonly log: KeyLog;
  readonly gateway: OpenclawGateway;
  readonly version: string;
  readonly now: () => number;
  /** Opens the sockets; without one they are plain and direct. */
  readonly dialler?: Dialler;
  /** Milliseconds that only ever grow, for round trips; the process's own unless given. */
  readonly clock?: () => number;
  readonly onStatus: (status: LinkStatus) => void;
  /** The room and this machine's key log do not agree: nobody new is admitted from here on. */
  readonly onAlarm: (alarm: KeyLogAlarm) => void;
  /** The disk began or stopped to refuse; null: it takes writes again. */
  readonly onDisk?: (fault: MachineFault | null) => void;
  /** Whether OpenClaw runs as the same user of this machine. */
  readonly isSharedUser?: () => boolean;
}

const NONCE_BYTES = 32;
/** What `ws` reports where no close came (RFC 6455 §7.1.5). */
const CLOSE_ABNORMAL = 1006;
/** A control plane that hangs must not keep this process. */
const CLOSE_WITHIN_MS = 1_000;

export class Link {
  readonly #options: LinkOptions;
  readonly #frames = new TurnSender({
    transmit: (message, sent) => {
      if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(message, sent);
      else sent();
    },
    unsentBytes: () => this.#socket?.bufferedAmount ?? 0,
    beat: () => {
      if (this.#isUp) this.hops.beat.markData();
    },
  });
  readonly #downlink: PacedDownlink;
  readonly #streams: Streams;
  readonly #audit: AuditAnchor;
  readonly #cuts: Cuts;
  readonly #drift: DriftWatch;
  readonly #disk: LinkDisk;
  #socket: WebSocket | null = null;
  #isUp = false;
  #isStopped = false;
  /** Since when no link has lasted. */
  #lostSinceMs: number | null = null;
  #upSinceMs: number | null = null;
  #redial: NodeJS.Timeout | undefined;
  #proven: () => void = () => undefined;
  readonly hops: LinkHops;
  readonly acts: LocalActs;
  readonly #blocked = new BlockedDevices((message) => this.#send(message));
  readonly keyLog: LinkKeyLog;
  readonly #traffic = new LinkTraffic();
  /** As this link's room knows it. */
  #reported: string | null = null;
  #protocol = LINK_PROTOCOL;
  #clockAheadMs: number | null = null;
  readonly #commands: LinkCommands;

  constructor(options: LinkOptions) {
    this.#options = options;
    const clock = options.clock ?? (() => performance.now());
    const beat = (): void => {
      if (this.#isUp) this.hops.beat.markData();
    };
    this.#downlink = new PacedDownlink({ clock, beat, streams: () => this.#streams.count });
    this.#streams = new Streams({
      gateway: options.gateway,
      admitted: options.admitted,
      origin: options.log.state.origin,
      now: options.now,
      uplink: this.#frames,
      downlink: this.#downlink,
      sendFrame: (type, flags, streamId, payload, order) => this.#frames.send(type, flags, streamId, payload, order),
      sendData: (streamId, pieces, back, order) => this.#frames.sendData(streamId, pieces, back, order),
      isHeard: () => this.#isHeard(),
      onDevice: (device, event, scopes) =>
        this.#send({ type: "device", device, event, atMs: options.now(), ...(scopes === undefined ? {} : { scopes: [...scopes] }) }),
    });
    const { files, admitted, log, identity, gateway, now, onAlarm } = options;
    const send = (message: ToRoom): void => this.#send(message);
    this.keyLog = new LinkKeyLog({ files, log, admitted, now, onAlarm, send, isKnown: () => this.#protocol >= 2 });
    this.#audit = new AuditAnchor({ files, gateway: log.state.gateway, now, send, onRewound: () => this.keyLog.raise("audit-rewound") });
    this.#cuts = new Cuts({ admitted, log, identity, gateway, now, send, endStreams: (device) => this.#streams.endDevice(device) });
    this.#drift = new DriftWatch({ admitted, gateway, now, send });
    this.acts = new LocalActs({ files, log, admitted, gateway, now, send });
    this.#disk = new LinkDisk({
      files,
      isSharedUser: options.isSharedUser ?? (() => false),
      ack: (generation) => send({ type: "ack", generation }),
      changed: (fault) => {
        this.#report();
        options.onDisk?.(fault);
      },
    });
    const parts = {
      audit: this.#audit,
      cuts: this.#cuts,
      drift: this.#drift,
      acts: this.acts,
      send,
      sayAlarm: () => this.keyLog.sayAlarm(),
    };
    this.#commands = new LinkCommands({ ...options, ...parts, welcomed: (message) => this.#welcomed(message) });
    this.hops = new LinkHops({
      gateway,
      clock,
      isUp: () => this.#isUp,
      sendText: (text) => this.#socket?.send(text),
      send,
      sender: {
        mark: () => {
          this.#downlink.beatSent();
          return this.#frames.mark();
        },
        answered: (mark, ms) => {
          this.#downlink.beatAnswered();
          this.#frames.answered(mark, ms);
        },
      },
      dead: () => this.#socket?.terminate(),
    });
    options.gateway.onReport((report) => {
      this.#report();
      if (report.state === "online") void this.#gatewayBack();
      else if (report.state === "unsafe" || report.state === "needs-settings") this.#streams.endUnserved();
    });
  }

  async #gatewayBack(): Promise<void> {
    await this.#cuts.finish().catch(() => undefined);
    await this.#drift.compare();
  }

  /** @returns whether this link's room answers, and nothing that arrived by then ended the link (PROTOCOL.md LINK12) */
  async #isHeard(): Promise<boolean> {
    const socket = this.#socket;
    if (!this.#isUp || (await this.hops.beat.once()) === null) return false;
    // In a process that stood still the answer may be old, and the close that followed it lies behind it in the same socket.
    await new Promise((resolve) => setImmediate(resolve));
    return this.#isUp && socket?.readyState === WebSocket.OPEN;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Since when, epoch ms; null while there is no link. */
  get upSinceMs(): number | null {
    return this.#isUp ? this.#upSinceMs : null;
  }

  /** What is wrong with this machine. */
  get machineFaults(): readonly MachineFault[] {
    return this.#disk.said(this.#options.gateway.report, null).machine ?? [];
  }

  get streamCount(): number {
    return this.#streams.count;
  }

  /** What the metrics say about link and streams. */
  get measured(): Pick<Measured, "isLinkUp" | "traffic" | "openStreams" | "streams" | "cuts" | "hops"> {
    const { counts, count } = this.#streams;
    return {
      isLinkUp: this.#isUp,
      traffic: this.#traffic,
      openStreams: count,
      streams: counts,
      cuts: this.#cuts.count,
      hops: this.hops.meter,
    };
  }

  start(): void {
    this.#dial();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#redial);
    this.hops.beat.stop();
    this.#drift.stop();
    this.#disk.stop();
    this.#streams.close();
    const socket = this.#socket;
    socket?.close(1000, "connector stops");
    setTimeout(() => socket?.terminate(), CLOSE_WITHIN_MS).unref();
  }

  /** `gatehouse cut` on this machine: streams end now, the room hears of it when the link is up. */
  async cutOnHost(device: string): Promise<{ streamsClosed: number; removed: number; done: boolean }> {
    return this.#cuts.onHost(device);
  }

  /** The room's word on blocked devices; null without a link. @param unblock a device that may ask again first */
  async askBlocked(unblock: string | null): Promise<BlockedAnswer | null> {
    return this.#isUp ? this.#blocked.ask(unblock) : null;
  }

  /** After `gatehouse cut --all`: what the log revoked ends everywhere. */
  async cutAllOnHost(): Promise<void> {
    for (const device of new Set(this.#options.admitted.grants().map((grant) => grant.statement.device))) await this.#cuts.onHost(device);
  }

  #file(): GatewayFile {
    const file = this.#options.files.read("gateway");
    if (file === null) throw new Error("not enrolled");
    return file;
  }

  #dial(): void {
    if (this.#isStopped) return;
    const { onStatus, version, dialler } = this.#options;
    const file = this.#file();
    onStatus({ state: "dialing" });
    const url = `${file.appOrigin.replace(/^http/, "ws")}/link/${file.gateway}`;
    const dialled = dialRoom({ url, version, dialler, closed: (socket, end) => this.#closed(socket, end) });
    const { socket } = dialled;
    this.#proven = dialled.proven;
    this.#socket = socket;
    this.#traffic.dialled(socket);
    socket.binaryType = "nodebuffer";
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (this.#socket === socket) this.hops.beat.heard();
      if (isBinary) return this.#binary(socket, data);
      const text = data.toString("utf8");
      if (text === ROOM_PONG) return this.hops.beat.pong();
      const message = readMessage(text);
      if (message === null) return;
      if (message.type === "challenge") return this.#hello(socket, message);
      if (message.type === "attention") return this.hops.beat.start(message.busy ? HEARTBEAT_BUSY_MS : HEARTBEAT_IDLE_MS, message.busy);
      // Beside the commands: one that takes its time must not be what is measured.
      if (message.type === "probe" || message.type === "hops") return this.hops.take(message, () => this.#socket === socket);
      if (message.type === "blocked") return this.#blocked.answered(message);
      // At once: frames may follow in the same turn.
      if (message.type === "welcome") {
        this.#frames.isBatching = message.batch ?? false;
        this.#downlink.canSplit = message.split ?? false;
        this.#frames.hasPlaces = message.places ?? false;
      }
      this.#commands.take(message, () => this.#socket === socket);
    });
  }

  #closed(socket: WebSocket, { code, why, atLeastMs: askedMs }: DialEnd): void {
    if (this.#socket !== socket) return;
    this.hops.beat.stop();
    this.#traffic.closed();
    this.#socket = null;
    this.#isUp = false;
    this.#disk.gone();
    this.#blocked.linkGone();
    this.#frames.reset();
    this.#streams.endAll();
    this.#downlink.reset();
    if (this.#isStopped) return;
    const { onStatus, now } = this.#options;
    const final = {
      [CLOSE_LINK_REFUSED]: "refused",
      [CLOSE_SUPERSEDED]: "superseded",
      [CLOSE_LINK_STALE]: "stale",
      [CLOSE_LINK_VERSION]: "version",
    } as const;
    const stop = final[code as keyof typeof final];
    if (stop !== undefined) {
      this.#isStopped = true;
      return onStatus({ state: "stopped", why: stop });
    }
    const upForMs = this.#upSinceMs === null ? 0 : now() - this.#upSinceMs;
    this.#upSinceMs = null;
    // The owner has to settle it: whoever asks more often gains nothing.
    const atLeastMs = code === CLOSE_LINK_QUARANTINED ? RECONNECT_MAX_MS : askedMs;
    const isBroken = code === CLOSE_ABNORMAL;
    const next = nextDial({ sinceMs: this.#lostSinceMs, upForMs, nowMs: now(), atLeastMs, isBroken }, Math.random());
    this.#lostSinceMs = next.sinceMs;
    onStatus({ state: "waiting", ms: next.waitMs, why });
    this.#redial = setTimeout(() => this.#dial(), next.waitMs);
  }

  #binary(socket: WebSocket, data: Buffer): void {
    const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    const { isBatching, hasPlaces } = this.#frames;
    if (!isBatch(bytes) || !isBatching) {
      const frame = decodeFrame(bytes, hasPlaces);
      return typeof frame === "string" ? socket.close(CLOSE_PROTOCOL, frame) : this.#streams.frame(frame);
    }
    const error = batchError(bytes, hasPlaces);
    if (error !== null) return socket.close(CLOSE_PROTOCOL, error);
    this.#frames.together(() => {
      for (const frame of framesOf(bytes, hasPlaces)) this.#streams.frame(frame);
    });
  }

  #hello(socket: WebSocket, challenge: Extract<ToConnector, { type: "challenge" }>): void {
    const { identity, version, gateway, log } = this.#options;
    const file = this.#file();
    const protocol = Math.min(LINK_PROTOCOL, challenge.maxProtocol);
    const connectorNonce = randomBytes(NONCE_BYTES).toString("base64url");
    const { head } = log.state;
    const { gateway: id, generation } = file;
    const proof = linkProofFields({ gateway: id, roomNonce: challenge.nonce, connectorNonce, generation, protocol, head });
    const signature = identity.signTagged("link", joined(proof));
    this.#protocol = protocol;
    const report = this.#disk.said(gateway.report, null);
    this.#reported = JSON.stringify(report);
    const hello: ToRoom = {
      type: "hello",
      protocol,
      version,
      gateway: file.gateway,
      key: identity.publicKey,
      connectorNonce,
      generation: file.generation,
      signature,
      report,
      ...(protocol < 2 ? {} : { head }),
      ...(log.rotations().length === 0 ? {} : { rotations: [...log.rotations()] }),
      batch: true,
      places: true,
    };
    socket.send(JSON.stringify(inWordsOf(protocol, hello)));
  }

  /** Says how the gateway is, when this link's room does not know it: every message would wake it. */
  #report(): void {
    const report = this.#disk.said(this.#options.gateway.report, this.#clockAheadMs);
    const text = JSON.stringify(report);
    if (text === this.#reported || !this.#isUp) return;
    this.#reported = text;
    this.#send({ type: "report", report });
  }

  /** The room believes this machine's proof. */
  #welcomed(message: Extract<ToConnector, { type: "welcome" }>): void {
    const file = this.#file();
    const { now } = this.#options;
    if (message.gateway !== file.gateway || message.origin !== file.origin)
      return this.#socket?.close(CLOSE_PROTOCOL, "another gateway's room");
    this.#proven();
    this.#isUp = true;
    this.#traffic.up();
    this.#upSinceMs = now();
    this.hops.beat.start(HEARTBEAT_IDLE_MS);
    this.#clockAheadMs = clockAheadMs(now(), message.serverTimeMs);
    this.#disk.welcomed(message.generation);
    this.#report();
    this.#options.onStatus({ state: "up", clockAheadMs: this.#clockAheadMs });
    if (this.#protocol >= 2) {
      this.keyLog.linkUp(message.head ?? null);
      this.#audit.linkUp();
    }
    this.#cuts.linkUp();
    // Not waited for: a gateway that takes its time must not hold up the next cut.
    void this.#cuts.finish().catch(() => undefined);
    void this.#drift.linkUp();
  }

  #send(message: ToRoom): void {
    if (this.#socket?.readyState !== WebSocket.OPEN || (!this.#isUp && message.type !== "hello")) return;
    // In the order in which things happened here.
    this.#frames.flush();
    this.#socket.send(JSON.stringify(inWordsOf(this.#protocol, message)));
  }
}

function readMessage(text: string): ToConnector | null {
  try {
    const parsed = toConnectorSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
