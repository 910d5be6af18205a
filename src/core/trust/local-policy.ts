/** What the gateway's machine may change by its own word, and what waits for an owner (PROTOCOL.md LP). Pure: clock and key log are arguments. */
import type { KeyLogAlarm, KeyLogBody, OwnerPolicy, OwnerRole, ProposedChange, WideningStatement } from "../../protocol/key-log.ts";
import { MAX_PROPOSALS, PROPOSAL_LIFE_MS, PROPOSAL_WAIT_MS } from "../../protocol/limits.ts";
import type { SignedByOwner } from "../../protocol/statements.ts";
import { isWithin } from "./grant-policy.ts";
import type { PinnedKey } from "./judge.ts";
import type { Change, KeyLogProblem, KeyLogState, Proposal, Resumed } from "./key-log-state.ts";
import { addProposedOwner, changeRole, ownerProblem } from "./key-log-owners.ts";
import { readWidening } from "./statement.ts";
import type { ReadStatement } from "./statement.ts";

type Body<Type extends KeyLogBody["type"]> = Extract<KeyLogBody, { type: Type }>;

type Proposals = ReadonlyMap<string, Proposal>;

/** @returns the policy that gives no more than either of the two */
export function narrowerOf(a: OwnerPolicy, b: OwnerPolicy): OwnerPolicy {
  return {
    maxAccess: isWithin(a.maxAccess, b.maxAccess) ? a.maxAccess : b.maxAccess,
    maxExpiryMs: Math.min(a.maxExpiryMs, b.maxExpiryMs),
  };
}

export function isSamePolicy(a: OwnerPolicy, b: OwnerPolicy): boolean {
  return a.maxAccess === b.maxAccess && a.maxExpiryMs === b.maxExpiryMs;
}

/**
 * What a new log takes over from its gateway's last one, by the room's word: it only subtracts (PROTOCOL.md EN13).
 *
 * @returns the policy to write, or null: the former one narrows nothing
 */
export function takenOver(own: OwnerPolicy, former: OwnerPolicy): OwnerPolicy | null {
  const both = narrowerOf(own, former);
  return isSamePolicy(both, own) ? null : both;
}

/** @returns whether `after` gives anything that `before` does not */
export function isWiderPolicy(before: OwnerPolicy, after: OwnerPolicy): boolean {
  return !isSamePolicy(narrowerOf(before, after), after);
}

/** @returns whether a passkey could do more in the role `after`; without a role it is an owner's */
export function isWiderRole(before: OwnerRole | undefined, after: OwnerRole): boolean {
  if (before?.kind !== "approver") return false;
  return after.kind !== "approver" || isWiderPolicy(before, after);
}

/** Whether time alone lets it take effect: never what changes who decides (PROTOCOL.md LP4). */
export function takesTime(change: ProposedChange): boolean {
  return change.kind === "policy" || change.kind === "resume";
}

/** @returns when time alone lets it take effect, by the clock that noticed it; null: never, or not counting yet */
export function dueAtMs({ change, noticedAtMs }: Pick<Proposal, "change" | "noticedAtMs">): number | null {
  return noticedAtMs === null || !takesTime(change) ? null : noticedAtMs + PROPOSAL_WAIT_MS;
}

/** @returns whether two changes are about the same thing: the later proposal takes the place of the earlier */
export function isSameSubject(a: ProposedChange, b: ProposedChange): boolean {
  return subjectOf(a) === subjectOf(b);
}

function subjectOf(change: ProposedChange): string {
  switch (change.kind) {
    case "policy":
    case "resume":
      return change.kind;
    case "owner-add":
      return `owner-add ${change.key.credentialId}`;
    case "owner-role":
      return `owner-role ${change.credentialId}`;
  }
}

function isOver({ noticedAtMs }: Proposal, atMs: number): boolean {
  return noticedAtMs !== null && atMs >= noticedAtMs + PROPOSAL_LIFE_MS;
}

function without(proposals: Proposals, isGone: (proposal: Proposal) => boolean): Proposals {
  return new Map([...proposals].filter(([, proposal]) => !isGone(proposal)));
}

