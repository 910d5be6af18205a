/** The connector's own loopback socket to the gateway: RPC and events as `gateway-client`/`backend` (openclaw.md 1.4, A). No visitor's byte ever crosses it. */
import { randomUUID } from "node:crypto";
import { WebSocket } from "ws";
import * as z from "zod";
import { HOP_ROUND_MS, MAX_BUILD_CHARS } from "../../protocol/limits.ts";
import { gatewayUrl, pinnedTls } from "./dial.ts";
import type { Discovered } from "./discover.ts";
import { GatewayAwayError } from "./openclaw-port.ts";

const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 10_000;
const CLOSE_WITHIN_MS = 1_000;
const REQUEST_TIMEOUT_MS = 20_000;
const MAX_PAYLOAD_BYTES = 32 * 1024 * 1024;

const frameSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("event"), event: z.string(), payload: z.unknown().optional() }),
  z.object({
    type: z.literal("res"),
    id: z.string(),
    ok: z.boolean(),
    payload: z.unknown().optional(),
    error: z
      .object({ code: z.string(), message: z.string(), details: z.looseObject({ code: z.string().optional() }).optional() })
      .optional(),
  }),
]);

const helloSchema = z.object({
  server: z.object({ version: z.string(), buildId: z.string().optional(), controlUiBuildSource: z.string().optional() }),
});

/** The gateway answered a request with an error. */
export class GatewayRefusedError extends Error {
  override name = "GatewayRefusedError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** @returns whether the gateway takes this connector for a client of another machine: such a one may do nothing there */
export function isNotLocal(error: unknown): boolean {
  return error instanceof GatewayRefusedError && error.code === "MISSING_SCOPE";
}

export type ControlState =
  | {
      readonly state: "away";
      readonly why: "not-running" | "starting" | "restarting" | "auth-failed" | "no-secret";
      readonly restartExpectedMs?: number;
    }
  /** `build`: of the Control UI that the gateway came with; none when it serves another one (openclaw.md 3.4). */
  | { readonly state: "ready"; readonly version: string; readonly build?: string };

export interface ControlEvents {
  onState(state: ControlState): void;
  onEvent(event: string, payload: unknown): void;
}

/** A gateway that was connected to. */
export type Reached = Discovered & { readonly secret: NonNullable<Discovered["secret"]> };

export class ControlLeg {
  readonly #discover: () => Discovered;
  readonly #events: ControlEvents;
  #socket: WebSocket | null = null;
  #isReady = false;
  #reached: Reached | null = null;
  /** The gateway answered at the second of its two addresses. */
  #prefersOther = false;
  #isStopped = false;
  #retryMs = RETRY_MIN_MS;
  #timer: NodeJS.Timeout | undefined;
  #restartExpectedMs: number | null = null;
  #nextId = 1;
  readonly #pending = new Map<string, { resolve(payload: unknown): void; reject(error: Error): void }>();

  /** @param discover asked before every dial, so that a changed secret is picked up */
  constructor(discover: () => Discovered, events: ControlEvents) {
    this.#discover = discover;
    this.#events = events;
  }

  /** The gateway that answered last, at the address where it did, with the secret that it took; null before the first time. */
  get reached(): Reached | null {
    return this.#reached;
  }

  start(): void {
    this.#dial();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    const socket = this.#socket;
    socket?.close();
    // A gateway that hangs must not keep this process.
    setTimeout(() => socket?.terminate(), CLOSE_WITHIN_MS).unref();
  }

  /**
   * Calls one method of the gateway.
   *
   * @returns its payload, still to be parsed
   * @throws GatewayAwayError when the socket is down or goes; GatewayRefusedError with the gateway's code
   */
  request(method: string, params: object): Promise<unknown> {
    if (!this.#isReady) return Promise.reject(new GatewayAwayError("the gateway is not connected"));
    return this.#send(method, params);
  }

  /**
   * One protocol ping (RFC 6455 §5.5.2): the gateway's own event loop answers it, nothing else is asked of it.
   *
   * @returns once the answer is here; throws GatewayAwayError when the socket is down or goes, or nothing comes
   */
  ping(): Promise<void> {
    const socket = this.#socket;
    if (!this.#isReady || socket?.readyState !== WebSocket.OPEN)
      return Promise.reject(new GatewayAwayError("the gateway is not connected"));
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        socket.off("pong", answered);
        socket.off("close", gone);
        act();
      };
      const answered = (): void => settle(resolve);
      const gone = (): void => settle(() => reject(new GatewayAwayError("the gateway went away")));
      const timer = setTimeout(gone, HOP_ROUND_MS);
      socket.on("pong", answered);
      socket.on("close", gone);
      socket.ping();
    });
  }

