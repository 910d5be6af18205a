/** What a connector says to a room of the version before (PROTOCOL.md LINK4): words that such a room does not know would end the link there. */
import type { GatewayReport, Refusal, ToRoom } from "../../protocol/link-messages.ts";

const LATER_REFUSALS: ReadonlySet<Refusal> = new Set([
  "over-ceiling",
  "stale-head",
  "alarm",
  "last-owner-key",
  "no-difference",
  "too-early",
]);
/** What comes closest among the words of version 1. */
const REASONS: Readonly<Partial<Record<NonNullable<GatewayReport["reason"]>, GatewayReport["reason"]>>> = {
  "auth-mode": "settings-missing",
  "way-in-refused": "too-old",
  "not-local": "settings-missing",
  "settings-not-taken": "settings-refused",
  "connector-copied": "stranger-admitted",
};

function report(now: GatewayReport): GatewayReport {
  if (now.state === "needs-settings") return { ...now, state: "unsafe", reason: "settings-missing" };
  const { reason } = now;
  return reason === undefined ? now : { ...now, reason: REASONS[reason] ?? reason };
}

/**
 * @param message in the words of this version
 * @param protocol version that both ends of the link speak
 * @returns the same in words of that version
 */
export function inWordsOf(protocol: number, message: ToRoom): ToRoom {
  if (protocol >= 2) return message;
  switch (message.type) {
    case "hello":
    case "report":
      return { ...message, report: report(message.report) };
    case "result": {
      const { refusal } = message;
      return refusal !== undefined && LATER_REFUSALS.has(refusal) ? { ...message, refusal: "bad-statement" } : message;
    }
    default:
      return message;
  }
}
