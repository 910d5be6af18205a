/** How far the enrolment of a code is, as this tab sees it. The ceremony itself is played on the approval page. */
import { useEffect, useState } from "preact/hooks";
import type { EnrolmentProgress } from "../protocol/enrolment-api.ts";
import { call, isPassing, isSignedOut } from "./api.ts";
import { isFinal } from "./enrolment-steps.ts";
import { useShared } from "./shared.tsx";

const POLL_MS = 700;

export interface SeenEnrolment {
  readonly progress: EnrolmentProgress | null;
  readonly problem: unknown;
}

/** @param enrolment its id */
export function useEnrolment(enrolment: string): SeenEnrolment {
  const { signedOut } = useShared();
  const [seen, setSeen] = useState<SeenEnrolment>({ progress: null, problem: null });
  useEffect(() => {
    setSeen({ progress: null, problem: null });
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isCurrent = true;
    const look = async (): Promise<void> => {
      try {
        const progress = await call<EnrolmentProgress>("GET", `/api/enrolments/${enrolment}`);
        if (!isCurrent) return;
        setSeen({ progress, problem: null });
        if (isFinal(progress)) return;
      } catch (problem) {
        if (!isCurrent) return;
        setSeen((before) => ({ ...before, problem }));
        if (isSignedOut(problem)) signedOut(false);
        if (!isPassing(problem)) return;
      }
      timer = setTimeout(() => void look(), POLL_MS);
    };
    void look();
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [enrolment]);
  return seen;
}
