/** Answers of the HTTP API: one error type, one mapper, constant bodies. */
import type { ApiErrorCode } from "../protocol/api-errors.ts";

const STATUS: Readonly<Record<ApiErrorCode, number>> = {
  "bad-request": 400,
  "too-large": 413,
  "not-signed-in": 401,
  "wrong-origin": 403,
  "not-found": 404,
  conflict: 409,
  "closed-for-sign-up": 403,
  "code-invalid": 410,
  "passkey-refused": 403,
  "match-code-wrong": 409,
  "request-over": 410,
  "already-allowed": 410,
  "already-denied": 410,
  "grant-refused": 422,
  "not-owner-here": 403,
  "gateway-away": 503,
  "too-many": 429,
  unavailable: 503,
  "not-configured": 503,
  "https-only": 400,
  internal: 500,
};

const MESSAGE: Readonly<Record<ApiErrorCode, string>> = {
  "bad-request": "The request is not understood.",
  "too-large": "The request is too large.",
  "not-signed-in": "Sign in first.",
  "wrong-origin": "This request came from another site.",
  "not-found": "Not found.",
  conflict: "That has already happened, or something changed meanwhile.",
  "closed-for-sign-up": "Sign-up is by invitation here.",
  "code-invalid": "The code is wrong, used or too old.",
  "passkey-refused": "The passkey was not accepted.",
  "match-code-wrong": "Those are not the four digits on the device.",
  "request-over": "The device no longer asks. Open its page again.",
  "already-allowed": "Somebody has already allowed this device.",
  "already-denied": "Somebody has already denied this device.",
  "grant-refused": "What was signed is not what was shown. Nothing was changed.",
  "not-owner-here": "This passkey does not decide for this gateway. Use one that does, or add the machine as a new gateway.",
  "gateway-away": "The gateway is not there now. Nothing was changed; try again when it is online.",
  "too-many": "Too many tries.",
  unavailable: "The database does not answer. Allowed devices still connect; try again soon.",
  "not-configured": "This server is not set up yet. Its operator finds the reason at /readyz.",
  "https-only": "Use https here.",
  internal: "Something went wrong on our side.",
};

/** Seconds after which the same request may fare better. */
const RETRY_AFTER: Partial<Record<ApiErrorCode, number>> = { "too-many": 60, unavailable: 5, "not-configured": 60, "gateway-away": 5 };

/** A refusal with a stable code; the only error whose text reaches a client. */
export class ApiError extends Error {
  override name = "ApiError";
  readonly code: ApiErrorCode;
  readonly extra: Readonly<Record<string, number>>;

  constructor(code: ApiErrorCode, extra: Readonly<Record<string, number>> = {}) {
    super(code);
    this.code = code;
    this.extra = extra;
  }
}

/** @returns a wait for people, never shorter than it is */
function wait(seconds: number): string {
  if (seconds <= 60) return "a minute";
  const minutes = Math.ceil(seconds / 60);
  return minutes <= 60 ? `${minutes} minutes` : `${Math.ceil(minutes / 60)} hours`;
}

/** @returns the one answer for a code: same bytes whoever asks and why */
export function errorResponse(code: ApiErrorCode, extra: Readonly<Record<string, number>> = {}): Response {
  const headers = new Headers({ "cache-control": "no-store", "x-content-type-options": "nosniff" });
  const retryAfter = extra["retryAfterSeconds"] ?? RETRY_AFTER[code];
  if (retryAfter !== undefined) headers.set("retry-after", String(retryAfter));
  const message = code === "too-many" && retryAfter !== undefined ? `${MESSAGE[code]} Wait ${wait(retryAfter)}.` : MESSAGE[code];
  return Response.json({ error: { code, message, ...extra } }, { status: STATUS[code], headers });
}
