/** The data leg: the table of streams, and what may be opened. */
import { brokenAt, encodeClose } from "../../core/link/close-code.ts";
import { BYTES_TWICE, SendOrder } from "../../core/link/frame-order.ts";
import { mayReach } from "../../core/http/gateway-paths.ts";
import { CLOSE_CUT, CLOSE_GATEWAY_GONE, CLOSE_NOT_FOUND, CLOSE_PROTOCOL, CLOSE_SESSION_OVER } from "../../protocol/close-codes.ts";
import { FRAME_DATA, FRAME_OPEN, FRAME_RESET } from "../../protocol/frame.ts";
import type { Frame } from "../../protocol/frame.ts";
import { PROBE_INTERVAL_MS } from "../../protocol/limits.ts";
import { openSchema } from "../../protocol/link-messages.ts";
import type { StreamOpen } from "../../protocol/link-messages.ts";
import type { Admitted } from "../trust/admissions.ts";
import { DeviceAgents } from "./device-agents.ts";
import { forwardedHeaders, isForOwnOrigin } from "./forwarded-headers.ts";
import { HandshakePlaces } from "./handshake-slots.ts";
import { requestFields } from "./header-bytes.ts";
import { HttpStream } from "./http-stream.ts";
import type { OpenclawGateway } from "../openclaw/openclaw-port.ts";
import type { FrameSink, Stream, StreamParts } from "./stream.ts";
import { StreamCounts } from "../measure/stream-counts.ts";
import { WsStream } from "./ws-stream.ts";

const NOT_SERVING = brokenAt("connector-gateway", "gateway not serving");

export interface StreamsOptions extends FrameSink {
  readonly gateway: OpenclawGateway;
  readonly admitted: Admitted;
  /** This gateway's own, from this machine's files. */
  readonly origin: string;
  readonly onDevice: (device: string, event: "paired" | "connected" | "pairing-refused", scopes?: readonly string[]) => void;
  /** Asks the room for a sign of life on this link. @returns false when the link went before one came */
  readonly isHeard: () => Promise<boolean>;
  readonly now: () => number;
}

export class Streams {
  readonly #options: StreamsOptions;
  readonly #streams = new Map<number, Stream>();
  /** Only the data leg uses them; the control leg has a socket of its own. */
  readonly #agents = new DeviceAgents();
  /** Newest stream of each open page of the stock Control UI, by device and page (PROTOCOL.md CR9). */
  readonly #pages = new Map<string, number>();
  readonly #places = new HandshakePlaces();
  readonly #timer: NodeJS.Timeout;
  readonly counts = new StreamCounts();

