/** Widenings that the machine's log asks for: kept, shown to every owner, obeyed or not (PROTOCOL.md LP). Answers of owners: proposal-answers.ts. */
import { DEFAULT_POLICY } from "../../../core/trust/key-log-state.ts";
import { endsAtMs, followAtMs, isSameSubject, narrowerOf, roomVerdict, takesTime } from "../../../core/trust/local-policy.ts";
import type { RoomProposal } from "../../../core/trust/local-policy.ts";
import type { KeyLogAlarm, KeyLogBody, OwnerPolicy, ProposedChange } from "../../../protocol/key-log.ts";
import { PROPOSAL_WAIT_MS } from "../../../protocol/limits.ts";
import type { LinkResult } from "../../../protocol/link-messages.ts";
import type { ProposalNotice } from "../../../protocol/proposals-api.ts";
import type { Admission } from "../context.ts";
import { roleChanged } from "./member-changes.ts";
import type { Owed } from "../storage/rows.ts";

type Step = Extract<Owed, { type: "proposal" }>;

/** A machine whose clock lags says that it is too early: asked again this much later. */
const ASK_AGAIN_MS = 3_600_000;
/** Row of the alarm about such entries. */
const UNFOUNDED = "unfounded";

export function proposalRow(admission: Admission, id: string): RoomProposal | null {
  return admission.storage.get<RoomProposal>("proposals", id);
}

function rows(admission: Admission): RoomProposal[] {
  return admission.storage.all<RoomProposal>("proposals");
}

/** What the machine's policy gives at most, as far as the room obeys its log. */
export function policyOf(admission: Admission): OwnerPolicy {
  return admission.storage.policy() ?? DEFAULT_POLICY;
}

// --- telling the owners -----------------------------------------------------------------------------------------------------

/** @returns the proposal as owners see it */
export function proposalNotice(admission: Admission, row: RoomProposal): ProposalNotice {
  const { gateway, name: gatewayName } = admission.mustMeta();
  const { id, change, isEarly, toldAtMs: atMs } = row;
  const effectAtMs = isEarly ? followAtMs(row) : row.dueAtMs;
  return { id, gateway, gatewayName, change, policy: policyOf(admission), isEarly, atMs, effectAtMs };
}

function isOpen({ state }: RoomProposal): boolean {
  return state === "open" || state === "due";
}

function show(admission: Admission, row: RoomProposal): void {
  admission.storage.put("proposals", row.id, row);
  const notice = proposalNotice(admission, row);
  if (isOpen(row)) void admission.notices.inboxes("keys", (inbox) => inbox.putNotice(notice));
}

/** What waits is shown to one account, which may answer from here on. */
export function showProposalsTo(admission: Admission, account: string): void {
  for (const row of rows(admission).filter(isOpen))
    void admission.notices.inboxOf(account, (inbox) => inbox.putNotice(proposalNotice(admission, row)));
}

/** Says again what waits; an inbox that has it already tells nobody. */
export function showProposals(admission: Admission): void {
  for (const row of rows(admission).filter(isOpen))
    void admission.notices.inboxes("keys", (inbox) => inbox.putNotice(proposalNotice(admission, row)));
}

/** The question is answered. */
export function dropProposalNotice(admission: Admission, id: string): void {
  const { gateway } = admission.mustMeta();
  void admission.notices.inboxes("keys", (inbox) => inbox.dropNotice({ gateway, id }));
}

function close(admission: Admission, row: RoomProposal): void {
  admission.storage.delete("proposals", row.id);
  admission.storage.delete("owed", stepId(row.id));
  dropProposalNotice(admission, row.id);
}

/** @returns the step's name on the link: one at a time for each proposal */
export function stepId(proposal: string): string {
  return `proposal-${proposal}`;
}

/** The room's own alarm: the machine acts on something that no owner approved in time; null: none. */
export function earlyAlarm(admission: Admission): { readonly kind: KeyLogAlarm; readonly atMs: number } | null {
  const early = rows(admission).find((row) => row.isEarly);
  const atMs = early?.toldAtMs ?? admission.storage.get<{ readonly atMs: number }>("meta", UNFOUNDED)?.atMs;
  return atMs === undefined ? null : { kind: "early-effect", atMs };
}

/** The log gives somebody a say without a signature that the room believes: it is not obeyed, and stands as an alarm until another machine is connected. */
export function unfounded(admission: Admission, what: KeyLogBody["type"]): void {
  admission.storage.put("meta", UNFOUNDED, { atMs: admission.options.now() });
  admission.audit("gateway", "alarm-early-effect", null, { what });
  admission.tellInbox();
}

// --- what the machine's log says --------------------------------------------------------------------------------------------

/** A proposal came: every owner is told, and the machine hears so. @returns what it is owed */
export function proposed(admission: Admission, id: string, change: ProposedChange): Step {
  const { storage, options } = admission;
  // One that an owner said no to stays: its effect must be known for what it is.
  for (const row of rows(admission)) if (isOpen(row) && !row.isEarly && isSameSubject(row.change, change)) replace(admission, row);
  show(admission, { id, change, toldAtMs: options.now(), state: "open", isEarly: false, signed: null, dueAtMs: null, wasDue: false });
  admission.audit("host", "proposal-made", null, { what: change.kind });
  options.wakeBy(options.now() + PROPOSAL_WAIT_MS);
  const message = { type: "proposal", id: stepId(id), proposal: id, step: "noticed" } as const;
  storage.owe(message);
  return message;
}

function replace(admission: Admission, row: RoomProposal): void {
  admission.storage.put("proposals", row.id, { ...row, state: "cancelled" } satisfies RoomProposal);
  admission.storage.delete("owed", stepId(row.id));
  dropProposalNotice(admission, row.id);
}

