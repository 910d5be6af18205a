/** Devices that may not ask: the list, and what changes it. Ending a block admits nobody (PROTOCOL.md BL). */
import { isInForce, newBlock, outOfPlace } from "../../../core/trust/blocks.ts";
import type { AuditEntry } from "../../../protocol/audit.ts";
import type { BlockedDevice } from "../../../protocol/blocks.ts";
import type { ToRoom } from "../../../protocol/link-messages.ts";
import type { Admission } from "../context.ts";
import type { RoomResult } from "../rpc.ts";
import { byWhom } from "../roles.ts";
import type { Who } from "../roles.ts";

const NOT_FOUND = { ok: false, failure: "not-found" } as const;

/** @returns the block that keeps the device from asking now, or null */
export function blockOf(admission: Admission, device: string): BlockedDevice | null {
  const block = admission.storage.get<BlockedDevice>("blocks", device);
  return block !== null && isInForce(block, admission.options.now()) ? block : null;
}

export function isBlocked(admission: Admission, device: string): boolean {
  return blockOf(admission, device) !== null;
}

/** @returns every block in force, oldest first */
export function blockedDevices({ storage, options }: Admission): BlockedDevice[] {
  return storage.all<BlockedDevice>("blocks").filter((block) => isInForce(block, options.now()));
}

/** Keeps a device from asking for 24 hours. Inside a transaction. */
export function block(admission: Admission, device: Pick<BlockedDevice, "device" | "name">, who: Who): void {
  const { storage, options } = admission;
  const row = newBlock(device, storage.get<BlockedDevice>("blocks", device.device), options.now());
  const others = storage.all<BlockedDevice>("blocks").filter((each) => each.device !== row.device);
  for (const gone of outOfPlace(others, options.now())) storage.delete("blocks", gone.device);
  storage.put("blocks", row.device, row);
  admission.audit(who.role, "device-blocked", row.device, { untilMs: row.untilMs, ...byWhom(who) });
  if (row.untilMs !== null) options.wakeBy(row.untilMs);
}

/** The device may ask again. @param noted writes the audit's entry @returns false for one that is not blocked */
function end(admission: Admission, device: string, noted: () => AuditEntry | null): boolean {
  if (!isBlocked(admission, device)) return false;
  admission.storage.transaction(() => {
    admission.storage.delete("blocks", device);
    noted();
  });
  admission.tellInbox();
  return true;
}

export function unblock(admission: Admission, device: string, who: Who): RoomResult<null> {
  const wasBlocked = end(admission, device, () => admission.audit(who.role, "device-unblocked", device, byWhom(who)));
  return wasBlocked ? { ok: true, value: null } : NOT_FOUND;
}

/** The owner opened the gateway on a blocked device, and its code came from there. */
export function unblockOpened(admission: Admission, device: string): void {
  end(admission, device, () => admission.audit("device", "device-unblocked", device, {}));
}

export function blockForGood(admission: Admission, device: string, who: Who): RoomResult<null> {
  const row = blockOf(admission, device);
  if (row === null) return NOT_FOUND;
  if (row.untilMs !== null) {
    admission.storage.transaction(() => {
      admission.storage.put("blocks", device, { ...row, untilMs: null } satisfies BlockedDevice);
      admission.audit(who.role, "device-blocked-for-good", device, byWhom(who));
    });
    admission.tellInbox();
  }
  return { ok: true, value: null };
}

/** The gateway's machine asks for the list, once a device may ask again where it names one. */
export function tellBlocked(admission: Admission, { id, unblock: device }: Extract<ToRoom, { type: "ask-blocked" }>): void {
  const wasBlocked = device !== null && end(admission, device, () => admission.auditMachine("host", "device-unblocked", device, {}));
  admission.relay.send({ type: "blocked", id, devices: blockedDevices(admission), wasBlocked });
}

/** Forgets blocks that are over. @returns when the next one will be, in ms, or null */
export function dropEndedBlocks({ storage }: Admission, nowMs: number): number | null {
  let next: number | null = null;
  for (const row of storage.all<BlockedDevice>("blocks")) {
    if (!isInForce(row, nowMs)) storage.delete("blocks", row.device);
    else if (row.untilMs !== null) next = Math.min(next ?? row.untilMs, row.untilMs);
  }
  return next;
}
