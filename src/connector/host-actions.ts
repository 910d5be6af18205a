/** What the person at the gateway's machine may say to its key log: the root of everything, without any network (reference: security.md 5, 6). */
import * as z from "zod";
import type { KeyLogProblem } from "../core/key-log.ts";
import type { KeyLogAlarm, OwnerPolicy } from "../protocol/key-log.ts";
import { accessSchema } from "../protocol/statements.ts";
import { EXPIRY_CHOICES_MS } from "../protocol/words.ts";
import type { KeyLog } from "./key-log-file.ts";
import { ownerActionSchemas, performOwnerAction } from "./owner-actions.ts";
import type { RaisedAlarm, StateFiles } from "./state-files.ts";

export const hostActionSchema = z.discriminatedUnion("do", [
  z.object({
    do: z.literal("policy"),
    maxAccess: accessSchema.optional(),
    maxDays: z.number().positive().max(90).optional(),
  }),
  ...ownerActionSchemas,
  z.object({ do: z.literal("revoke-all") }),
  z.object({ do: z.literal("resume") }),
  z.object({ do: z.literal("rotate-key") }),
]);
export type HostAction = z.infer<typeof hostActionSchema>;

export type HostAnswer = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly problem: string };

const DAY_MS = 86_400_000;

/** @returns what a policy says, for people */
export function policyText(policy: OwnerPolicy): string {
  const days = policy.maxExpiryMs / DAY_MS;
  return `Remote approval gives at most: ${policy.maxAccess} access, ${Number.isInteger(days) ? days : days.toFixed(2)} days.`;
}

const PROBLEM_TEXTS: Partial<Record<KeyLogProblem, string>> = {
  "unknown-grant": "No such device. `gatehouse devices` lists them.",
  revoked: "This device's access was ended. It has to ask again.",
};

function told(problem: KeyLogProblem | null, text: string): HostAnswer {
  return problem === null ? { ok: true, text } : { ok: false, problem: PROBLEM_TEXTS[problem] ?? `Refused: ${problem}.` };
}

/** What of a running connector a word of the host changes beside what is on disk. */
export interface RunningParts {
  readonly log: KeyLog;
  readonly files: StateFiles;
  readonly admitted: { alarm(): RaisedAlarm | null; alarmSettled(): void };
  readonly link: { cutAllOnHost(): Promise<unknown>; readonly keyLog: { sayAlarm(): void } };
}

const BACK_AT_NEXT_LINK =
  " It comes back with the next connection: the two histories stay different. To end that, connect this machine again from the gateway's page: it gets a new key and a new log.";

/** Whether its reason is still there when a person has settled it: neither end takes entries of the other's history (KL6). */
function staysDifferent(alarm: KeyLogAlarm): boolean {
  return alarm === "log-rolled-back" || alarm === "fork";
}

/**
 * `performOnHost` in a running connector, which may know more than the disk: an alarm that a full disk refused, links and streams.
 *
 * @param nowMs this machine's clock
 * @throws LogWriteError nothing changed
 */
export async function performInRunning(running: RunningParts, action: HostAction, nowMs: number): Promise<HostAnswer> {
  const { log, files, admitted, link } = running;
  const answer = await performOnHost(log, files, action, nowMs, () => admitted.alarm());
  if (answer.ok && action.do === "revoke-all") await link.cutAllOnHost();
  if (answer.ok && action.do === "resume") {
    admitted.alarmSettled();
    link.keyLog.sayAlarm();
  }
  return answer;
}

/**
 * Carries one action out: judged, appended and on disk before it returns.
 *
 * @param nowMs this machine's clock
 * @param standing the alarm that stands; what the disk says unless somebody knows more
 * @throws LogWriteError nothing changed
 */
export async function performOnHost(
  log: KeyLog,
  files: StateFiles,
  action: HostAction,
  nowMs: number,
  standing: () => RaisedAlarm | null = () => files.read("alarm"),
): Promise<HostAnswer> {
  switch (action.do) {
    case "policy": {
      const { policy: before } = log.state;
      const policy: OwnerPolicy = {
        maxAccess: action.maxAccess ?? before.maxAccess,
        maxExpiryMs: action.maxDays === undefined ? before.maxExpiryMs : Math.min(action.maxDays * DAY_MS, EXPIRY_CHOICES_MS.quarter),
      };
      return told(await log.append({ type: "policy", policy }, nowMs), policyText(policy));
    }
    case "owner-add":
    case "owner-remove":
    case "owner-role":
    case "recovery-remove":
      return performOwnerAction(log, action, nowMs);
    case "revoke-all":
      return told(await log.append({ type: "revoke-all", by: "host" }, nowMs), "Every device's access is ended.");
    case "rotate-key":
      return told(
        await log.rotate(nowMs),
        `This machine has a new key (${log.state.key.x.slice(0, 12)}…). The old one is worth nothing any more.`,
      );
    case "resume": {
      const alarm = standing();
      if (alarm === null) return { ok: true, text: "There is no alarm." };
      files.remove("alarm");
      // Whatever the room says next is the new beginning; it cannot be told apart from the old story any more.
      files.remove("roomHead");
      if (alarm.alarm === "audit-rewound") files.remove("auditHead");
      return {
        ok: true,
        text: `The alarm (${alarm.alarm}) is settled. New devices are admitted again.${staysDifferent(alarm.alarm) ? BACK_AT_NEXT_LINK : ""}`,
      };
    }
  }
}