  constructor(options: StreamsOptions) {
    this.#options = {
      ...options,
      sendFrame: (type, flags, streamId, payload, order) => {
        this.counts.took(type, streamId, payload);
        options.sendFrame(type, flags, streamId, payload, order);
      },
    };
    this.#timer = setInterval(() => this.#tick(), PROBE_INTERVAL_MS);
    this.#timer.unref();
  }

  get count(): number {
    return this.#streams.size;
  }

  /** Devices with connections to the gateway for HTTP. */
  get connectionPools(): number {
    return this.#agents.size;
  }

  /** A frame of the room. */
  frame(frame: Frame): void {
    if (frame.type === FRAME_OPEN) return this.#open(frame);
    const stream = this.#streams.get(frame.streamId);
    this.counts.took(frame.type, frame.streamId, frame.payload);
    if (stream !== undefined) {
      const wrong = stream.order.take(frame);
      return wrong === null ? stream.frame(frame) : stream.end(CLOSE_GATEWAY_GONE, brokenAt("room-connector", wrong), true);
    }
    if (frame.type === FRAME_DATA) this.#reset(frame.streamId, 1001, "unknown stream");
  }

  /** Ends every stream of a device. @returns how many */
  endDevice(device: string): number {
    const own = [...this.#streams].filter(([, stream]) => stream.device === device);
    for (const [, stream] of own) stream.end(CLOSE_CUT, "cut by the owner", true);
    return own.length;
  }

  /** The gateway is not safe to serve any more: every stream ends, and the room hears of each. */
  endUnserved(): void {
    for (const stream of this.#streams.values()) stream.end(CLOSE_GATEWAY_GONE, NOT_SERVING, true);
  }

  /** The link went: nothing is resumed. */
  endAll(): void {
    this.counts.linkGone(this.#streams.size);
    for (const stream of this.#streams.values()) stream.end(1001, brokenAt("room-connector", "connection lost"), false);
    this.#streams.clear();
    this.#pages.clear();
  }

  close(): void {
    clearInterval(this.#timer);
    this.endAll();
    this.#agents.destroy();
  }

  #tick(): void {
    const nowMs = this.#options.now();
    for (const stream of this.#streams.values()) {
      if (stream.expiresAtMs <= nowMs) stream.end(CLOSE_SESSION_OVER, "session over", true);
      else stream.tick();
    }
    this.#agents.sweep();
    const { downlink, uplink } = this.#options;
    if (!downlink.isReminding()) return;
    uplink.together(() => {
      for (const stream of this.#streams.values()) stream.remind();
    });
  }

  #reset(id: number, code: number, reason: string): void {
    this.#options.sendFrame(FRAME_RESET, 0, id, encodeClose(code, reason));
  }

  #open(frame: Frame): void {
    const id = frame.streamId;
    // An id is used once (FR4): what the first one began would stay behind unseen.
    const known = this.#streams.get(id);
    if (known !== undefined) return known.end(CLOSE_GATEWAY_GONE, brokenAt("room-connector", BYTES_TWICE), true);
    let open: StreamOpen;
    try {
      open = openSchema.parse(JSON.parse(new TextDecoder().decode(frame.payload)));
    } catch {
      return this.#reset(id, CLOSE_PROTOCOL, brokenAt("room-connector", "bad open"));
    }
    const { gateway, admitted, origin } = this.#options;
    const admission = admitted.admits(open);
    if (admission === "no-session") return this.#reset(id, CLOSE_SESSION_OVER, "no such session");
    if (admission === "cut") return this.#reset(id, CLOSE_CUT, "cut by the owner");
    if (!gateway.isServing) return this.#reset(id, CLOSE_GATEWAY_GONE, NOT_SERVING);
    if (!mayReach({ kind: open.kind, method: open.method, path: open.path, access: admission.access }))
      return this.#reset(id, CLOSE_NOT_FOUND, "not found");
    if (!isForOwnOrigin(open, origin)) return this.#reset(id, CLOSE_PROTOCOL, brokenAt("room-connector", "another origin"));
    // Only full control may change anything over HTTP; the gateway would wait for a body that reads need not have.
    if (open.kind === "http" && open.hasBody && admission.access !== "full") return this.#reset(id, CLOSE_NOT_FOUND, "not found");
    const headers = forwardedHeaders(open, admission.access, origin);
    if (headers === null) return this.#reset(id, CLOSE_PROTOCOL, brokenAt("device-room", "no sound address"));
    const { sendFrame, sendData } = this.#options;
    const order = new SendOrder();
    const parts: StreamParts = {
      id,
      open,
      headers: requestFields(headers),
      expiresAtMs: admission.expiresAtMs,
      target: gateway.target,
      uplink: this.#options.uplink,
      downlink: this.#options.downlink,
      sendFrame: (type, flags, streamId, payload) => sendFrame(type, flags, streamId, payload, order),
      sendData: (streamId, pieces, back) => sendData(streamId, pieces, back, order),
      now: this.#options.now,
      forget: () => this.#forget(id),
    };
    if (open.kind === "http") {
      this.#start(id, new HttpStream({ ...parts, agent: this.#agents.of(open.device, gateway.target) }));
      return;
    }
    const events = {
      paired: () => this.#options.onDevice(open.device, "paired"),
      connected: (scopes: readonly string[]) => {
        if (watch.page !== null) this.#pageIsBack(id, `${open.device} ${watch.page}`);
        this.#options.onDevice(open.device, "connected", scopes);
      },
      refused: () => this.#options.onDevice(open.device, "pairing-refused"),
    };
    // A machine that stood still may have been replaced, and the device cut there; here it may have been cut while the gateway answered.
    const mayPair = async (): Promise<boolean> => (await this.#options.isHeard()) && typeof admitted.admits(open) !== "string";
    const watch = gateway.watch(open, events, mayPair);
    this.#start(id, new WsStream({ ...parts, watch, places: this.#places }));
  }

  /** A page has one socket: an older one of its was left behind by a sleep or a lost network, and nothing will ever tell. */
  #pageIsBack(id: number, page: string): void {
    const older = this.#pages.get(page);
    this.#pages.set(page, id);
    if (older !== undefined && older !== id)
      this.#streams.get(older)?.end(CLOSE_GATEWAY_GONE, brokenAt("device-room", "the page is back"), true);
  }

  #forget(id: number): void {
    this.#streams.delete(id);
    for (const [page, stream] of this.#pages) if (stream === id) this.#pages.delete(page);
  }

  #start(id: number, stream: Stream): void {
    this.#streams.set(id, stream);
    this.counts.opened += 1;
    stream.start();
  }
}
