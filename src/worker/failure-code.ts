/** What may be said of an error: a code of ours or of a closed set, else its class. Its text never leaves (PROTOCOL.md OP4). */
import { ConfigError } from "./config.ts";
import { ApiError } from "./respond.ts";

/** Defects of ours that have a name. */
export type DefectCode = "room-not-set-up" | "room-not-wired" | "no-link" | "stream-ids-used-up";

export class Defect extends Error {
  override name = "Defect";
  readonly code: DefectCode;

  constructor(code: DefectCode) {
    super(code);
    this.code = code;
  }
}

/** @returns whether D1 or what leads to it failed, as its texts say: it has no class of its own */
export function isDatabaseError(error: unknown): boolean {
  for (let each = error; each instanceof Error; each = each.cause) if (/D1_|D1 |no such table|database/i.test(each.message)) return true;
  return false;
}

/** @param error anything that was thrown @returns its code for log and metrics, at most 40 letters, digits and hyphens */
export function failureCode(error: unknown): string {
  if (error instanceof ConfigError || error instanceof ApiError || error instanceof Defect) return error.code;
  if (isDatabaseError(error)) return "database";
  const { overloaded, retryable } = (error ?? {}) as { overloaded?: unknown; retryable?: unknown };
  // What the platform says of a Durable Object that it could not ask.
  if (overloaded === true) return "overloaded";
  if (retryable === true) return "retryable";
  return error instanceof Error && /^[A-Za-z]{1,40}$/.test(error.name) ? error.name : "unknown";
}
