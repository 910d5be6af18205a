/** What the owner's devices hear of each grant until somebody answers (PROTOCOL.md NT). The room's rows are the truth; the inbox shows them. */
import type { Notice } from "../../../protocol/api.ts";
import type { GrantRefusal } from "../../../protocol/approval-api.ts";
import type { GrantStatement } from "../../../protocol/statements.ts";
import type { Admission } from "../context.ts";
import { accountsThatMay } from "../roles.ts";

type NoticeRow = Omit<Notice, "gateway" | "gatewayName">;

function tell(admission: Admission, row: NoticeRow): void {
  const { gateway, name } = admission.mustMeta();
  void admission.notices.inboxes("answer", (inbox) => inbox.putNotice({ ...row, gateway, gatewayName: name }));
}

/** Says to one account, which may answer from here on, everything that nobody has answered. */
export function showNoticesTo(admission: Admission, account: string): void {
  const { gateway, name } = admission.mustMeta();
  for (const row of admission.storage.all<NoticeRow>("notices"))
    void admission.notices.inboxOf(account, (inbox) => inbox.putNotice({ ...row, gateway, gatewayName: name }));
}

function show(admission: Admission, row: NoticeRow): void {
  admission.storage.put("notices", row.id, row);
  tell(admission, row);
}

function drop(admission: Admission, id: string): void {
  admission.storage.delete("notices", id);
  const { gateway } = admission.mustMeta();
  void admission.notices.inboxes("answer", (inbox) => inbox.dropNotice({ gateway, id }));
}

/** A grant was committed a moment ago. @param by name of the person, or of the passkey, that signed */
export function noticeGrant(
  admission: Admission,
  grant: { readonly id: string; readonly body: GrantStatement },
  by: string | null,
  isByPerson: boolean,
): void {
  const { device, name, access, kind } = grant.body;
  dropNoticesOf(admission, device);
  const isShared = isByPerson || accountsThatMay(admission.storage, "answer").length > 1;
  show(admission, {
    id: grant.id,
    device,
    name,
    access,
    kind: kind === "owner" ? "owner" : "ask",
    state: "granted",
    refusal: null,
    by,
    isShared,
    atMs: admission.options.now(),
  });
}

/** The connector's answer, or its log, changed what is to be said of a grant that nobody answered yet. */
export function changeNotice(
  admission: Admission,
  grant: string,
  change: { readonly state: Notice["state"]; readonly refusal?: GrantRefusal },
): void {
  const row = admission.storage.get<NoticeRow>("notices", grant);
  if (row !== null) show(admission, { ...row, refusal: null, ...change });
}

/** The device is cut, or granted anew: what was asked about it is answered. */
export function dropNoticesOf(admission: Admission, device: string): void {
  for (const row of admission.storage.all<NoticeRow>("notices")) if (row.device === device) drop(admission, row.id);
}

/** The owner's "it was me". Access stays as it is, answered or not. @returns false for a device that is not here */
export function keepDevice(admission: Admission, device: string): boolean {
  const open = admission.storage.all<NoticeRow>("notices").filter((row) => row.device === device);
  if (open.length === 0) return admission.device(device) !== null;
  admission.audit("owner", "device-kept", device, {});
  for (const row of open) drop(admission, row.id);
  return true;
}

/** Says everything again that nobody has answered; an inbox that has it already tells nobody. */
export function showNotices(admission: Admission): void {
  for (const row of admission.storage.all<NoticeRow>("notices")) tell(admission, row);
}

/** Takes away questions about devices whose time is over. @returns when the next one's is, in ms, or null */
export function dropEnded(admission: Admission, nowMs: number): number | null {
  let next: number | null = null;
  for (const row of admission.storage.all<NoticeRow>("notices")) {
    const device = admission.device(row.device);
    if (device === null || device.state === "cut") continue;
    if (device.notAfterMs <= nowMs) drop(admission, row.id);
    else next = Math.min(next ?? device.notAfterMs, device.notAfterMs);
  }
  return next;
}