/** @returns what still waits after a passkey went: nothing about that one */
export function withoutKey(proposals: Proposals, credentialIds: readonly string[]): Proposals {
  return without(proposals, ({ change }) => {
    if (change.kind === "owner-add") return credentialIds.includes(change.key.credentialId);
    return change.kind === "owner-role" && credentialIds.includes(change.credentialId);
  });
}

/** Whether the change would widen anything, as the log stands. */
function isWidening(state: KeyLogState, change: ProposedChange): KeyLogProblem | null {
  const held = (credentialId: string): PinnedKey | undefined => state.ownerKeys.find((key) => key.credentialId === credentialId);
  switch (change.kind) {
    case "policy":
      return isWiderPolicy(state.policy, change.policy) ? null : "nothing-changes";
    case "resume":
      return null;
    case "owner-add": {
      const added = addProposedOwner(state, change.key, change.role);
      return typeof added === "string" ? added : null;
    }
    case "owner-role": {
      const key = held(change.credentialId);
      if (key === undefined) return "unknown-owner-key";
      return isWiderRole(key.role, change.role) ? null : "nothing-changes";
    }
  }
}

/** The machine asks for a widening: nothing changes by it (PROTOCOL.md LP1). @param at its place in time, and the hash of its entry */
export function propose(
  state: KeyLogState,
  { change }: Body<"proposal">,
  at: { readonly id: string; readonly atMs: number },
): Change | KeyLogProblem {
  const problem = isWidening(state, change);
  if (problem !== null) return problem;
  const open = without(state.proposals, (each) => isOver(each, at.atMs));
  const same = [...open.values()].find((each) => isSameSubject(each.change, change));
  if (same !== undefined && JSON.stringify(same.change) === JSON.stringify(change)) return "nothing-changes";
  const others = without(open, (each) => each === same);
  if (others.size >= MAX_PROPOSALS) return "too-many-proposals";
  return { proposals: new Map(others).set(at.id, { ...at, change, noticedAtMs: null }) };
}

/** The room has told the owners; from here on time counts. */
export function notice(state: KeyLogState, body: Body<"noticed">, atMs: number): Change | KeyLogProblem {
  const proposal = state.proposals.get(body.proposal);
  if (proposal === undefined) return "unknown-proposal";
  if (proposal.noticedAtMs !== null) return "nothing-changes";
  return { proposals: new Map(state.proposals).set(proposal.id, { ...proposal, noticedAtMs: atMs }) };
}

/** An owner's Cancel. It only subtracts, so the relay may ask for it. */
export function cancel(state: KeyLogState, body: Body<"cancel">): Change | KeyLogProblem {
  if (!state.proposals.has(body.proposal)) return "unknown-proposal";
  return { proposals: without(state.proposals, ({ id }) => id === body.proposal) };
}

/** The machine narrows its policy; what waited to widen it is void, because this is the later word. */
export function narrowPolicy(state: KeyLogState, { policy }: Body<"policy">): Change | KeyLogProblem {
  if (isWiderPolicy(state.policy, policy)) return "needs-owner";
  return { policy, proposals: without(state.proposals, ({ change }) => change.kind === "policy") };
}

/** The machine gives a passkey a smaller role. */
export function narrowRole(state: KeyLogState, body: Body<"owner-role">): Change | KeyLogProblem {
  const known = state.ownerKeys.find((key) => key.credentialId === body.credentialId);
  if (known !== undefined && isWiderRole(known.role, body.role)) return "needs-owner";
  const change = changeRole(state, body);
  return typeof change === "string" ? change : { ...change, proposals: withoutKey(state.proposals, [body.credentialId]) };
}

/**
 * A widening takes effect: by an owner's signature over its entry, or by time alone (PROTOCOL.md LP2-LP4).
 *
 * @param atMs the entry's own clock
 */
