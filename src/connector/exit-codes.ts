/** What scripts may rely on; help and docs/cli.md say the same. */
export const EXIT = { done: 0, failed: 1, usage: 2, needsConfirmation: 3, refused: 4, unsafe: 5, superseded: 6 } as const;
type ExitName = keyof typeof EXIT;

export const EXIT_TEXTS: Readonly<Record<ExitName, string>> = {
  done: "done",
  failed: "failed; another try may help",
  usage: "wrong usage",
  needsConfirmation: "waits for a yes or a choice: --check-words, --yes, OPENCLAW_PROFILE, --state",
  refused: "access was withdrawn, or an enrolment does not verify, for good",
  unsafe: "OpenClaw is not safe to serve",
  superseded: "another connector took over, for good",
};

/** Codes of the control plane, or of the way to it, that say something else than "failed" (PROTOCOL.md CLI5). */
const OF_CONTROL_PLANE: Readonly<Record<string, number>> = {
  "needs-confirmation": EXIT.needsConfirmation,
  usage: EXIT.usage,
  // Somebody between the page and this machine lies: no supervisor tries that again.
  "answer-differs": EXIT.refused,
};

/**
 * @param code of an error of the control plane, or of the way to it
 * @returns the exit code: before this machine is enrolled only an answer that does not verify is final
 */
export function exitOfControlPlane(code: string): number {
  return Object.hasOwn(OF_CONTROL_PLANE, code) ? (OF_CONTROL_PLANE[code] ?? EXIT.failed) : EXIT.failed;
}

/**
 * @param why the reason for which a link stopped for good
 * @returns the exit code that a supervisor does not answer with another start
 */
export function exitOfStop(why: "refused" | "superseded" | "stale" | "version"): number {
  return why === "superseded" ? EXIT.superseded : EXIT.refused;
}
