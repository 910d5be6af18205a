/** What waits for the owner, as messages and lists change it. */
import type { InboxMessage, InboxNotice, WaitingCard } from "../protocol/api.ts";

/** @returns the cards after a message, in the order in which the devices asked; the same array when nothing changed */
export function applyInbox(cards: readonly WaitingCard[], message: InboxMessage): readonly WaitingCard[] {
  switch (message.type) {
    case "list":
      return message.requests;
    case "request":
      return cards.some((card) => card.id === message.request.id)
        ? cards.map((card) => (card.id === message.request.id ? message.request : card))
        : [...cards, message.request];
    case "request-gone":
      return cards.some((card) => card.id === message.request) ? cards.filter((card) => card.id !== message.request) : cards;
    default:
      return cards;
  }
}

/** @returns the notices after a message, newest first; the same array when nothing changed */
export function applyNotices(notices: readonly InboxNotice[], message: InboxMessage): readonly InboxNotice[] {
  switch (message.type) {
    case "list":
      return message.notices.length === 0 && notices.length === 0 ? notices : message.notices;
    case "notice":
      return notices.some((notice) => notice.id === message.notice.id)
        ? notices.map((notice) => (notice.id === message.notice.id ? message.notice : notice))
        : [message.notice, ...notices];
    case "notice-gone":
      return notices.some((notice) => notice.id === message.id) ? notices.filter((notice) => notice.id !== message.id) : notices;
    default:
      return notices;
  }
}

/** How the dashboard hears of changes. `polling`: no socket, so it asks; `offline`: nothing answers. */
export type LineState = "connecting" | "live" | "polling" | "offline";

/** Closes without an opening in between after which asking starts: some networks let no WebSocket through. */
const CLOSES_BEFORE_POLLING = 2;

export type LineEvent = "opened" | "closed" | "answered" | "unanswered";

export interface Line {
  readonly state: LineState;
  /** Closes since the last opening. */
  readonly closes: number;
}

/** @returns the line after an event of its socket (`opened`, `closed`) or of a question asked instead (`answered`, `unanswered`) */
export function stepLine(line: Line, event: LineEvent): Line {
  switch (event) {
    case "opened":
      return { state: "live", closes: 0 };
    case "closed":
      return { state: line.state === "live" ? "connecting" : line.state, closes: line.closes + 1 };
    case "answered":
      return line.state === "live" ? line : { ...line, state: "polling" };
    case "unanswered":
      return line.state === "live" ? line : { ...line, state: "offline" };
  }
}

/** @returns whether to ask for the list meanwhile */
export function mustAsk(line: Line): boolean {
  return line.state !== "live" && line.closes >= CLOSES_BEFORE_POLLING;
}

/** @returns milliseconds until the socket is tried again: full jitter, half a minute at most. @param random from 0 to 1 */
export function redialMs(line: Line, random: number): number {
  return random * Math.min(30_000, 500 * 2 ** Math.min(line.closes, 10));
}