export async function takeEffect(state: KeyLogState, body: Body<"effect">, atMs: number): Promise<Change | KeyLogProblem> {
  const proposal = state.proposals.get(body.proposal);
  if (proposal === undefined) return state.effects.has(body.proposal) ? "nothing-changes" : "unknown-proposal";
  if (isOver(proposal, atMs)) return "expired";
  const problem = body.signed === null ? waitProblem(proposal, atMs) : await signatureProblem(state, proposal, body.signed);
  if (problem !== null) return problem;
  const change = effectOf(state, proposal.change, atMs);
  if (typeof change === "string") return change;
  return {
    ...change,
    proposals: without(state.proposals, ({ id }) => id === proposal.id),
    effects: new Set(state.effects).add(proposal.id),
  };
}

function waitProblem(proposal: Proposal, atMs: number): KeyLogProblem | null {
  const due = dueAtMs(proposal);
  if (due === null) return takesTime(proposal.change) ? "too-early" : "needs-owner";
  return atMs < due ? "too-early" : null;
}

/** @returns the statement, when it approves exactly this proposal of this gateway; else null */
export function wideningFor(
  gateway: string,
  proposal: { readonly id: string; readonly change: ProposedChange },
  signed: SignedByOwner,
): ReadStatement<WideningStatement> | null {
  const read = readWidening(signed.statement);
  if (read === null || read.body.gateway !== gateway || read.body.proposal !== proposal.id) return null;
  return JSON.stringify(read.body.change) === JSON.stringify(proposal.change) ? read : null;
}

async function signatureProblem(state: KeyLogState, proposal: Proposal, signed: SignedByOwner): Promise<KeyLogProblem | null> {
  const read = wideningFor(state.gateway, proposal, signed);
  return read === null ? "bad-statement" : ownerProblem(state, "widening", read, signed);
}

function effectOf(state: KeyLogState, change: ProposedChange, atMs: number): Change | KeyLogProblem {
  switch (change.kind) {
    case "policy":
      return { policy: change.policy };
    case "resume":
      return { resumed: { alarm: change.alarm, atMs } };
    case "owner-add":
      return addProposedOwner(state, change.key, change.role);
    case "owner-role":
      return changeRole(state, change);
  }
}

/** @returns whether a resume in force has settled this alarm */
export function isResumed(resumed: Resumed | null, alarm: { readonly alarm: KeyLogAlarm; readonly atMs: number }): boolean {
  return resumed !== null && resumed.alarm === alarm.alarm && alarm.atMs <= resumed.atMs;
}

// --- the room -------------------------------------------------------------------------------------------------------------

/** What the room knows of a widening. Times are of the room's clock. */
export interface RoomProposal {
  readonly id: string;
  readonly change: ProposedChange;
  readonly toldAtMs: number;
  /** `cancelled`: an owner said no, or a later proposal took its place. */
  readonly state: "open" | "due" | "signed" | "cancelled";
  /** The machine acts on it already, and the room does not. */
  readonly isEarly: boolean;
  /** The owner's signature, from the moment the room has verified it. */
  readonly signed: SignedByOwner | null;
  /** When the room tells the machine that time is over; null: not counting. */
  readonly dueAtMs: number | null;
  /** The room has told the machine so at least once. */
  readonly wasDue: boolean;
}

/**
 * What the room does with an effect that the machine's log shows (PROTOCOL.md LP5): the room's own clock and keys decide, not the log.
 *
 * @param isSignedRight the room has verified an owner's signature over this proposal
 * @returns `early`: not obeyed, and an alarm
 */
export function roomVerdict(row: RoomProposal, isSignedRight: boolean, nowMs: number): "follow" | "early" {
  if (isSignedRight && row.state !== "cancelled") return "follow";
  // A Cancel that the machine heard too late, after the room itself said that time is over.
  if (row.state === "cancelled" && !row.wasDue) return "early";
  return followAtMs(row) !== null && nowMs >= (followAtMs(row) ?? 0) ? "follow" : "early";
}

/** @returns when the room may obey an effect without a signature; null: never */
export function followAtMs(row: Pick<RoomProposal, "change" | "toldAtMs">): number | null {
  return takesTime(row.change) ? row.toldAtMs + PROPOSAL_WAIT_MS : null;
}

/** @returns when a proposal that nobody answered is over for the room */
export function endsAtMs(row: Pick<RoomProposal, "toldAtMs">): number {
  return row.toldAtMs + PROPOSAL_LIFE_MS;
}
