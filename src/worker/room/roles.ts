/** Who somebody is to this gateway, by the room's own storage: D1 is not asked (PROTOCOL.md PE1). */
import { mayDo } from "../../core/trust/roles.ts";
import type { PersonAction, RoleKind } from "../../core/trust/roles.ts";
import type { AuditDetail } from "../../protocol/audit.ts";
import type { PersonRow } from "./storage/member-rows.ts";
import type { RoomStorage } from "./storage/storage.ts";

/** The person behind a call. */
export interface Who {
  readonly account: string;
  readonly role: RoleKind;
  /** Null for the account that claimed the gateway. */
  readonly person: PersonRow | null;
}

/** @returns null for an account that is nobody here: also one that accepted and was not confirmed */
export function whoIs(storage: RoomStorage, account: string): Who | null {
  const meta = storage.meta();
  if (meta === null) return null;
  if (meta.account === account) return { account, role: "owner", person: null };
  const person = storage.persons().find((row) => row.account === account && row.state === "confirmed");
  return person === undefined ? null : { account, role: person.role.kind, person };
}

/** @returns every account that may do this here, the one that claimed the gateway first */
export function accountsThatMay(storage: RoomStorage, action: PersonAction): string[] {
  const meta = storage.meta();
  if (meta === null) return [];
  const others = storage.persons().filter((row) => row.state === "confirmed" && mayDo(row.role.kind, action));
  return [meta.account, ...others.map((row) => row.account)];
}

/** What the audit says beside the role: which person it was. Nothing for the account that claimed the gateway. */
export function byWhom(who: Who | null): AuditDetail {
  return who === null || who.person === null ? {} : { person: who.person.name };
}
