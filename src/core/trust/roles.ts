/** What each person may do with a gateway: the one table that rooms ask (PROTOCOL.md PE1). Pure. */
import type { PersonRole } from "../../protocol/statements.ts";

export type RoleKind = PersonRole["kind"];

/**
 * Everything that an account can want of a gateway's room.
 *
 * - `see`: name, state, devices, receipts
 * - `see-activity`: what happened
 * - `decide`: see a waiting device, allow or deny it, open the gateway on one's own device; the passkey's ceiling bounds what is granted
 * - `block`: see which devices may not ask, keep one from asking, let it ask again
 * - `cut`: end a device's access, take its receipt away
 * - `answer`: say of a grant that it was right
 * - `manage`: names, differences, a machine that fights with its copy, records
 * - `persons`: invite, confirm and remove
 * - `keys`: passkeys and recovery key of the account that claimed the gateway
 * - `leave`: stop being here
 * - `end`: remove the gateway
 */
export const PERSON_ACTIONS = [
  "see",
  "see-activity",
  "decide",
  "block",
  "cut",
  "answer",
  "manage",
  "persons",
  "keys",
  "leave",
  "end",
] as const;
export type PersonAction = (typeof PERSON_ACTIONS)[number];

/** A viewer changes nothing, an approver lets devices in and out, an owner does everything. */
const MAY: Readonly<Record<RoleKind, ReadonlySet<PersonAction>>> = {
  owner: new Set(PERSON_ACTIONS),
  approver: new Set(["see", "see-activity", "decide", "block", "cut", "leave"]),
  viewer: new Set(["see", "see-activity", "leave"]),
};

/**
 * Whether a person may do something with a gateway.
 *
 * @param role null for somebody who is none of its persons, and for one whom no owner has confirmed yet
 */
export function mayDo(role: RoleKind | null, action: PersonAction): boolean {
  return role !== null && MAY[role].has(action);
}
