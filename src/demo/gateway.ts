/** A gateway that says that it is a demo: OpenClaw's protocol 4 handshake and pairing, enough to try Gatehouse and to test against. */
import { createHash, createPublicKey, randomBytes, randomUUID, verify } from "node:crypto";
import http from "node:http";
import { WebSocket, WebSocketServer } from "ws";
import { ingressOf } from "./ingress.ts";
import type { Ingress } from "./ingress.ts";
import { DEMO_PAGE } from "./page.ts";

export const DEMO_VERSION = "2026.9.6-demo";

const MAX_PAYLOAD_BYTES = 26_214_400;
const SIGNED_AT_WINDOW_MS = 120_000;
const REQUEST_MS = 5 * 60_000;

interface DeviceRecord {
  readonly deviceId: string;
  readonly publicKey: string;
  readonly role: string;
  readonly scopes: readonly string[];
  readonly approvedVia: string;
  readonly approvedAtMs: number;
  readonly token: string;
}
interface PendingRequest {
  readonly requestId: string;
  readonly deviceId: string;
  readonly publicKey: string;
  readonly platform: string;
  readonly clientId: string;
  readonly role: string;
  readonly scopes: readonly string[];
  readonly ts: number;
  refreshedAtMs: number;
}
interface Client {
  readonly ws: WebSocket;
  readonly ingress: Ingress;
  readonly cap: readonly string[] | null;
  readonly nonce: string;
  readonly ts: number;
  scopes: readonly string[];
  deviceId: string | null;
  isReady: boolean;
}
interface ConnectParams {
  readonly client?: { readonly id?: string; readonly mode?: string; readonly platform?: string };
  readonly role?: string;
  readonly scopes?: readonly string[];
  readonly device?: {
    readonly id: string;
    readonly publicKey: string;
    readonly signature: string;
    readonly signedAt: number;
    readonly nonce: string;
  };
  readonly auth?: { readonly token?: string; readonly password?: string; readonly deviceToken?: string };
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
  readonly now?: () => number;
  /** Answers paths of a test's own, after the ingress check; true when it did. */
  readonly onRequest?: (request: http.IncomingMessage, response: http.ServerResponse) => boolean;
  /** Takes sockets of a test's own path; true when it did. */
  readonly onSocket?: (ws: WebSocket, request: http.IncomingMessage) => boolean;
}

class Refusal extends Error {
  readonly details: object;
  readonly code: string;
  constructor(code: string, details: object, message: string) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

function isSigned(params: ConnectParams, client: Client): boolean {
  const { device } = params;
  if (device === undefined) return false;
  const raw = Buffer.from(device.publicKey, "base64url");
  if (raw.byteLength !== 32 || createHash("sha256").update(raw).digest("hex") !== device.id || device.nonce !== client.nonce) return false;
  const token = params.auth?.token ?? params.auth?.deviceToken ?? "";
  const text = [
    "v2",
    device.id,
    params.client?.id,
    params.client?.mode,
    params.role ?? "operator",
    (params.scopes ?? []).join(","),
    device.signedAt,
    token,
    device.nonce,
  ].join("|");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: device.publicKey }, format: "jwk" });
  return verify(null, Buffer.from(text), key, Buffer.from(device.signature, "base64url"));
}