/** The machine recorded that the owners were told: from here on the room counts, by its own clock. */
export function noticed(admission: Admission, id: string): void {
  const row = proposalRow(admission, id);
  if (row === null || row.dueAtMs !== null || !takesTime(row.change)) return;
  const dueAtMs = admission.options.now() + PROPOSAL_WAIT_MS;
  show(admission, { ...row, dueAtMs });
  admission.options.wakeBy(dueAtMs);
}

/** The machine narrowed its policy; what waited to widen it is void there (PROTOCOL.md LP6). */
export function narrowed(admission: Admission, policy: OwnerPolicy): void {
  admission.storage.setPolicy(narrowerOf(policyOf(admission), policy));
  voided(admission, (change) => change.kind === "policy");
}

/** A passkey went, or got a smaller role: what waited about it is void. */
export function voidedKey(admission: Admission, credentialId: string): void {
  voided(admission, (change) =>
    change.kind === "owner-add" ? change.key.credentialId === credentialId : change.kind === "owner-role" && change.credentialId === credentialId,
  ); // prettier-ignore
}

/** What waited is void in the machine's log. */
export function voided(admission: Admission, isVoid: (change: ProposedChange) => boolean): void {
  for (const row of rows(admission)) if (row.state !== "cancelled" && !row.isEarly && isVoid(row.change)) replace(admission, row);
}

/** The log shows an effect. @returns false when the copy has no such proposal: no log of ours says that */
export function tookEffect(admission: Admission, id: string, isSignedRight: boolean): boolean {
  const row = proposalRow(admission, id);
  if (row === null) return false;
  if (roomVerdict(row, isSignedRight, admission.options.now()) === "follow") follow(admission, row);
  else {
    show(admission, { ...row, isEarly: true });
    admission.audit("gateway", "alarm-early-effect", null, { what: row.change.kind });
    const atMs = followAtMs(row);
    if (atMs !== null) admission.options.wakeBy(atMs);
    admission.tellInbox();
  }
  return true;
}

/** The room does what the widening says. */
export function follow(admission: Admission, row: RoomProposal): void {
  const { storage } = admission;
  const { change } = row;
  close(admission, row);
  admission.audit("host", "proposal-in-force", null, { what: change.kind });
  switch (change.kind) {
    case "policy":
      storage.setPolicy(change.policy);
      break;
    case "owner-add": {
      const { key, role } = change;
      storage.put("owner_keys", key.credentialId, role.kind === "owner" ? key : { ...key, role });
      break;
    }
    case "owner-role": {
      const { credentialId, role } = change;
      for (const key of storage.ownerKeys())
        if (key.credentialId === credentialId) storage.put("owner_keys", credentialId, { ...key, role });
      roleChanged(admission, credentialId, role);
      break;
    }
    case "resume":
      admission.keyLog.resumed(change.alarm);
      break;
  }
  admission.tellInbox();
}

// --- time and answers of the machine ------------------------------------------------------------------------------------------

/**
 * What time alone brings (one that is signed or due waits for the machine's word): a widening that is due, one that is over, an effect that may be obeyed now.
 *
 * @returns what the machine is owed now, and the next time in ms, or null
 */
export function sweepProposals(admission: Admission, nowMs: number): { readonly due: readonly Step[]; readonly next: number | null } {
  const due: Step[] = [];
  let next: number | null = null;
  const later = (atMs: number): void => {
    next = next === null ? atMs : Math.min(next, atMs);
  };
  for (const row of rows(admission)) {
    const followMs = followAtMs(row);
    if (row.isEarly) {
      if (row.state === "cancelled" || followMs === null) continue;
      if (followMs <= nowMs) admission.storage.transaction(() => follow(admission, row));
      else later(followMs);
    } else if (row.state === "signed" || row.state === "due") continue;
    else if (endsAtMs(row) <= nowMs) close(admission, row);
    else if (row.state === "open" && row.dueAtMs !== null && row.dueAtMs <= nowMs) {
      const message = { type: "proposal", id: stepId(row.id), proposal: row.id, step: "due" } as const;
      admission.storage.transaction(() => {
        admission.storage.put("proposals", row.id, { ...row, state: "due", wasDue: true } satisfies RoomProposal);
        admission.storage.owe(message);
      });
      due.push(message);
    } else later(row.state === "open" ? (row.dueAtMs ?? endsAtMs(row)) : endsAtMs(row));
  }
  return { due, next };
}

/** The machine took the step, or not; what it did then stands in its log. */
export function proposalSettled(admission: Admission, message: Step, result: LinkResult): void {
  const { storage, options } = admission;
  const row = proposalRow(admission, message.proposal);
  storage.delete("owed", message.id);
  if (result.ok || row === null) return;
  if (result.refusal === "too-early") {
    const dueAtMs = options.now() + ASK_AGAIN_MS;
    show(admission, { ...row, state: "open", dueAtMs });
    options.wakeBy(dueAtMs);
  } else if (message.step === "signed" && result.refusal !== "expired") show(admission, { ...row, state: "open", signed: null });
  else if (message.step !== "cancel") close(admission, row);
  admission.audit("gateway", "proposal-refused", null, { what: row.change.kind, why: result.refusal ?? "unknown" });
  admission.tellInbox();
}

/** Another machine begins a new log: what the old one asked for is void. Inside a transaction. */
export function forgetProposals(admission: Admission): void {
  for (const row of rows(admission)) close(admission, row);
  admission.storage.setPolicy(null);
  admission.storage.setAlarm(null);
  admission.storage.delete("meta", UNFOUNDED);
}
