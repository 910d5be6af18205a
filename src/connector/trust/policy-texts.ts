/** What this machine may give and what waits for an owner, in words for a terminal. */
import { dueAtMs, takesTime } from "../../core/trust/local-policy.ts";
import type { Proposal } from "../../core/trust/key-log-state.ts";
import type { OwnerPolicy, OwnerRole, ProposedChange } from "../../protocol/key-log.ts";
import { PROPOSAL_WAIT_MS } from "../../protocol/limits.ts";

const DAY_MS = 86_400_000;
const ID_CHARS = 12;

function daysText(ms: number): string {
  const days = ms / DAY_MS;
  return days === 1 ? "1 day" : `${Number.isInteger(days) ? days : days.toFixed(2)} days`;
}

/** @returns a policy in a few words */
export function limitsText({ maxAccess, maxExpiryMs }: OwnerPolicy): string {
  return `${maxAccess} access, ${daysText(maxExpiryMs)}`;
}

/** @returns what a policy says, for people */
export function policyText(policy: OwnerPolicy): string {
  return `Remote approval gives at most: ${limitsText(policy)}.`;
}

/** @returns a role, for people */
export function roleText(role: OwnerRole | undefined): string {
  if (role?.kind !== "approver") return "owner";
  return `approver, at most ${role.maxAccess} access for ${daysText(role.maxExpiryMs)}`;
}

function changeText(change: ProposedChange): string {
  switch (change.kind) {
    case "policy":
      return `policy ${limitsText(change.policy)}`;
    case "owner-add":
      return `passkey ${change.key.credentialId.slice(0, ID_CHARS)}… as ${roleText(change.role)}`;
    case "owner-role":
      return `passkey ${change.credentialId.slice(0, ID_CHARS)}… becomes ${roleText(change.role)}`;
    case "resume":
      return `resume after the alarm (${change.alarm})`;
  }
}

/** @returns on what a widening waits: an owner, or time where time is enough */
export function waitText(proposal: Pick<Proposal, "change" | "noticedAtMs">, nowMs: number): string {
  if (!takesTime(proposal.change)) return "It waits for an owner's passkey. Every owner is asked.";
  const due = dueAtMs(proposal);
  if (due !== null) return `It waits for an owner's passkey, or until ${new Date(due).toISOString()}.`;
  const earliest = new Date(nowMs + PROPOSAL_WAIT_MS).toISOString();
  return `It waits for an owner's passkey, or 24 hours after the owners are asked: ${earliest} at the earliest.`;
}

/** @returns one line for each widening that waits */
export function waitingLines(proposals: Iterable<Proposal>, nowMs: number): readonly string[] {
  return [...proposals].map((proposal) => `Waiting: ${changeText(proposal.change)}. ${waitText(proposal, nowMs)}`);
}

/** @returns the same for programs; `untilMs` is null where time alone is never enough, or does not count yet */
export function waitingFacts(proposals: Iterable<Proposal>) {
  return [...proposals].map((proposal) => ({ id: proposal.id, ...proposal.change, untilMs: dueAtMs(proposal) }));
}
