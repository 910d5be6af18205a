/** What the devices that wait and the grants that nobody has answered for are called. */
import type { Notice, WaitingCard } from "../protocol/api.ts";
import type { GrantRefusal } from "../protocol/approval-api.ts";
import { ACCESS, TEXTS } from "./texts.ts";

export const REFUSAL: Readonly<Record<GrantRefusal, string>> = {
  "over-ceiling":
    "The owner policy on that machine does not give that much access, or not for so long. Allow less, or raise the policy there with: gatehouse policy",
  "stale-head": "Something was cut on this gateway while that decision was on its way. If the device may still come in, let it ask again.",
  alarm: "That machine raised an alarm and admits nobody new until somebody there has looked.",
  "unknown-owner-key":
    "That machine does not know the passkey. Confirm it with an earlier passkey, with your recovery key or on that machine: your account page shows the ways.",
  other: "It did not accept what was signed, or it came too late. Let the device ask again.",
};

/** What a screen reader hears when the waiting devices change; empty when nobody waits. */
export function announcement(cards: readonly WaitingCard[]): string {
  const newest = cards.at(-1);
  if (newest === undefined) return "";
  const text = `${newest.claims.name} asks to use “${newest.gatewayName}”.`;
  return cards.length === 1 ? text : `${text} ${cards.length} devices wait.`;
}

/** One line about a grant; its age is shown beside it. */
export function noticeText(notice: Notice): string {
  const { name, gatewayName, access, by, state } = notice;
  const whom = `${name} on “${gatewayName}”`;
  const how = `${ACCESS[access].toLowerCase()}${by === null ? "" : `, by ${by}`}`;
  switch (state) {
    case "granted":
      return `Allowed ${whom}: ${how}.`;
    case "refused":
      return `The gateway's machine refused ${whom}: ${how}.`;
    case "lapsed":
      return `An approval of ${whom} was signed and never finished on the device that asked, so it was ended (${how}). If you did not press “I am the owner” yourself, somebody sent you that link: tell the others who own this gateway.`;
  }
}

/** What the person is asked about a grant: by itself, or by one of several people. */
export function noticeQuestion({ isShared }: Notice, isOverdue: boolean): string {
  const asked = isShared === true ? TEXTS.noticeAskShared : TEXTS.noticeAsk;
  return isOverdue ? `${TEXTS.noticeOverdue} ${asked}` : asked;
}
