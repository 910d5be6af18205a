/** What the activity list says of one event. */
import { BYTES_MISSING, BYTES_TWICE } from "../core/link/frame-order.ts";
import { LEG_TEXT } from "../core/link/hop-name.ts";
import type { AuditEvent } from "../protocol/api.ts";
import { connectedAnew } from "./approve-again-texts.ts";
import { TOO_MUCH_AT_ONCE } from "../protocol/close-codes.ts";

const ACTIONS: Readonly<Record<string, string>> = {
  "signed-up": "Account made",
  "signed-in": "Signed in",
  "signed-in-with-recovery-code": "Signed in with a recovery code",
  "signed-out-everywhere": "Signed out everywhere",
  "passkey-added": "Passkey added",
  "passkey-removed": "Passkey removed",
  "recovery-codes-renewed": "Recovery codes renewed",
  "recovery-key-made": "Recovery key made",
  "recovery-key-used": "Recovery key used",
  "owner-key-added": "Passkey may decide for the gateway",
  "owner-key-removed": "Passkey may no longer decide for the gateway",
  "recovery-key-set": "Recovery key told to the gateway",
  "owners-recovered": "Passkeys of the gateway changed by the recovery key",
  "owner-key-refused": "The gateway's machine refused a new passkey",
  "owner-remove-refused": "The gateway's machine refused to take a passkey out",
  "recovery-key-refused": "The gateway's machine refused a recovery key",
  "recover-refused": "The gateway's machine refused the recovery key's word",
  "log-owner-role": "Passkey's role was made smaller on the gateway's machine",
  "log-recovery-key": "Recovery key taken out on the gateway's machine",
  "log-recover": "Passkeys changed by the recovery key on the gateway's machine",
  "connector-enrolled": "Machine connected to the gateway",
  "gateway-unsafe": "Gateway closed for safety",
  "gateway-needs-settings": "Gateway waits until its owner applies OpenClaw's settings",
  "settings-applied": "OpenClaw's settings applied",
  "settings-not-applied": "OpenClaw's settings were not applied",
  "secret-rotated": "OpenClaw's password changed",
  "secret-not-rotated": "OpenClaw's password was not changed",
  "connector-copied": "A copy of the gateway's machine tried to connect and was refused",
  "gateway-quarantined": "Gateway closed: two machines fight over it",
  "copy-let-in": "A copy of the gateway's machine that was refused may connect",
  "quarantine-ended": "Gateway opened again after two machines fought over it",
  "person-invited": "Person invited",
  "invitation-withdrawn": "Invitation withdrawn",
  "person-accepted": "Invitation accepted, waits for an owner",
  "person-declined": "Person turned down",
  "person-confirmed": "Person confirmed",
  "person-removed": "Person removed",
  "person-left": "Person left",
  asked: "A device asked to be allowed",
  "request-allowed": "Request answered: allowed",
  "request-denied": "Request denied",
  "request-expired": "Request ended: nobody answered",
  "request-wrong-code": "Request ended: wrong digits three times",
  "request-withdrawn": "Request withdrawn",
  "wrong-match-code": "Wrong digits typed",
  allow: "Device allowed",
  "grant-applied": "Allowance took effect on the gateway",
  "grant-refused": "The gateway's machine refused the allowance",
  "session-opened": "Device connected",
  "device-paired": "OpenClaw accepted the device",
  "device-connected": "Control page connected",
  "device-pairing-refused": "OpenClaw asked for more than a browser may have; refused",
  cut: "Device cut",
  "cut-done-on-gateway": "Device removed on the gateway",
  "device-kept": "Somebody answered for a new device: it was me",
  "grant-never-activated": "A same-device approval was never finished; it was ended",
  "device-blocked": "Device blocked from asking for 24 hours",
  "device-blocked-for-good": "Device blocked from asking for good",
  "device-unblocked": "Device unblocked: it may ask again",
  "alarm-room-rolled-back": "Alarm: Gatehouse lost entries that the gateway's machine knows",
  "alarm-log-rolled-back": "Alarm: the gateway's machine lost entries that Gatehouse knows",
  "alarm-fork": "Alarm: two histories of one gateway",
  "alarm-audit-rewound": "Alarm: the audit chain lost or changed entries",
  "alarm-early-effect": "Alarm: the gateway's machine acts on a change that no owner approved in time",
  "proposal-made": "A wider change was asked for on the gateway's machine",
  "proposal-approved": "A change that the gateway's machine asked for was approved",
  "proposal-cancelled": "A change that the gateway's machine asked for was cancelled",
  "proposal-in-force": "A change that the gateway's machine asked for is in force",
  "proposal-refused": "The gateway's machine did not take the answer about a change",
  "alarm-settled": "The alarm is settled",
  "log-genesis": "The gateway's machine began its key log",
  "log-revoke": "Device's access ended on the gateway's machine",
  "log-revoke-all": "Every device's access ended on the gateway's machine",
  "log-owner-add": "Passkey let in",
  "log-owner-remove": "Passkey taken out on the gateway's machine",
  "log-rotate": "The gateway's machine changed its key",
  "token-rotated": "Device's admission renewed",
  "device-renamed": "Device renamed",
  "gateway-removed": "Gateway removed",
  "audit-exported": "Audit chain downloaded",
  "enrolment-code-guessed": "Wrong codes tried for a gateway's machine; the code is void",
  "log-policy": "The owner policy was narrowed on the gateway's machine",
  "cut-unanswered": "The gateway's machine did not answer a cut; its connection was closed",
  "receipt-refused": "Alarm: a receipt came without the machine's signature",
  "receipt-exported": "Receipt of a cut saved",
  "difference-found": "OpenClaw's own list of devices differs",
  "difference-kept": "Difference said to be fine",
  "difference-removed": "Entry removed from OpenClaw's own list",
  "device-suspended": "Device suspended",
  "device-resumed": "Suspended device may go on",
  "api-token-made": "API token made",
  "api-token-revoked": "API token revoked",
  "recovery-key-not-taken": "The gateway did not take the account's recovery key: tell it again on your account page",
  "budget-warned": "Four fifths of the day's budget are used up",
  "budget-used-up": "The day's budget is used up: only the owner's devices connect until 00:00 UTC",
  "budget-set": "Budget changed",
  "token-copied": "Device frozen: its admission was used from two places",
};

