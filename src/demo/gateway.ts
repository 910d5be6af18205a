/** A gateway that says that it is a demo: OpenClaw's protocol 4 handshake and pairing, enough to try Gatehouse and to test against. */
import { randomUUID } from "node:crypto";
import http from "node:http";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";
import { connect } from "./handshake.ts";
import type { Caller, ConnectParams } from "./handshake.ts";
import { ingressOf } from "./ingress.ts";
import { Pairing } from "./pairing.ts";
import { Refusal } from "./refusal.ts";
import { NOT_ATTRIBUTED, answerHttp } from "./routes.ts";
import { Settings } from "./settings.ts";
import type { GatewaySettings } from "./settings.ts";

export const DEMO_VERSION = "2026.9.6-demo";

/** OpenClaw's limits (openclaw.md 3.1). */
const MAX_PAYLOAD_BYTES = 26_214_400;
const MAX_HANDSHAKE_BYTES = 65_536;
const HANDSHAKE_MS = 15_000;
const MAX_UNAUTHENTICATED = 32;
const REASON_BYTES = 120;
const TICK_MS = 30_000;
/** How long a restart lasts; clients are told the same number. */
const RESTART_MS = 500;

const METHODS = [
  "config.get", "config.patch", "device.pair.list", "device.pair.approve", "device.pair.reject", "device.pair.remove", "device.pair.rename",
  "device.token.rotate", "device.token.revoke", "gateway.restart.request", "chat.send",
]; // prettier-ignore
const EVENTS = ["connect.challenge", "tick", "shutdown", "device.pair.requested", "device.pair.resolved", "device.pair.changed"];

interface Client extends Caller {
  readonly ws: WebSocket;
  /** Null until the handshake is done. */
  scopes: readonly string[] | null;
  deviceId: string | null;
}

export interface DemoGateway {
  readonly port: number;
  /** @param restartExpectedMs announced to every client before their sockets close, as a gateway that will be back does */
  stop(restartExpectedMs?: number): Promise<void>;
}

export interface DemoOptions {
  /** 0 takes a free one. */
  readonly port: number;
  readonly token: string;
  /** Settings to begin with; those of a fresh OpenClaw unless given. */
  readonly gateway?: GatewaySettings;
  readonly now?: () => number;
  /** Looks for its secret in the token slot alone, as releases before 2026.9.3 do. */
  readonly readsTokenOnly?: boolean;
  /** Takes every peer for one of another machine, as in a container behind a published port. */
  readonly isElsewhere?: boolean;
  /** Refuses every change of its settings with this sentence, as a config that something else writes. */
  readonly refusesSettings?: string;
  /** What it says that it is. */
  readonly version?: string;
  /** Answers so many of the first connects of one address as to somebody who guesses. */
  readonly limitsFirstConnects?: { readonly address: string; readonly count: number; readonly retryAfterMs: number };
  /** Answers paths of a test's own, after the ingress check; true when it did. */
  readonly onRequest?: (request: http.IncomingMessage, response: http.ServerResponse) => boolean;
  /** Takes sockets of a test's own path; true when it did. */
  readonly onSocket?: (ws: WebSocket, request: http.IncomingMessage) => boolean;
}

function refuseUpgrade(socket: Duplex, status: string, type: string, body: string): void {
  socket.end(`HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\nconnection: close\r\n\r\n${body}`);
}