  #send(method: string, params: object): Promise<unknown> {
    const socket = this.#socket;
    if (socket === null || socket.readyState !== WebSocket.OPEN)
      return Promise.reject(new GatewayAwayError("the gateway is not connected"));
    const id = `gatehouse-${this.#nextId}`;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new GatewayAwayError(`${method} was not answered`));
      }, REQUEST_TIMEOUT_MS);
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        act();
      };
      this.#pending.set(id, { resolve: (payload) => settle(() => resolve(payload)), reject: (error) => settle(() => reject(error)) });
      socket.send(JSON.stringify({ type: "req", id, method, params }));
    });
  }

  /** @param isSecond nobody listens at the first of two addresses */
  #dial(isSecond = false): void {
    if (this.#isStopped) return;
    let found: Discovered;
    try {
      found = this.#discover();
    } catch {
      return this.#again({ state: "away", why: "not-running" });
    }
    if (found.secret === null) return this.#again({ state: "away", why: "no-secret" });
    const { secret } = found;
    const ways = this.#prefersOther && found.other !== null ? [found.other, found.target] : [found.target, found.other];
    const target = (isSecond ? ways[1] : ways[0]) ?? found.target;
    let isOpen = false;
    const socket = new WebSocket(`${gatewayUrl(target, "ws")}/`, {
      ...pinnedTls(target),
      perMessageDeflate: false,
      maxPayload: MAX_PAYLOAD_BYTES,
    });
    this.#socket = socket;
    let why: Extract<ControlState, { state: "away" }>["why"] = "not-running";
    socket.on("message", (data: Buffer) => {
      const frame = parseFrame(data);
      if (frame === null) return;
      if (frame.type === "res") return this.#settle(frame);
      if (frame.event === "connect.challenge") {
        this.#connect({ ...found, target, secret }).catch((error: unknown) => {
          why = error instanceof GatewayRefusedError && error.code.startsWith("AUTH_") ? "auth-failed" : "starting";
          socket.close();
        });
        return;
      }
      if (frame.event === "shutdown") {
        const expected = z.object({ restartExpectedMs: z.number() }).safeParse(frame.payload);
        this.#restartExpectedMs = expected.success ? expected.data.restartExpectedMs : null;
        if (expected.success) why = "restarting";
      }
      this.#events.onEvent(frame.event, frame.payload);
    });
    socket.on("error", () => undefined);
    socket.on("open", () => {
      isOpen = true;
      this.#prefersOther = target === found.other;
    });
    socket.on("close", (code) => {
      if (!isOpen && !isSecond && ways[1] !== null) return this.#dial(true);
      if (this.#socket === socket) this.#socket = null;
      this.#isReady = false;
      for (const pending of this.#pending.values()) pending.reject(new GatewayAwayError("the gateway went away"));
      this.#pending.clear();
      if (code === 1012) why = "restarting";
      if (code === 1013) why = "starting";
      const restartExpectedMs =
        why === "restarting" && this.#restartExpectedMs !== null ? { restartExpectedMs: Math.round(this.#restartExpectedMs) } : {};
      this.#again({ state: "away", why, ...restartExpectedMs });
    });
  }

  async #connect(found: Reached): Promise<void> {
    const { secret } = found;
    const payload = await this.#send("connect", {
      minProtocol: 4,
      maxProtocol: 4,
      client: { id: "gateway-client", version: "0.1.0", platform: process.platform, mode: "backend", instanceId: randomUUID() },
      role: "operator",
      scopes: ["operator.pairing", "operator.admin", "operator.read"],
      auth: secret.kind === "token" ? { token: secret.value } : { password: secret.value },
    });
    const { version, buildId, controlUiBuildSource } = helloSchema.parse(payload).server;
    const isNamed = controlUiBuildSource === "bundled" && buildId !== undefined && buildId !== "" && buildId.length <= MAX_BUILD_CHARS;
    this.#isReady = true;
    this.#reached = found;
    this.#retryMs = RETRY_MIN_MS;
    this.#restartExpectedMs = null;
    this.#events.onState({ state: "ready", version, ...(isNamed ? { build: buildId } : {}) });
  }

  #settle(frame: Extract<z.infer<typeof frameSchema>, { type: "res" }>): void {
    const pending = this.#pending.get(frame.id);
    this.#pending.delete(frame.id);
    if (pending === undefined) return;
    if (frame.ok) pending.resolve(frame.payload);
    else
      pending.reject(
        new GatewayRefusedError(frame.error?.details?.code ?? frame.error?.code ?? "UNKNOWN", frame.error?.message ?? "refused"),
      );
  }

  #again(state: ControlState): void {
    if (this.#isStopped) return;
    this.#events.onState(state);
    this.#timer = setTimeout(() => this.#dial(), this.#retryMs * (0.5 + Math.random() / 2));
    this.#retryMs = Math.min(RETRY_MAX_MS, this.#retryMs * 2);
  }
}

function parseFrame(data: Buffer): z.infer<typeof frameSchema> | null {
  try {
    const parsed = frameSchema.safeParse(JSON.parse(data.toString("utf8")));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
