/** What the person at the gateway's machine says about who may decide: passkeys, their roles, the recovery key. Needs no network. */
import * as z from "zod";
import type { KeyLogProblem } from "../core/key-log.ts";
import type { PinnedKey } from "../core/judge.ts";
import type { OwnerRole } from "../protocol/key-log.ts";
import { ownerRoleSchema } from "../protocol/key-log.ts";
import { ownerKeySchema } from "../protocol/statements.ts";
import type { HostAnswer } from "./host-actions.ts";
import type { KeyLog } from "./key-log-file.ts";

const credentialIdSchema = z.string().min(1).max(1400);

export const ownerActionSchemas = [
  z.object({ do: z.literal("owner-add"), key: ownerKeySchema, role: ownerRoleSchema }),
  z.object({ do: z.literal("owner-remove"), credentialId: credentialIdSchema }),
  z.object({ do: z.literal("owner-role"), credentialId: credentialIdSchema, role: ownerRoleSchema }),
  z.object({ do: z.literal("recovery-remove") }),
] as const;
export type OwnerAction = z.infer<(typeof ownerActionSchemas)[number]>;

const DAY_MS = 86_400_000;

/** @returns a role, for people */
export function roleText(role: OwnerRole | undefined): string {
  if (role?.kind !== "approver") return "owner";
  const days = role.maxExpiryMs / DAY_MS;
  return `approver, at most ${role.maxAccess} access for ${Number.isInteger(days) ? days : days.toFixed(2)} days`;
}

const PROBLEM_TEXTS: Partial<Record<KeyLogProblem, string>> = {
  "last-owner-key":
    "It is the last owner's passkey: without one, nobody could change who decides. Add another one first, or start over with `gatehouse reset`.",
  "unknown-owner-key": "No such passkey. `gatehouse owners` lists them.",
  "too-many-owner-keys": "This gateway trusts as many passkeys as it can. Take one out first.",
  "nothing-changes": "It is so already.",
};

function told(problem: KeyLogProblem | null, text: string): HostAnswer {
  return problem === null ? { ok: true, text } : { ok: false, problem: PROBLEM_TEXTS[problem] ?? `Refused: ${problem}.` };
}

function named(keys: readonly PinnedKey[], start: string): PinnedKey | { readonly ok: false; readonly problem: string } {
  const [first, second] = keys.filter((key) => key.credentialId.startsWith(start));
  if (first === undefined) return { ok: false, problem: PROBLEM_TEXTS["unknown-owner-key"] ?? "" };
  return second === undefined ? first : { ok: false, problem: "More than one passkey begins like this. Give more of it." };
}

/**
 * Carries one action out: judged, appended and on disk before it returns.
 *
 * @param nowMs this machine's clock
 * @throws LogWriteError nothing changed
 */
export async function performOwnerAction(log: KeyLog, action: OwnerAction, nowMs: number): Promise<HostAnswer> {
  const authority = { by: "host" } as const;
  switch (action.do) {
    case "owner-add": {
      const { key, role } = action;
      const body = { type: "owner-add", key, authority, ...(role.kind === "owner" ? {} : { role }) } as const;
      return told(await log.append(body, nowMs), `Added as ${roleText(role)}.`);
    }
    case "owner-remove": {
      const key = named(log.state.ownerKeys, action.credentialId);
      if ("ok" in key) return key;
      const problem = await log.append({ type: "owner-remove", credentialId: key.credentialId, authority }, nowMs);
      return told(problem, "Taken out: it decides nothing here any more.");
    }
    case "owner-role": {
      const key = named(log.state.ownerKeys, action.credentialId);
      if ("ok" in key) return key;
      const problem = await log.append({ type: "owner-role", credentialId: key.credentialId, role: action.role }, nowMs);
      return told(problem, `Now ${roleText(action.role)}.`);
    }
    case "recovery-remove":
      return told(
        await log.append({ type: "recovery-key", key: null, authority }, nowMs),
        "Taken out: the recovery key does nothing here any more.",
      );
  }
}
