/** Calls of the dashboard to its API, and the live inbox. */
import type { InboxMessage, InboxNotice, WaitingCard } from "../protocol/api.ts";
import type { ApiErrorCode } from "../protocol/api-errors.ts";
import { mustAsk, redialMs, stepLine } from "./inbox.ts";
import type { Line, LineEvent, LineState } from "./inbox.ts";
import { TEXTS } from "./texts.ts";

/** The API said no, or nothing was heard of it. The message is for people. */
export class ApiFailure extends Error {
  readonly code: ApiErrorCode | "offline";
  constructor(code: ApiErrorCode | "offline", message: string) {
    super(message);
    this.code = code;
  }
}

/** Something that the person can mend; its text is for them. */
export class Told extends Error {}

/** @returns what to show for a failure: never what a browser or library says to its developers */
export function inWords(reason: unknown): string {
  return reason instanceof ApiFailure || reason instanceof Told ? reason.message : TEXTS.unknown;
}

/** Whether the same call may succeed in a moment. */
export function isPassing(reason: unknown): boolean {
  return reason instanceof ApiFailure && ["offline", "unavailable", "internal", "too-many"].includes(reason.code);
}

export function isSignedOut(reason: unknown): boolean {
  return reason instanceof ApiFailure && reason.code === "not-signed-in";
}

/** @throws ApiFailure */
export async function call<T>(method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE", path: string, body?: object): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
  } catch {
    throw new ApiFailure("offline", TEXTS.noNetwork);
  }
  const value = (await response.json().catch(() => ({}))) as T & { error?: { code: ApiErrorCode; message: string } };
  if (!response.ok) throw new ApiFailure(value.error?.code ?? "internal", value.error?.message ?? TEXTS.noAnswer);
  return value;
}

/** Devices that wait for a decision, and grants that nobody has answered for yet. @throws ApiFailure */
export function inboxList(): Promise<{ readonly requests: WaitingCard[]; readonly notices: InboxNotice[] }> {
  return call("GET", "/api/requests");
}

const PING_MS = 30_000;
const ASK_MS = 5_000;
const CLOSE_SIGNED_OUT = 4401;

export interface InboxEvents {
  message(message: InboxMessage): void;
  state(state: LineState): void;
  signedOut(): void;
}

/** Keeps the inbox's socket open until the returned function is called, also over sleep and lost networks; asks when no socket opens. */
export function watchInbox(events: InboxEvents): () => void {
  let socket: WebSocket | null = null;
  let isOver = false;
  let line: Line = { state: "connecting", closes: 0 };
  let redial: ReturnType<typeof setTimeout> | undefined;
  const step = (event: LineEvent): void => {
    const before = line.state;
    line = stepLine(line, event);
    if (line.state !== before) events.state(line.state);
  };
  const over = (): void => {
    isOver = true;
    events.signedOut();
  };
  const connect = (): void => {
    clearTimeout(redial);
    if (isOver) return;
    const dialled = new WebSocket(`${location.origin.replace(/^http/, "ws")}/api/inbox`);
    socket = dialled;
    dialled.addEventListener("open", () => step("opened"));
    dialled.addEventListener("message", (event) => {
      if (event.data !== "pong") events.message(JSON.parse(String(event.data)) as InboxMessage);
    });
    dialled.addEventListener("close", ({ code }) => {
      if (socket !== dialled || isOver) return;
      if (code === CLOSE_SIGNED_OUT) return over();
      step("closed");
      redial = setTimeout(connect, redialMs(line, Math.random()));
      void ask();
    });
  };
  const ask = async (): Promise<void> => {
    if (isOver || !mustAsk(line)) return;
    try {
      const list = await inboxList();
      if (line.state === "live" || isOver) return;
      events.message({ type: "list", ...list });
      step("answered");
    } catch (reason) {
      if (isSignedOut(reason)) over();
      else step("unanswered");
    }
  };
  const ping = setInterval(() => {
    if (socket?.readyState === WebSocket.OPEN) socket.send("ping");
  }, PING_MS);
  const asking = setInterval(() => void ask(), ASK_MS);
  // The browser knows before any time-out does.
  const lost = (): void => {
    step("closed");
    step("unanswered");
  };
  window.addEventListener("offline", lost);
  window.addEventListener("online", connect);
  connect();
  return () => {
    isOver = true;
    clearInterval(ping);
    clearInterval(asking);
    clearTimeout(redial);
    window.removeEventListener("offline", lost);
    window.removeEventListener("online", connect);
    socket?.close();
  };
}
