/** What changes for a person with its standing: what it is shown, and what follows when its passkey changes elsewhere (PROTOCOL.md PE4, PE5). */
import { mayDo } from "../../../core/trust/roles.ts";
import type { OwnerRole } from "../../../protocol/key-log.ts";
import type { Admission } from "../context.ts";
import { showNoticesTo } from "../devices/new-device-alerts.ts";
import { cardOf } from "../pairing/requests.ts";
import { byWhom } from "../roles.ts";
import type { Who } from "../roles.ts";
import type { PersonRow } from "../storage/member-rows.ts";
import type { RequestRow } from "../storage/rows.ts";

/** What waits already is shown to whom it concerns from here on. */
export function welcome(admission: Admission, row: PersonRow): void {
  const { storage, notices } = admission;
  if (mayDo(row.role.kind, "decide"))
    for (const request of storage.all<RequestRow>("requests"))
      void notices.inboxOf(row.account, (inbox) => inbox.put(cardOf(admission, request)));
  if (mayDo(row.role.kind, "answer")) showNoticesTo(admission, row.account);
  admission.tellInbox();
}

/** Inside a transaction: from its commit on the account is nobody here. */
export function forget(admission: Admission, row: PersonRow, action: string, who: Who | null): void {
  admission.storage.delete("persons", row.id);
  admission.outbox.add({ kind: "member-gone", gatewayId: admission.mustMeta().gateway, accountId: row.account });
  admission.audit(who?.role ?? "host", action, null, { whom: row.name, role: row.role.kind, ...byWhom(who) });
}

function personWith(admission: Admission, credentialId: string): PersonRow | undefined {
  return admission.storage.persons().find((row) => row.passkey.credentialId === credentialId && row.state === "confirmed");
}

/** A passkey of a person lost its word by another way than here: on the host, by the recovery key, on the account page. */
export function passkeyLost(admission: Admission, credentialId: string): void {
  const row = personWith(admission, credentialId);
  if (row === undefined || row.role.kind === "viewer") return;
  forget(admission, row, "person-removed", null);
  admission.personGone(row);
}

/** The host gave a person's passkey another role. */
export function roleChanged(admission: Admission, credentialId: string, role: OwnerRole): void {
  const row = personWith(admission, credentialId);
  if (row === undefined) return;
  const { gateway } = admission.mustMeta();
  admission.storage.put("persons", row.id, { ...row, role } satisfies PersonRow);
  admission.outbox.add({ kind: "member", row: { gatewayId: gateway, accountId: row.account, role: role.kind } });
  if (!mayDo(role.kind, "answer"))
    void admission.notices.inboxOf(row.account, (inbox) => inbox.forgetGateway({ gateway, state: admission.state() }));
  welcome(admission, { ...row, role });
}

/** The machine did not take what an owner signed: the person waits again, and is nobody until an owner signs anew. */
export function confirmationRefused(admission: Admission, credentialId: string): void {
  const row = personWith(admission, credentialId);
  if (row === undefined) return;
  waitAgain(admission, row, true);
}

/** Another machine begins a new key log: whoever had a say in the old one is confirmed anew. */
export function confirmAllAnew(admission: Admission): void {
  for (const row of admission.storage.persons())
    if (row.state === "confirmed" && row.role.kind !== "viewer") waitAgain(admission, row, false);
}

function waitAgain(admission: Admission, row: PersonRow, isRefused: boolean): void {
  const { gateway } = admission.mustMeta();
  admission.storage.put("persons", row.id, { ...row, state: "accepted", isRefused } satisfies PersonRow);
  admission.outbox.add({ kind: "member-gone", gatewayId: gateway, accountId: row.account });
  void admission.notices.inboxOf(row.account, (inbox) => inbox.forgetGateway({ gateway, state: admission.state() }));
}
