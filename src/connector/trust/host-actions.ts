/** What the person at the gateway's machine may say to its key log: the root of everything, without any network (reference: security.md 5, 6). */
import * as z from "zod";
import type { KeyLogProblem } from "../../core/trust/key-log-state.ts";
import { isSamePolicy, narrowerOf } from "../../core/trust/local-policy.ts";
import type { KeyLogAlarm, OwnerPolicy } from "../../protocol/key-log.ts";
import { accessSchema } from "../../protocol/statements.ts";
import { EXPIRY_CHOICES_MS } from "../../protocol/words.ts";
import type { HostAnswer } from "./host-answer.ts";
import type { KeyLog } from "./key-log-file.ts";
import { ownerActionSchemas, performOwnerAction, propose } from "./owner-actions.ts";
import { limitsText } from "./policy-texts.ts";
import { standingOf } from "../state/state-files.ts";
import type { RaisedAlarm, StateFiles } from "../state/state-files.ts";

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

const DAY_MS = 86_400_000;

function told(problem: KeyLogProblem | null, text: string): HostAnswer {
  return problem === null ? { ok: true, text } : { ok: false, problem: `Refused: ${problem}.` };
}

/** What of a running connector a word of the host changes beside what is on disk. */
export interface RunningParts {
  readonly log: KeyLog;
  readonly files: StateFiles;
  readonly admitted: { alarm(): RaisedAlarm | null };
  readonly link: { cutAllOnHost(): Promise<unknown> };
}

const HISTORIES_DIFFER =
  "\nWhile the two histories differ, the owners cannot be asked. Connect this machine again from the gateway's page: it gets a new key and a new log.";

/** Whether neither end takes entries of the other's history (KL6). */
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
  standing: () => RaisedAlarm | null = () => standingOf(files, log.state),
): Promise<HostAnswer> {
  switch (action.do) {
    case "policy":
      return changePolicy(log, action, nowMs);
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
      const answer = await propose(
        log,
        { kind: "resume", alarm: alarm.alarm },
        nowMs,
        `Admit new devices again, after the alarm (${alarm.alarm}).`,
      );
      return answer.ok && staysDifferent(alarm.alarm) ? { ...answer, text: `${answer.text}${HISTORIES_DIFFER}` } : answer;
    }
  }
}

/** What narrows is in force at once; what widens waits (PROTOCOL.md LP1, LP6). */
async function changePolicy(log: KeyLog, action: Extract<HostAction, { do: "policy" }>, nowMs: number): Promise<HostAnswer> {
  const { policy: before } = log.state;
  const wanted: OwnerPolicy = {
    maxAccess: action.maxAccess ?? before.maxAccess,
    maxExpiryMs: action.maxDays === undefined ? before.maxExpiryMs : Math.min(action.maxDays * DAY_MS, EXPIRY_CHOICES_MS.quarter),
  };
  const after = narrowerOf(before, wanted);
  // Also when it is so already: what waits to widen it is void by this later word.
  const problem =
    isSamePolicy(before, wanted) || !isSamePolicy(before, after) ? await log.append({ type: "policy", policy: after }, nowMs) : null;
  if (problem !== null) return told(problem, "");
  const lines = [`Before: ${limitsText(before)}.`, `Now:    ${limitsText(after)}.`];
  const data = { before, after };
  if (isSamePolicy(after, wanted)) return { ok: true, text: lines.join("\n"), data };
  const answer = await propose(log, { kind: "policy", policy: wanted }, nowMs, `Wanted: ${limitsText(wanted)}.`);
  return answer.ok ? { ok: true, text: [...lines, answer.text].join("\n"), data: { ...data, ...answer.data } } : answer;
}
