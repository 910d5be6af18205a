/** Every connection of this program to the control plane: directly, or by CONNECT through an HTTP proxy (RFC 9110 §9.3.6). */
import http from "node:http";
import https from "node:https";
import net from "node:net";
import tls from "node:tls";
import { dialCause } from "../../core/link/dial-cause.ts";
import { proxyFor, shownProxy } from "./outbound-proxy.ts";
import type { ProxyChoice, ProxySettings } from "./outbound-proxy.ts";

const CONNECT_WITHIN_MS = 10_000;
const ANSWER_WITHIN_MS = 15_000;
const MAX_ANSWER_BYTES = 1_048_576;

/** No connection; the message names address, cause and cure, and never a password. */
export class DialError extends Error {
  override name = "DialError";
  /** As Node names it, or `PROXY_STATUS`. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** A whole answer, whatever its status. */
export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Takes the socket when it is ready: `createConnection` of `http.request` and `ws`. */
type Opened = (error: Error | null, socket: net.Socket) => void;

class ProxyStatusError extends Error {
  readonly code = "PROXY_STATUS";
  readonly status: number;

  constructor(status: number) {
    super(`the proxy answered ${status}`);
    this.status = status;
  }
}

/** Marks errors of the way to the proxy, as opposed to those of the target behind it. */
class ProxyWayError extends Error {
  readonly code: string;

  constructor(cause: NodeJS.ErrnoException) {
    super(cause.message);
    this.code = cause.code ?? "UNKNOWN";
  }
}

function portOf(url: URL): number {
  return Number(url.port || (url.protocol === "https:" || url.protocol === "wss:" ? 443 : 80));
}

function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "");
}

/** Names below `localhost` do not resolve everywhere outside browsers. */
function dialHost(url: URL): string {
  return url.hostname.endsWith(".localhost") ? "127.0.0.1" : bareHost(url);
}

/** Opens a tunnel. @param opened hears once of the tunnel, or of what failed on the way to it */
function tunnel(proxy: URL, target: URL, opened: (outcome: net.Socket | Error) => void): void {
  const authority = `${target.hostname}:${portOf(target)}`;
  const { username, password } = proxy;
  const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const headers = {
    host: authority,
    ...(username === "" && password === "" ? {} : { "proxy-authorization": `Basic ${Buffer.from(login, "utf8").toString("base64")}` }),
  };
  const where = { host: bareHost(proxy), port: portOf(proxy), servername: net.isIP(bareHost(proxy)) === 0 ? bareHost(proxy) : "" };
  // `agent: false`: a tunnel is never shared with another request.
  const request = (proxy.protocol === "https:" ? https : http).request({
    ...where,
    method: "CONNECT",
    path: authority,
    headers,
    agent: false,
  });
  const late = setTimeout(() => {
    request.destroy(Object.assign(new Error("no answer to CONNECT"), { code: "ETIMEDOUT" }));
  }, CONNECT_WITHIN_MS);
  request.once("connect", (response, socket, head) => {
    clearTimeout(late);
    if (response.statusCode !== 200) {
      socket.destroy();
      return opened(new ProxyStatusError(response.statusCode ?? 0));
    }
    if (head.byteLength > 0) socket.unshift(head);
    opened(socket);
  });
  request.on("error", (error: NodeJS.ErrnoException) => {
    clearTimeout(late);
    opened(new ProxyWayError(error));
  });
  request.end();
}

export class Dialler {
  readonly #settings: ProxySettings;

  /** @param settings without them every connection is direct */
  constructor(settings: ProxySettings = { https: null, http: null, noProxy: [] }) {
    this.#settings = settings;
  }

  /** @returns the proxy that this target takes, or why it takes none */
  choice(url: URL): ProxyChoice {
    return proxyFor(this.#settings, url);
  }

  /**
   * Opens the socket for one request, with TLS where the target wants it.
   *
   * @returns a `createConnection` for `http.request` and `ws`
   */
  connector(url: URL): (options: object, opened: Opened) => net.Socket | undefined {
    const { proxy } = this.choice(url);
    const isSecure = url.protocol === "https:" || url.protocol === "wss:";
    const host = bareHost(url);
    // An address has no server name (RFC 6066 §3).
    const servername = net.isIP(host) === 0 ? host : "";
    return (_options, done) => {
      const way = { host: dialHost(url), port: portOf(url) };
      if (proxy === null) return isSecure ? tls.connect({ ...way, servername, ALPNProtocols: ["http/1.1"] }) : net.connect(way);
      let isDone = false;
      tunnel(proxy, url, (outcome) => {
        if (isDone) return;
        isDone = true;
        if (outcome instanceof Error) return (done as (error: Error) => void)(outcome);
        done(null, isSecure ? tls.connect({ socket: outcome, host, servername, ALPNProtocols: ["http/1.1"] }) : outcome);
      });
      return undefined;
    };
  }

  /** @returns what a failed dial to this address means, for people */
  cause(url: URL, error: Error): DialError {
    const { proxy } = this.choice(url);
    const code = (error as NodeJS.ErrnoException).code ?? "UNKNOWN";
    const isProxy = error instanceof ProxyWayError || error instanceof ProxyStatusError;
    const failure = {
      code,
      message: error.message,
      target: `${url.hostname}:${portOf(url)}`,
      proxy: proxy === null ? null : shownProxy(proxy),
      isProxy,
    };
    return new DialError(code, dialCause(error instanceof ProxyStatusError ? { ...failure, status: error.status } : failure));
  }

  /** Sends JSON. @returns the whole answer, following nothing; throws DialError */
  post(url: URL, body: object): Promise<Answer> {
    const text = JSON.stringify(body);
    return this.#request(url, "POST", { "content-type": "application/json", "content-length": String(Buffer.byteLength(text)) }, text);
  }

  /** @returns the whole answer, following nothing; throws DialError */
  get(url: URL): Promise<Answer> {
    return this.#request(url, "GET", {}, "");
  }

  #request(url: URL, method: string, headers: http.OutgoingHttpHeaders, body: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const request = (url.protocol === "https:" ? https : http).request({
        host: bareHost(url),
        port: portOf(url),
        method,
        path: `${url.pathname}${url.search}`,
        headers: { host: url.host, ...headers },
        createConnection: this.connector(url),
      });
      const failed = (error: Error): void => {
        clearTimeout(late);
        reject(this.cause(url, error));
      };
      const late = setTimeout(() => {
        request.destroy(Object.assign(new Error("no answer"), { code: "ETIMEDOUT" }));
      }, ANSWER_WITHIN_MS);
      request.once("error", failed);
      request.once("response", (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.byteLength;
          if (bytes > MAX_ANSWER_BYTES) response.destroy(Object.assign(new Error("the answer is too long"), { code: "EMSGSIZE" }));
          else chunks.push(chunk);
        });
        response.once("error", failed);
        response.once("end", () => {
          clearTimeout(late);
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
        });
      });
      request.end(body);
    });
  }
}

/** @returns the body as JSON, or null when it is none */
export function jsonOf(answer: Answer): unknown {
  try {
    return JSON.parse(answer.body.toString("utf8"));
  } catch {
    return null;
  }
}
