/** Which requests are worth a line of the log: all that failed on our side, and a sample of the others. */

/** One in so many, when a deployment does not say. */
export const LOG_ONE_IN = 100;

/**
 * @param text a deployment's setting: 0 for none but failures, 1 for all, N for one in N
 * @returns that number, or null when it is none
 */
export function readOneIn(text: string | undefined): number | null {
  if (text === undefined) return LOG_ONE_IN;
  return /^\d{1,9}$/.test(text) ? Number(text) : null;
}

/** Answers that say that something of ours broke. A gateway that is away, or that itself answers 500, did not break here. */
const FAILURES: readonly string[] = ["internal", "unavailable", "room-failed", "not-configured"];

/** @param decision code of the answer @param draw evenly between 0 and 1, 1 excluded */
export function isLogged(decision: string, oneIn: number, draw: number): boolean {
  return FAILURES.includes(decision) || (oneIn > 0 && draw * oneIn < 1);
}
