/** What every error of the API says: the app origin's and the approval origin's. */
import * as z from "zod";

/** Every error body of the API. `message` is for people, in one sentence; `code` is stable. */
export const apiErrorSchema = z.object({
  error: z.object({ code: z.string(), message: z.string(), retryAfterSeconds: z.int().optional() }),
});
/** Closed set of `code`. `not-found` also stands for forbidden. */
export const API_ERRORS = [
  "bad-request", "too-large", "not-signed-in", "wrong-origin", "not-found", "conflict", "closed-for-sign-up", "code-invalid", "passkey-refused",
  "match-code-wrong", "request-over", "already-allowed", "already-denied", "grant-refused", "not-owner-here", "gateway-away", "too-many", "unavailable",
  "not-configured", "https-only", "internal",
] as const; // prettier-ignore
export type ApiErrorCode = (typeof API_ERRORS)[number];
