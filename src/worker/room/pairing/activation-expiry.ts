/** Same-device grants that nobody activated end after two minutes. */
import { readGrant } from "../../../core/trust/statement.ts";
import { CLOSE_CUT } from "../../../protocol/close-codes.ts";
import { ACTIVATION_MS } from "../../../protocol/limits.ts";
import type { Admission } from "../context.ts";
import { changeNotice } from "../devices/new-device-alerts.ts";
import { deliver } from "../pending-commands.ts";
import type { DeviceRow, GrantRow } from "../storage/rows.ts";

/**
 * Ends same-device grants whose code did not come in time (PROTOCOL.md NT3): the key behind an approval link that somebody else sent.
 *
 * @returns when the next one lapses, in ms, or null
 */
export function endLapsed(admission: Admission, nowMs: number): number | null {
  const { storage } = admission;
  let next: number | null = null;
  for (const row of storage.all<DeviceRow>("devices")) {
    if (row.activation === null || row.state === "cut") continue;
    const grant = storage.get<GrantRow>("grants", row.grant);
    const issuedAtMs = grant === null ? 0 : (readGrant(grant.signed.statement)?.body.issuedAtMs ?? 0);
    const endsAtMs = issuedAtMs + ACTIVATION_MS;
    if (endsAtMs > nowMs) next = Math.min(next ?? endsAtMs, endsAtMs);
    else lapse(admission, row, nowMs);
  }
  return next;
}

function lapse(admission: Admission, row: DeviceRow, nowMs: number): void {
  const { storage } = admission;
  const message = { type: "cut", id: `cut-${row.id}`, device: row.id, cutAtMs: nowMs } as const;
  storage.transaction(() => {
    admission.endAccess(row);
    storage.owe(message);
    admission.audit("gateway", "grant-never-activated", row.id, {});
  });
  changeNotice(admission, row.grant, { state: "lapsed" });
  admission.relay.endDevice(row.id, CLOSE_CUT, "never activated");
  admission.background("owed", deliver(admission, message));
  admission.tellInbox();
}
