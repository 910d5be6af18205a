/** What happens to an allowed device without a signature: its name, and suspending it. */
import { CLOSE_CUT } from "../../../protocol/close-codes.ts";
import type { Admission } from "../context.ts";
import type { RoomResult } from "../rpc.ts";
import { byWhom } from "../roles.ts";
import type { Who } from "../roles.ts";

const NOT_FOUND = { ok: false, failure: "not-found" } as const;

/**
 * The unsigned form of a cut: blocks the device here and nothing else, so that whoever may not decide can still stop one (PROTOCOL.md AT).
 *
 * @param token the API token that asks; null: the owner's page
 * @returns how many of its sockets and exchanges ended; again: none
 */
export function suspend(admission: Admission, device: string, token: string | null): RoomResult<{ socketsClosed: number }> {
  const row = admission.device(device);
  if (row === null) return NOT_FOUND;
  // A cut is more than this.
  if (row.state === "cut" || row.state === "approve-again") return { ok: false, failure: "conflict" };
  if (row.suspendedAtMs === undefined) {
    admission.storage.transaction(() => {
      admission.saveDevice({ ...row, suspendedAtMs: admission.options.now() });
      admission.storage.deleteSessionsOf(device);
      admission.audit(token === null ? "owner" : "token", "device-suspended", device, token === null ? {} : { token });
    });
  }
  const socketsClosed = admission.relay.endDevice(device, CLOSE_CUT, "this device is suspended");
  admission.tellInbox();
  return { ok: true, value: { socketsClosed } };
}

/** The owner lets it go on: it opens a new session by itself. */
export function resume(admission: Admission, device: string): RoomResult<null> {
  const row = admission.device(device);
  if (row === null) return NOT_FOUND;
  const { suspendedAtMs, ...rest } = row;
  if (suspendedAtMs === undefined || row.state === "cut") return { ok: false, failure: "conflict" };
  admission.storage.transaction(() => {
    admission.saveDevice(rest);
    admission.audit("owner", "device-resumed", device, {});
  });
  admission.tellInbox();
  return { ok: true, value: null };
}

/** Gives a device another name; what the gateway itself calls it stays. */
export function renameDevice(
  admission: Admission,
  { device, name }: { readonly device: string; readonly name: string },
  who: Who,
): RoomResult<null> {
  const row = admission.device(device);
  if (row === null) return NOT_FOUND;
  admission.storage.transaction(() => {
    admission.saveDevice({ ...row, name });
    admission.audit("owner", "device-renamed", row.id, byWhom(who));
  });
  return { ok: true, value: null };
}