/** Where a connection broke, by leg; what the audit says is any text. */
const BROKEN: Readonly<Record<string, string>> = LEG_TEXT;

/** What was found on the way, by what a stream's reason says (PROTOCOL.md FR6). */
const ALTERED: Readonly<Record<string, string>> = {
  [BYTES_MISSING]: ": something that was sent did not arrive, or not in order",
  [BYTES_TWICE]: ": something that was sent arrived twice",
};

/** @returns what happened: an action without a text of its own is shown by its name */
export function actionText(event: AuditEvent): string {
  const { leg, why } = event.detail;
  if (event.action === "stream-broken") {
    if (why === TOO_MUCH_AT_ONCE) return "A device sent too much at once: its connection was ended";
    const where = typeof leg === "string" ? BROKEN[leg] : undefined;
    if (where === undefined) return "A connection broke";
    const what = typeof why === "string" ? (ALTERED[why] ?? "") : "";
    return `Connection broke ${where}${what}`;
  }
  if (event.action === "connector-enrolled-anew") return connectedAnew(event.detail["devices"]);
  const text = ACTIONS[event.action] ?? event.action;
  const { whom } = event.detail;
  return typeof whom === "string" ? `${text}: ${whom}` : text;
}

/** @returns who did it: a person by name, else in which part */
export function actorText({ actor, detail }: AuditEvent): string {
  return typeof detail["person"] === "string" ? `${detail["person"]} (${actor})` : actor;
}
