/** What the dashboard shows of an enrolment: when it is over, when the owner must go on at the approval page, how long its code lives. */
import type { EnrolmentProgress } from "../protocol/enrolment-api.ts";

export function isFinal({ state }: Pick<EnrolmentProgress, "state">): boolean {
  return state === "done" || state === "failed" || state === "expired";
}

/** @returns whether the next step is the owner's, on the approval page: the machine is here and nobody has signed */
export function needsOwner({ state }: Pick<EnrolmentProgress, "state">): boolean {
  return state === "redeemed" || state === "proposed" || state === "revealed";
}

/** @returns minutes and seconds, `9:05` */
export function countdown(leftMs: number): string {
  const seconds = Math.max(0, Math.ceil(leftMs / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** What is worth saying aloud about a code's end; a clock that speaks every second would drown everything else. */
export function expiryNotice(leftMs: number): "" | "soon" | "over" {
  if (leftMs <= 0) return "over";
  return leftMs <= 60_000 ? "soon" : "";
}