/** Starts the demo gateway on 127.0.0.1. State lives in memory only. */
export async function startDemoGateway(options: DemoOptions): Promise<DemoGateway> {
  const now = options.now ?? ((): number => Date.now());
  const clients = new Set<Client>();
  const settings = new Settings(options.gateway ?? {});
  const pairing = new Pairing(now, (event, payload) => {
    for (const client of clients) if (client.scopes?.includes("operator.pairing") === true) send(client, { type: "event", event, payload });
  });
  let bootId = randomUUID();
  let isRestarting = false;
  let limited = 0;
  let restart: NodeJS.Timeout | undefined;

  function send(client: Client, frame: object): void {
    if (client.ws.readyState === WebSocket.OPEN) client.ws.send(JSON.stringify(frame));
  }

  function tellAll(event: string, payload: object): void {
    for (const client of clients) if (client.scopes !== null) send(client, { type: "event", event, payload });
  }

  function closeDevice(deviceId: string): void {
    for (const client of clients) if (client.deviceId === deviceId) client.ws.close(4001, "device removed");
  }

  /** Everybody goes; meanwhile sockets open but nobody connects, as while OpenClaw's own parts come up again. State stays. */
  function beginRestart(): void {
    isRestarting = true;
    tellAll("shutdown", { reason: "gateway restarting", restartExpectedMs: RESTART_MS });
    for (const client of clients) client.ws.close(1012, "service restart");
    restart = setTimeout(() => {
      isRestarting = false;
      bootId = randomUUID();
    }, RESTART_MS);
  }

  function hello(client: Client, params: ConnectParams): object {
    if (isRestarting) {
      const more = { code: 1013 };
      throw new Refusal("UNAVAILABLE", "gateway starting", { reason: "restarting" }, more);
    }
    const { limitsFirstConnects: limit } = options;
    if (limit !== undefined && client.ingress.remoteIp === limit.address && limited < limit.count) {
      limited += 1;
      const more = { retryAfterMs: limit.retryAfterMs };
      throw new Refusal("UNAVAILABLE", "unauthorized: too many failed authentication attempts", { code: "AUTH_RATE_LIMITED" }, more);
    }
    const { scopes, deviceId, auth } = connect(params, client, {
      secret: options.token,
      settings: settings.gateway,
      pairing,
      readsTokenOnly: options.readsTokenOnly === true,
    });
    client.scopes = scopes;
    client.deviceId = deviceId;
    return {
      type: "hello-ok",
      protocol: 4,
      server: { version: options.version ?? DEMO_VERSION, bootId, connId: randomUUID() },
      features: { methods: METHODS, events: EVENTS },
      snapshot: {},
      auth,
      policy: { maxPayload: MAX_PAYLOAD_BYTES, maxBufferedBytes: 52_428_800, tickIntervalMs: TICK_MS },
    };
  }

  function rpc(own: readonly string[], method: string, params: Readonly<Record<string, unknown>>): object {
    const need = (scope: string): void => {
      if (own.includes(scope) || own.includes("operator.admin")) return;
      throw new Refusal("FORBIDDEN", `missing scope: ${scope}`, { code: "MISSING_SCOPE", missingScope: scope, requiredScopes: [scope] });
    };
    const text = (name: string): string => {
      const value = params[name];
      if (typeof value !== "string") throw new Refusal("INVALID_REQUEST", `invalid ${method} params: at /${name}`);
      return value;
    };
    if (method.startsWith("device.")) need("operator.pairing");
    if (method.startsWith("config.") || method.startsWith("gateway.")) need("operator.admin");
    switch (method) {
      case "device.pair.list":
        return pairing.list((deviceId) => [...clients].some((client) => client.deviceId === deviceId));
      case "device.pair.approve":
        return pairing.approve(text("requestId"), own);
      case "device.pair.reject":
        return pairing.reject(text("requestId"));
      case "device.pair.rename":
        return pairing.rename(text("deviceId"), text("label"));
      case "device.pair.remove":
      case "device.token.revoke":
      case "device.token.rotate": {
        const deviceId = text("deviceId");
        const answer =
          method === "device.pair.remove"
            ? pairing.remove(deviceId)
            : method === "device.token.revoke"
              ? pairing.revokeToken(deviceId, text("role"))
              : pairing.rotateToken(deviceId, text("role"));
        closeDevice(deviceId);
        return answer;
      }
      case "config.get":
        return settings.read();
      case "config.patch": {
        if (options.refusesSettings !== undefined) throw new Refusal("UNAVAILABLE", options.refusesSettings);
        const { answer, isChange, changesTrust } = settings.patch(params);
        // After the answer: it goes out first.
        if (changesTrust) setImmediate(() => clients.forEach((client) => client.ws.close(4001, "gateway policy changed")));
        else if (isChange) setImmediate(() => tellAll("config.changed", {}));
        return answer;
      }
      case "gateway.restart.request":
        setImmediate(beginRestart);
        return { ok: true, status: "scheduled" };
      case "chat.send":
        need("operator.write");
        return { text: `The demo gateway heard: ${text("text").slice(0, 500)}` };
      default:
        throw new Refusal("INVALID_REQUEST", `unknown method: ${method}`);
    }
  }

  function onMessage(client: Client, data: Buffer): void {
    const { ws, scopes } = client;
    if (scopes === null && data.byteLength > MAX_HANDSHAKE_BYTES) return ws.close(1009);
    let frame: { type?: unknown; id?: unknown; method?: unknown; params?: unknown } | null;
    try {
      frame = JSON.parse(data.toString("utf8")) as typeof frame;
    } catch {
      return scopes === null ? ws.close(1000) : undefined;
    }
    if (frame?.type !== "req" || typeof frame.id !== "string" || typeof frame.method !== "string")
      return scopes === null ? ws.close(1008, "invalid request frame") : undefined;
    const { id, method } = frame;
    const params = typeof frame.params === "object" && frame.params !== null ? frame.params : {};
    try {
      const payload = scopes === null ? first(client, method, params) : later(scopes, method, params);
      send(client, { type: "res", id, ok: true, payload });
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal("INVALID_REQUEST", "invalid request");
      const { code, message, details, close } = refusal;
      const retry = code === "UNAVAILABLE" ? { retryable: true, retryAfterMs: close.retryAfterMs ?? RESTART_MS } : {};
      send(client, { type: "res", id, ok: false, error: { code, message, ...(details === undefined ? {} : { details }), ...retry } });
      if (scopes === null) ws.close(close.code, (message + close.more).slice(0, REASON_BYTES));
    }
  }

  function first(client: Client, method: string, params: object): object {
    if (method !== "connect") throw new Refusal("INVALID_REQUEST", "invalid handshake: first request must be connect");
    return hello(client, params);
  }

  function later(own: readonly string[], method: string, params: object): object {
    if (method === "connect") throw new Refusal("INVALID_REQUEST", "connect is only valid as the first request");
    return rpc(own, method, { ...params });
  }

  const trustsLoopback = (): boolean => (settings.gateway.trustedProxies ?? []).includes("127.0.0.1");
  const server = http.createServer((request, response) => {
    answerHttp(request, response, ingressOf(request.headers, trustsLoopback(), options.isElsewhere), options.onRequest);
  });

  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_PAYLOAD_BYTES, perMessageDeflate: false });
  server.on("upgrade", (request, socket, head) => {
    const ingress = ingressOf(request.headers, trustsLoopback(), options.isElsewhere);
    if (ingress.kind === "unattributable-proxy") return refuseUpgrade(socket, "403 Forbidden", "application/json", NOT_ATTRIBUTED);
    const waiting = [...clients].filter((each) => each.scopes === null && each.ingress.remoteIp === ingress.remoteIp).length;
    if (waiting >= MAX_UNAUTHENTICATED)
      return refuseUpgrade(socket, "503 Service Unavailable", "text/plain", "Too many unauthenticated sockets");
    sockets.handleUpgrade(request, socket, head, (ws) => {
      if (options.onSocket?.(ws, request) === true) return;
      const cap = request.headers["x-openclaw-scopes"];
      const client: Client = {
        ws,
        ingress,
        origin: request.headers.origin,
        cap: typeof cap === "string" ? cap.split(",") : null,
        challenge: { nonce: randomUUID(), ts: now() },
        scopes: null,
        deviceId: null,
      };
      clients.add(client);
      const timer = setTimeout(() => client.scopes ?? ws.close(1000), HANDSHAKE_MS);
      ws.on("close", () => {
        clearTimeout(timer);
        clients.delete(client);
      });
      ws.on("error", () => undefined);
      ws.on("message", (data: Buffer) => onMessage(client, data));
      send(client, { type: "event", event: "connect.challenge", payload: { ...client.challenge, capabilities: [] } });
    });
  });

  const tick = setInterval(() => tellAll("tick", { ts: now() }), TICK_MS);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, "127.0.0.1", resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : options.port,
    stop: (restartExpectedMs) =>
      new Promise((resolve) => {
        clearInterval(tick);
        clearTimeout(restart);
        const payload = { reason: "restart", restartExpectedMs };
        if (restartExpectedMs !== undefined) for (const client of clients) send(client, { type: "event", event: "shutdown", payload });
        for (const client of clients) client.ws.close(1012, "service restart");
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
