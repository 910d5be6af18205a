/** Widenings that this machine proposed: what the room says of them becomes an entry of the key log, or is refused (PROTOCOL.md LP). */
import type { Judged } from "../../core/trust/judge.ts";
import type { KeyLogProblem } from "../../core/trust/key-log-state.ts";
import type { KeyLogBody } from "../../protocol/key-log.ts";
import type { ToConnector } from "../../protocol/link-messages.ts";
import type { Admitted } from "./admissions.ts";
import type { KeyLog } from "./key-log-file.ts";

type Step = Extract<ToConnector, { type: "proposal" }>;

function entryOf({ step, proposal, signed }: Step): KeyLogBody {
  switch (step) {
    case "noticed":
      return { type: "noticed", proposal };
    case "cancel":
      return { type: "cancel", proposal };
    case "due":
      return { type: "effect", proposal, signed: null };
    case "signed":
      return { type: "effect", proposal, signed: signed ?? null };
  }
}

/** Said before, or over: nothing is left to do. A signature for a proposal that never took effect is refused. */
function isDone(step: Step["step"], problem: KeyLogProblem): boolean {
  return problem === "nothing-changes" || (problem === "unknown-proposal" && (step === "noticed" || step === "cancel"));
}

/**
 * Takes one step of the room: judged, written and synced before it is answered.
 *
 * @param nowMs this machine's clock
 * @throws LogWriteError nothing changed
 */
export async function takeStep(
  parts: { readonly log: KeyLog; readonly admitted: Admitted },
  step: Step,
  nowMs: number,
): Promise<Judged<null>> {
  const { log, admitted } = parts;
  const isEffect = step.step === "due" || step.step === "signed";
  // An alarm holds back everything new, except the way out of it.
  if (isEffect && admitted.alarm() !== null && log.state.proposals.get(step.proposal)?.change.kind !== "resume")
    return { ok: false, refusal: "alarm" };
  const problem = await log.append(entryOf(step), nowMs);
  if (problem === null || isDone(step.step, problem)) return { ok: true, value: null };
  const refusal = problem === "too-early" || problem === "expired" || problem === "unknown-owner-key" ? problem : "bad-statement";
  return { ok: false, refusal };
}
