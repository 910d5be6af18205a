/** A client of OpenClaw's protocol 4 as the tests need it: any headers, any device key, every frame and close kept. */
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import http from "node:http";
import { WebSocket } from "ws";

export interface Frame {
  readonly type: string;
  readonly id?: string;
  readonly event?: string;
  readonly ok?: boolean;
  readonly payload?: Record<string, unknown>;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly details?: Readonly<Record<string, unknown>>;
    readonly retryAfterMs?: number;
  };
}

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export interface OpenclawKey {
  readonly id: string;
  readonly publicKey: string;
  readonly privateKey: KeyObject;
}

/** What a connect frame says; everything has the stock page's value unless given. */
export interface Connecting {
  readonly key?: OpenclawKey;
  readonly client?: { readonly id: string; readonly mode: string };
  readonly platform?: string;
  readonly role?: string;
  readonly scopes?: readonly string[];
  readonly auth?: Readonly<Record<string, string>>;
  /** Added to the challenge's time, in milliseconds. */
  readonly signedAtOffsetMs?: number;
  readonly nonce?: string;
  readonly protocol?: number;
  readonly buildId?: string;
}

/** The gateway answered an upgrade with something else than 101. */
export class UpgradeRefused extends Error {
  readonly status: number;
  readonly body: string;

  constructor(status: number, body: string) {
    super(`upgrade answered ${status}`);
    this.status = status;
    this.body = body;
  }
}

/** A fresh Ed25519 device key with OpenClaw's id of it. */
export function newKey(): OpenclawKey {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const raw = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
  return { privateKey, publicKey: raw.toString("base64url"), id: createHash("sha256").update(raw).digest("hex") };
}

export class GatewayClient {
  readonly frames: Frame[] = [];
  readonly closed: Promise<Closed>;
  readonly #ws: WebSocket;
  readonly #waiting = new Set<() => void>();
  #isClosed = false;
  #nextId = 1;

  private constructor(ws: WebSocket) {
    this.#ws = ws;
    ws.on("message", (data: Buffer) => {
      this.frames.push(JSON.parse(data.toString("utf8")) as Frame);
      for (const wake of this.#waiting) wake();
    });
    this.closed = new Promise((resolve) => {
      ws.on("close", (code, reason) => {
        this.#isClosed = true;
        for (const wake of this.#waiting) wake();
        resolve({ code, reason: reason.toString("utf8") });
      });
    });
  }

  /** Opens a socket. @throws UpgradeRefused with the status and body of another answer than 101 */
  static dial(port: number, headers: Readonly<Record<string, string>> = {}, path = "/"): Promise<GatewayClient> {
    const ws = new WebSocket(`ws://127.0.0.1:${port}${path}`, { perMessageDeflate: false, headers: { ...headers } });
    const client = new GatewayClient(ws);
    return new Promise((resolve, reject) => {
      ws.on("open", () => resolve(client));
      ws.on("error", reject);
      ws.on("unexpected-response", (request, response) => {
        let body = "";
        response.on("data", (data: Buffer) => (body += data.toString("utf8")));
        response.on("close", () => {
          reject(new UpgradeRefused(response.statusCode ?? 0, body));
          request.destroy();
        });
      });
    });
  }

  /** The first frame that matches, also one that has come already. */
  async frame(matches: (frame: Frame) => boolean, what: string): Promise<Frame> {
    for (;;) {
      const seen = this.frames.find(matches);
      if (seen !== undefined) return seen;
      if (this.#isClosed) throw new Error(`${what}: the gateway closed first`);
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }

  event(name: string, matches: (payload: Record<string, unknown>) => boolean = () => true): Promise<Record<string, unknown>> {
    return this.frame((frame) => frame.event === name && matches(frame.payload ?? {}), name).then((frame) => frame.payload ?? {});
  }

  send(text: string): void {
    this.#ws.send(text);
  }

  /** One request. @returns the answer, whether it is ok or not */
  request(method: string, params: object = {}): Promise<Frame> {
    const id = String(this.#nextId);
    this.#nextId += 1;
    this.send(JSON.stringify({ type: "req", id, method, params }));
    return this.frame((frame) => frame.type === "res" && frame.id === id, method);
  }

  /** @returns the payload @throws Error with the gateway's message when it refuses */
  async call<T = Record<string, unknown>>(method: string, params: object = {}): Promise<T> {
    const answer = await this.request(method, params);
    if (answer.ok !== true) throw new Error(answer.error?.message ?? "refused");
    return answer.payload as T;
  }

  /** Answers the challenge. */
  async connect(connecting: Connecting): Promise<Frame> {
    const challenge = await this.event("connect.challenge");
    const { key, role = "operator", scopes = ["operator.read"], auth = {}, protocol = 4 } = connecting;
    const { client = { id: "openclaw-control-ui", mode: "webchat" }, platform = "Linux x86_64" } = connecting;
    const nonce = connecting.nonce ?? String(challenge["nonce"]);
    const signedAt = Number(challenge["ts"]) + (connecting.signedAtOffsetMs ?? 0);
    const token = auth["token"] ?? auth["deviceToken"] ?? auth["bootstrapToken"] ?? "";
    const text = ["v2", key?.id, client.id, client.mode, role, scopes.join(","), signedAt, token, nonce].join("|");
    const device =
      key === undefined
        ? {}
        : {
            device: {
              id: key.id,
              publicKey: key.publicKey,
              signature: sign(null, Buffer.from(text), key.privateKey).toString("base64url"),
              signedAt,
              nonce,
            },
          };
    return this.request("connect", {
      minProtocol: protocol,
      maxProtocol: protocol,
      client: { ...client, version: "0.1.0", platform, ...(connecting.buildId === undefined ? {} : { buildId: connecting.buildId }) },
      role,
      scopes,
      auth,
      ...device,
    });
  }

  close(): void {
    this.#ws.close();
  }
}

/** One plain HTTP exchange with exactly these headers. */
export function exchange(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  method = "GET",
): Promise<{ readonly status: number; readonly type: string; readonly headers: http.IncomingHttpHeaders; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: "127.0.0.1", port, path, method, headers: { ...headers }, agent: false }, (response) => {
      let body = "";
      response.on("data", (data: Buffer) => (body += data.toString("utf8")));
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, type: response.headers["content-type"] ?? "", headers: response.headers, body }),
      );
    });
    request.on("error", reject);
    request.end();
  });
}
