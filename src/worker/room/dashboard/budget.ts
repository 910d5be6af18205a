/** What follows when the day's budget is nearly or wholly used up (PROTOCOL.md BU), and what the owner may change about it. */
import { CLOSE_BUDGET } from "../../../protocol/close-codes.ts";
import type { Budget, Usage } from "../../../protocol/usage.ts";
import type { Admission } from "../context.ts";

const USED_UP = "this gateway's budget of today is used up; again from 00:00 UTC";

/** Whether one more stream may open: while the budget lasts every allowed device's, then only the owner's own. */
export function mayStream(admission: Admission, device: string): boolean {
  return admission.meter.level !== "over" || isOwners(admission, device);
}

function isOwners(admission: Admission, device: string): boolean {
  // The operator's ceiling holds for the owner, too.
  return !admission.meter.isOverCeiling && admission.device(device)?.kind === "owner";
}

/** The meter reached 80 % or all of the budget: recorded, told, and at the end carried out. */
export function budgetReached(admission: Admission, level: "warned" | "over"): void {
  const { today, share } = admission.meter.view(0);
  const detail = { percent: Math.floor(share * 100), microUsd: Math.round(today.microUsd), bytes: today.bytes };
  admission.audit("gatehouse", level === "over" ? "budget-used-up" : "budget-warned", null, detail);
  showBudgetNotice(admission);
  if (level === "over") admission.relay.endOthers((device) => isOwners(admission, device), CLOSE_BUDGET, USED_UP);
  admission.tellInbox();
}

/** Says in the owner's inbox what was reached today; nothing when there is nothing, or the owner has read it. */
export function showBudgetNotice(admission: Admission): void {
  const { unread } = admission.meter;
  if (unread === null) return;
  const { gateway, name } = admission.mustMeta();
  const { atMs, untilMs } = unread;
  const state = unread.level === "over" ? "budget-used-up" : "budget-warned";
  void admission.notices.inboxes("manage", (inbox) =>
    inbox.putNotice({ id: budgetNoticeId(gateway), gateway, gatewayName: name, state, atMs, untilMs }),
  );
}

function dropBudgetNotice(admission: Admission): void {
  const { gateway } = admission.mustMeta();
  void admission.notices.inboxes("manage", (inbox) => inbox.dropNotice({ gateway, id: budgetNoticeId(gateway) }));
}

function budgetNoticeId(gateway: string): string {
  return `budget-${gateway}`;
}

export function usageOf(admission: Admission): Usage {
  return admission.meter.view(admission.storage.sizeBytes);
}

/** The owner's word. One that is used up already ends the others' streams at once. */
export function setBudget(admission: Admission, budget: Budget): Usage {
  admission.audit("owner", "budget-set", null, { microUsd: budget.microUsd, bytes: budget.bytes });
  dropBudgetNotice(admission);
  admission.meter.setBudget(budget);
  admission.tellInbox();
  return usageOf(admission);
}

/** The owner has read what was reached. */
export function readBudgetNotice(admission: Admission): void {
  admission.meter.read();
  dropBudgetNotice(admission);
}
