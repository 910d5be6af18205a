/** One dial to the room: opens the WebSocket and keeps the first cause of its end (PROTOCOL.md MA). */
import type { IncomingMessage } from "node:http";
import type { createConnection } from "node:net";
import { WebSocket } from "ws";
import { retryAfterMs } from "../../core/link/link-backoff.ts";
import { answerCause } from "../../core/link/dial-cause.ts";
import type { OddAnswer } from "../../core/link/dial-cause.ts";
import { apiErrorSchema } from "../../protocol/api-errors.ts";
import { LINK_HANDSHAKE_MS, MAX_BATCH_BYTES } from "../../protocol/limits.ts";
import type { Dialler } from "../network/dialler.ts";

const MAX_BODY_CHARS = 4_096;
const READ_WITHIN_MS = 2_000;

/** How a dial, or the link that came of it, ended. */
export interface DialEnd {
  readonly code: number;
  readonly why: string;
  /** `Retry-After` of an HTTP answer; 0 without one. */
  readonly atLeastMs: number;
}

export interface DialOptions {
  readonly url: string;
  readonly version: string;
  /** Without one the socket is plain and direct. */
  readonly dialler: Dialler | undefined;
  /** Called once. */
  readonly closed: (socket: WebSocket, end: DialEnd) => void;
}

/** @returns the socket, and what to call once the room believes this machine: until then the dial has a time limit */
export function dialRoom({ url, version, dialler, closed }: DialOptions): { readonly socket: WebSocket; readonly proven: () => void } {
  const target = new URL(url);
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    maxPayload: MAX_BATCH_BYTES,
    handshakeTimeout: LINK_HANDSHAKE_MS,
    headers: { "user-agent": `gatehouse/${version}` },
    ...(dialler === undefined ? {} : { createConnection: dialler.connector(target) as unknown as typeof createConnection }),
  });
  // Only the first cause is true: `terminate` raises an error of its own.
  let why: string | null = null;
  let atLeastMs = 0;
  const handshake = setTimeout(() => {
    why ??= "the control plane did not finish the handshake in time";
    socket.terminate();
  }, 2 * LINK_HANDSHAKE_MS);
  socket.on("unexpected-response", (_request, response) => {
    void readOddAnswer(response).then((answer) => {
      why ??= answerCause(answer);
      atLeastMs = answer.retryAfterMs;
      return socket.terminate();
    });
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    why ??= dialler === undefined ? (error.code ?? error.message) : dialler.cause(target, error).message;
  });
  socket.on("close", (code, reason) => {
    clearTimeout(handshake);
    closed(socket, { code, why: reason.toString("utf8") || (why ?? "connection lost"), atLeastMs });
  });
  return { socket, proven: () => clearTimeout(handshake) };
}

/** @returns status, wait and, where the body is the control plane's, its code; a slow or long body is not waited for */
async function readOddAnswer(response: IncomingMessage): Promise<OddAnswer> {
  const { location } = response.headers;
  return {
    status: response.statusCode ?? 0,
    retryAfterMs: retryAfterMs(response.headers["retry-after"]),
    location: location !== undefined && URL.canParse(location) ? new URL(location).origin : null,
    code: codeOf(await firstText(response)),
  };
}

function firstText(response: IncomingMessage): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const done = (): void => {
      clearTimeout(late);
      resolve(text);
    };
    const late = setTimeout(done, READ_WITHIN_MS);
    response.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (text.length > MAX_BODY_CHARS) done();
    });
    for (const end of ["end", "error", "close"] as const) response.once(end, done);
  });
}

function codeOf(text: string): string | null {
  try {
    const parsed = apiErrorSchema.safeParse(JSON.parse(text));
    return parsed.success && /^[a-z-]{1,40}$/.test(parsed.data.error.code) ? parsed.data.error.code : null;
  } catch {
    return null;
  }
}