/** Starts the demo gateway on 127.0.0.1. State lives in memory only. */
export async function startDemoGateway(options: DemoOptions): Promise<DemoGateway> {
  const now = options.now ?? ((): number => Date.now());
  let config: {
    gateway: { trustedProxies?: string[]; controlUi?: { allowedOrigins?: string[] }; nodes?: { pairing?: { autoApproveLocal?: boolean } } };
  } = { gateway: {} };
  let revision = 1;
  const paired = new Map<string, DeviceRecord>();
  const pending = new Map<string, PendingRequest>();
  const clients = new Set<Client>();

  function ingress(request: http.IncomingMessage): Ingress {
    return ingressOf(request.headers, (config.gateway.trustedProxies ?? []).includes("127.0.0.1"));
  }

  function send(client: Client, frame: object): void {
    if (client.ws.readyState === WebSocket.OPEN) client.ws.send(JSON.stringify(frame));
  }

  function broadcast(event: string, payload: object): void {
    for (const client of clients)
      if (client.isReady && client.scopes.includes("operator.pairing")) send(client, { type: "event", event, payload });
  }

  function pair(params: ConnectParams, via: string): DeviceRecord {
    const { device } = params;
    const record = {
      deviceId: device?.id ?? "",
      publicKey: device?.publicKey ?? "",
      role: "operator",
      scopes: params.scopes ?? [],
      approvedVia: via,
      approvedAtMs: now(),
      token: randomBytes(32).toString("base64url"),
    };
    paired.set(record.deviceId, record);
    return record;
  }

  function fileRequest(params: ConnectParams): PendingRequest {
    const { device } = params;
    for (const [id, each] of pending) if (now() - each.refreshedAtMs > REQUEST_MS) pending.delete(id);
    const known = [...pending.values()].find((each) => each.deviceId === device?.id);
    if (known !== undefined && (params.scopes ?? []).every((scope) => known.scopes.includes(scope))) {
      known.refreshedAtMs = now();
      return known;
    }
    if (known !== undefined) {
      pending.delete(known.requestId);
      broadcast("device.pair.resolved", { requestId: known.requestId, deviceId: known.deviceId, decision: "rejected", ts: now() });
    }
    const request = {
      requestId: randomUUID(),
      deviceId: device?.id ?? "",
      publicKey: device?.publicKey ?? "",
      platform: params.client?.platform ?? "",
      clientId: params.client?.id ?? "",
      role: params.role ?? "operator",
      scopes: [...new Set([...(known?.scopes ?? []), ...(params.scopes ?? [])])],
      ts: now(),
      refreshedAtMs: now(),
    };
    pending.set(request.requestId, request);
    broadcast("device.pair.requested", request);
    return request;
  }

  function connect(client: Client, params: ConnectParams): object {
    const { auth } = params;
    const isOwnClient = params.client?.id === "gateway-client" && client.ingress === "direct-local";
    const record = params.device === undefined ? undefined : paired.get(params.device.id);
    const hasDeviceToken = record !== undefined && (auth?.deviceToken ?? auth?.token) === record.token;
    const hasSecret = (auth?.token ?? "") !== "" ? auth?.token === options.token : auth?.password === options.token;
    if (!hasSecret && !hasDeviceToken) {
      const code =
        auth?.deviceToken !== undefined
          ? "AUTH_DEVICE_TOKEN_MISMATCH"
          : auth?.token === undefined && auth?.password === undefined
            ? "AUTH_TOKEN_MISSING"
            : "AUTH_TOKEN_MISMATCH";
      throw new Refusal("INVALID_REQUEST", { code }, "unauthorized");
    }
    let scopes = params.scopes ?? [];
    let token: string | undefined;
    if (!isOwnClient) {
      if (params.device === undefined) throw new Refusal("NOT_PAIRED", { code: "DEVICE_IDENTITY_REQUIRED" }, "device identity required");
      if (!isSigned(params, client))
        throw new Refusal("INVALID_REQUEST", { code: "DEVICE_AUTH_SIGNATURE_INVALID" }, "device signature invalid");
      if (Math.abs(params.device.signedAt - client.ts) > SIGNED_AT_WINDOW_MS)
        throw new Refusal("INVALID_REQUEST", { code: "DEVICE_AUTH_SIGNATURE_EXPIRED" }, "device signature expired");
      const isCovered = record !== undefined && scopes.every((scope) => record.scopes.includes(scope));
      const isSilent = client.ingress === "direct-local" && config.gateway.nodes?.pairing?.autoApproveLocal !== false;
      if (!isCovered && !isSilent) {
        const { requestId } = fileRequest(params);
        const reason = record === undefined ? "not-paired" : "scope-upgrade";
        throw new Refusal(
          "NOT_PAIRED",
          {
            code: "PAIRING_REQUIRED",
            reason,
            requestId,
            deviceId: params.device.id,
            recommendedNextStep: "wait_then_retry",
            retryable: true,
          },
          "pairing required",
        );
      }
      ({ token } = isCovered ? record : pair(params, "silent"));
    }
    if (client.cap !== null) scopes = scopes.filter((scope) => client.cap?.includes(scope));
    client.scopes = scopes;
    client.deviceId = params.device?.id ?? null;
    client.isReady = true;
    const method = hasSecret ? "token" : "device-token";
    const policy = { maxPayload: MAX_PAYLOAD_BYTES, maxBufferedBytes: 52_428_800, tickIntervalMs: 30_000 };
    return {
      type: "hello-ok",
      protocol: 4,
      server: { version: DEMO_VERSION, connId: randomUUID() },
      features: { methods: [], events: [] },
      snapshot: {},
      auth: { method, role: "operator", scopes, ...(token === undefined ? {} : { deviceToken: token }) },
      policy,
    };
  }

  function need(client: Client, scope: string): void {
    if (!client.scopes.includes(scope) && !client.scopes.includes("operator.admin"))
      throw new Refusal("FORBIDDEN", { code: "MISSING_SCOPE", missingScope: scope }, `missing scope: ${scope}`);
  }

  function view(record: DeviceRecord): object {
    const { token: _token, ...rest } = record;
    return { ...rest, roles: [record.role], connected: [...clients].some((client) => client.deviceId === record.deviceId) };
  }

  function rpc(client: Client, method: string, params: Record<string, string>): object {
    switch (method) {
      case "device.pair.list":
        need(client, "operator.pairing");
        return { pending: [...pending.values()].map((each) => ({ ...each, roles: [each.role] })), paired: [...paired.values()].map(view) };
      case "device.pair.approve": {
        need(client, "operator.pairing");
        const request = pending.get(params["requestId"] ?? "");
        if (request === undefined) throw new Refusal("INVALID_REQUEST", {}, "unknown requestId");
        pending.delete(request.requestId);
        const record = {
          deviceId: request.deviceId,
          publicKey: request.publicKey,
          role: request.role,
          scopes: request.scopes,
          approvedVia: "owner",
          approvedAtMs: now(),
          token: randomBytes(32).toString("base64url"),
        };
        paired.set(record.deviceId, record);
        broadcast("device.pair.resolved", { requestId: request.requestId, deviceId: request.deviceId, decision: "approved", ts: now() });
        return { requestId: request.requestId, device: view(record) };
      }
      case "device.pair.reject": {
        need(client, "operator.pairing");
        const request = pending.get(params["requestId"] ?? "");
        if (request === undefined) throw new Refusal("INVALID_REQUEST", {}, "unknown requestId");
        pending.delete(request.requestId);
        broadcast("device.pair.resolved", { requestId: request.requestId, deviceId: request.deviceId, decision: "rejected", ts: now() });
        return { requestId: request.requestId, deviceId: request.deviceId };
      }
      case "device.pair.remove": {
        need(client, "operator.pairing");
        const deviceId = params["deviceId"] ?? "";
        if (!paired.delete(deviceId)) throw new Refusal("INVALID_REQUEST", {}, "unknown deviceId");
        for (const other of clients) if (other.deviceId === deviceId) other.ws.close(4001, "device removed");
        return { deviceId };
      }
      case "config.get":
        need(client, "operator.admin");
        return { config, hash: `demo:${revision}` };
      case "config.patch": {
        need(client, "operator.admin");
        if (params["baseHash"] !== `demo:${revision}`) throw new Refusal("INVALID_REQUEST", {}, "config changed");
        config = merge(config, JSON.parse(params["raw"] ?? "{}") as object) as typeof config;
        revision += 1;
        return { ok: true, hash: `demo:${revision}`, config };
      }
      case "chat.send":
        need(client, "operator.write");
        return { text: `The demo gateway heard: ${(params["text"] ?? "").slice(0, 500)}` };
      default:
        throw new Refusal("INVALID_REQUEST", {}, `unknown method: ${method}`);
    }
  }

  const server = http.createServer((request, response) => {
    const path = (request.url ?? "/").split("?", 1)[0];
    if (path === "/healthz" || path === "/health")
      return void response.writeHead(200, { "content-type": "application/json" }).end('{"ok":true,"status":"live"}');
    if (path === "/readyz") return void response.writeHead(200, { "content-type": "application/json" }).end('{"ready":true}');
    if (ingress(request) === "unattributable-proxy")
      return void response.writeHead(403, { "content-type": "application/json" }).end('{"error":{"type":"proxy_attribution_required"}}');
    if (options.onRequest?.(request, response) === true) return;
    if (path === "/demo.js")
      return void response.writeHead(200, { "content-type": "text/javascript; charset=utf-8" }).end(DEMO_PAGE.script);
    const headers = {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy":
        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    };
    response.writeHead(200, headers).end(DEMO_PAGE.html);
  });
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_PAYLOAD_BYTES, perMessageDeflate: false });
  server.on("upgrade", (request, socket, head) => {
    const kind = ingress(request);
    if (kind === "unattributable-proxy")
      return void socket.end(
        'HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{"error":{"type":"proxy_attribution_required"}}',
      );
    sockets.handleUpgrade(request, socket, head, (ws) => {
      if (options.onSocket?.(ws, request) === true) return;
      const cap = request.headers["x-openclaw-scopes"];
      const client: Client = {
        ws,
        ingress: kind,
        cap: typeof cap === "string" ? cap.split(",") : null,
        nonce: randomUUID(),
        ts: now(),
        scopes: [],
        deviceId: null,
        isReady: false,
      };
      clients.add(client);
      ws.on("close", () => clients.delete(client));
      ws.on("error", () => undefined);
      ws.on("message", (data: Buffer) => {
        let frame: { type?: string; id?: string; method?: string; params?: object };
        try {
          frame = JSON.parse(data.toString("utf8")) as typeof frame;
        } catch {
          return ws.close(1000);
        }
        if (frame.type !== "req") return;
        const id = frame.id ?? "";
        try {
          if (!client.isReady && frame.method !== "connect") return ws.close(1008, "invalid handshake: first request must be connect");
          if (frame.method === "connect") {
            const { origin } = request.headers;
            const params = (frame.params ?? {}) as ConnectParams;
            const isPage = params.client?.id === "openclaw-control-ui";
            if (isPage && !(config.gateway.controlUi?.allowedOrigins ?? []).includes(origin ?? "") && kind !== "direct-local") {
              throw new Refusal("INVALID_REQUEST", { code: "CONTROL_UI_ORIGIN_NOT_ALLOWED" }, "origin not allowed");
            }
            return send(client, { type: "res", id, ok: true, payload: connect(client, params) });
          }
          send(client, {
            type: "res",
            id,
            ok: true,
            payload: rpc(client, frame.method ?? "", (frame.params ?? {}) as Record<string, string>),
          });
        } catch (error) {
          const refusal = error instanceof Refusal ? error : new Refusal("INVALID_REQUEST", {}, "invalid request");
          send(client, { type: "res", id, ok: false, error: { code: refusal.code, message: refusal.message, details: refusal.details } });
          if (!client.isReady) ws.close(1008, refusal.message.slice(0, 120));
        }
      });
      send(client, { type: "event", event: "connect.challenge", payload: { nonce: client.nonce, ts: client.ts } });
    });
  });
  const tick = setInterval(() => {
    for (const client of clients) if (client.isReady) send(client, { type: "event", event: "tick", payload: { ts: now() } });
  }, 30_000);
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
        const payload = { reason: "restart", restartExpectedMs };
        if (restartExpectedMs !== undefined) for (const client of clients) send(client, { type: "event", event: "shutdown", payload });
        for (const client of clients) client.ws.close(1012, "service restart");
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Objects merge, everything else is replaced, null removes: as `config.patch` does. */
function merge(before: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const out: Record<string, unknown> = typeof before === "object" && before !== null ? { ...before } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete out[key];
    else out[key] = merge(out[key], value);
  }
  return out;
}
