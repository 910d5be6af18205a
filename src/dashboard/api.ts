/** Calls of the dashboard to its API, and the live inbox. */
import type { ApiErrorCode, InboxMessage } from "../protocol/api.ts";

/** The API said no, or nothing was heard of it. */
export class ApiFailure extends Error {
  readonly code: ApiErrorCode | "offline";
  constructor(code: ApiErrorCode | "offline", message: string) {
    super(message);
    this.code = code;
  }
}

/** @throws ApiFailure */
export async function call<T>(method: "GET" | "POST" | "PATCH" | "DELETE", path: string, body?: object): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
  } catch {
    throw new ApiFailure("offline", "Gatehouse cannot be reached. Check this device's network.");
  }
  const value = (await response.json().catch(() => ({}))) as T & { error?: { code: ApiErrorCode; message: string } };
  if (!response.ok) throw new ApiFailure(value.error?.code ?? "internal", value.error?.message ?? "Something went wrong on our side.");
  return value;
}

const PING_MS = 30_000;

/** Keeps the inbox's socket open until `close`, also over sleep and lost networks. */
export function watchInbox(onMessage: (message: InboxMessage) => void): () => void {
  let socket: WebSocket | null = null;
  let isClosed = false;
  let failures = 0;
  const ping = setInterval(() => {
    if (socket?.readyState === WebSocket.OPEN) socket.send("ping");
  }, PING_MS);
  const connect = (): void => {
    if (isClosed) return;
    socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/api/inbox`);
    socket.addEventListener("open", () => {
      failures = 0;
    });
    socket.addEventListener("message", (event) => {
      if (event.data !== "pong") onMessage(JSON.parse(String(event.data)) as InboxMessage);
    });
    socket.addEventListener("close", () => {
      failures += 1;
      if (!isClosed) setTimeout(connect, Math.random() * Math.min(30_000, 500 * 2 ** failures));
    });
  };
  connect();
  return () => {
    isClosed = true;
    clearInterval(ping);
    socket?.close();
  };
}
