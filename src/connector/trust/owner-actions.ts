/** What the person at the gateway's machine says about who may decide: passkeys, their roles, the recovery key. Needs no network. */
import * as z from "zod";
import type { KeyLogProblem } from "../../core/trust/key-log-state.ts";
import type { PinnedKey } from "../../core/trust/judge.ts";
import { isSameSubject, isWiderRole } from "../../core/trust/local-policy.ts";
import { ownerRoleSchema } from "../../protocol/key-log.ts";
import type { ProposedChange } from "../../protocol/key-log.ts";
import { ownerKeySchema } from "../../protocol/statements.ts";
import type { HostAnswer } from "./host-answer.ts";
import type { KeyLog } from "./key-log-file.ts";
import { roleText, waitText, waitingFacts } from "./policy-texts.ts";

const credentialIdSchema = z.string().min(1).max(1400);

export const ownerActionSchemas = [
  z.object({ do: z.literal("owner-add"), key: ownerKeySchema, role: ownerRoleSchema }),
  z.object({ do: z.literal("owner-remove"), credentialId: credentialIdSchema }),
  z.object({ do: z.literal("owner-role"), credentialId: credentialIdSchema, role: ownerRoleSchema }),
  z.object({ do: z.literal("recovery-remove") }),
] as const;
export type OwnerAction = z.infer<(typeof ownerActionSchemas)[number]>;

const PROBLEM_TEXTS: Partial<Record<KeyLogProblem, string>> = {
  "last-owner-key":
    "It is the last owner's passkey: without one, nobody could change who decides. Add another one first, or start over with `gatehouse reset`.",
  "unknown-owner-key": "No such passkey. `gatehouse owners` lists them.",
  "too-many-owner-keys": "This gateway trusts as many passkeys as it can. Take one out first.",
  "nothing-changes": "It is so already, or waits already.",
  "too-many-proposals": "Too many changes wait for an owner. Let an owner answer them first.",
};

function told(problem: KeyLogProblem | null, text: string): HostAnswer {
  return problem === null ? { ok: true, text } : { ok: false, problem: PROBLEM_TEXTS[problem] ?? `Refused: ${problem}.` };
}

/**
 * Writes a widening down as a proposal: nothing changes by it (PROTOCOL.md LP1).
 *
 * @param text what is asked for, for people
 * @throws LogWriteError nothing changed
 */
export async function propose(log: KeyLog, change: ProposedChange, nowMs: number, text: string): Promise<HostAnswer> {
  const problem = await log.append({ type: "proposal", change }, nowMs);
  if (problem !== null) return told(problem, "");
  const waiting = [...log.state.proposals.values()].filter((proposal) => isSameSubject(proposal.change, change));
  return {
    ok: true,
    text: `${text}\n${waitText({ change, noticedAtMs: null }, nowMs)}`,
    data: { waiting: waitingFacts(waiting) },
  };
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
      return propose(log, { kind: "owner-add", key, role }, nowMs, `Asked for: this passkey decides here as ${roleText(role)}.`);
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
      const { credentialId } = key;
      const { role } = action;
      if (isWiderRole(key.role, role))
        return propose(log, { kind: "owner-role", credentialId, role }, nowMs, `Asked for: this passkey becomes ${roleText(role)}.`);
      return told(await log.append({ type: "owner-role", credentialId, role }, nowMs), `Now ${roleText(role)}.`);
    }
    case "recovery-remove":
      return told(
        await log.append({ type: "recovery-key", key: null, authority }, nowMs),
        "Taken out: the recovery key does nothing here any more.",
      );
  }
}
