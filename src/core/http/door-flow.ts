/** What the door does next: decisions without page, network or clock, so that each can be tested by itself. */
import type { ChallengeResponse } from "../../protocol/door-messages.ts";

/** `wait-for-owner`: goes on by itself once the owner has approved it again. `code-lost`: a one-time code came back, but no decision of the owner waits for it. */
export type DoorStep = "open" | "wait-for-gateway" | "blocked" | "code-lost" | "owner-trip" | "wait-for-owner" | "offer";

/**
 * @param answer the room's answer to this device's challenge
 * @param from how the person came: with a one-time code from the approval page, or through an owner's link
 */
export function doorStep(
  answer: Pick<ChallengeResponse, "standing" | "connector" | "grant">,
  from: { readonly hasCode: boolean; readonly isOwnerLink: boolean },
): DoorStep {
  switch (answer.standing) {
    case "blocked":
      return "blocked";
    case "allowed":
      return answer.connector === null || answer.grant === null ? "wait-for-gateway" : "open";
    case "decided":
      return "wait-for-gateway";
    case "approve-again":
    case "unknown":
      if (from.hasCode) return "code-lost";
      if (from.isOwnerLink) return "owner-trip";
      return answer.standing === "unknown" ? "offer" : "wait-for-owner";
  }
}

/**
 * Whether a waiting page that reaches the room again goes on by itself. It does not with the very grant that was refused a moment ago
 * (its token was lost or used elsewhere): then the owner must be asked again, or the page would go round in circles.
 *
 * @param refusedGrant id of the grant that a session was refused for, if any
 */
export function isAdmittedAnew(answer: Pick<ChallengeResponse, "standing" | "grant">, refusedGrant: string | null): boolean {
  return answer.standing === "allowed" && answer.grant !== null && answer.grant.id !== refusedGrant;
}

/** @returns milliseconds before the next look at a gateway that is away: 3 s at first, up to 20 s, because every look wakes its room */
export function lookAgainMs(looks: number): number {
  return Math.min(20_000, Math.round(3_000 * 1.5 ** Math.min(looks, 20)));
}

/**
 * The address to open once allowed. Only a path of this very origin: `//host` and `/\host` would leave it.
 *
 * @param wanted path with query and fragment, as kept by this tab
 */
export function pathToOpen(wanted: string | null): string {
  return wanted !== null && /^\/(?![/\\])/.test(wanted) ? wanted : "/";
}
