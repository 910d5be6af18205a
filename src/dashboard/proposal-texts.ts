/** What a gateway's machine asks for, in words. */
import type { ProposalNotice } from "../protocol/proposals-api.ts";
import { ACCESS, roleText } from "./texts.ts";

const DAY_MS = 86_400_000;
const ID_CHARS = 12;

function limits({ maxAccess, maxExpiryMs }: ProposalNotice["policy"]): string {
  const days = Math.round((maxExpiryMs / DAY_MS) * 100) / 100;
  return `${ACCESS[maxAccess].toLowerCase()} for ${days} ${days === 1 ? "day" : "days"}`;
}

/** @returns one or two sentences: what would change, and from what */
export function changeText({ change, policy, gatewayName }: Pick<ProposalNotice, "change" | "policy" | "gatewayName">): string {
  const where = `The machine of “${gatewayName}” asks`;
  switch (change.kind) {
    case "policy":
      return `${where} to let owners give more: ${limits(change.policy)}. Now: ${limits(policy)}.`;
    case "owner-add":
      return `${where} that passkey ${change.key.credentialId.slice(0, ID_CHARS)}… decides. ${roleText(change.role)}.`;
    case "owner-role":
      return `${where} for a wider role of passkey ${change.credentialId.slice(0, ID_CHARS)}…. ${roleText(change.role)}.`;
    case "resume":
      return `${where} to admit new devices again, after an alarm.`;
  }
}
