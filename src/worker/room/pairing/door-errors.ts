/** Answers of the door's JSON endpoints when there is nothing to give: a stable code, never a reason from inside. */
import type { DoorError } from "../../../protocol/door-messages.ts";

const STATUS: Readonly<Record<DoorError, number>> = {
  "bad-request": 400,
  "not-allowed": 403,
  "gateway-away": 503,
  "token-missing": 403,
  "token-frozen": 403,
  clock: 400,
  "refused-by-gateway": 403,
  "too-many": 429,
};

/** Seconds that a page waits before it tries again when nobody knows better. */
const RETRY_SECONDS = 5;

/** @param retryAfterSeconds for `too-many` */
export function doorRefusal(code: DoorError, retryAfterSeconds = RETRY_SECONDS): Response {
  const headers = new Headers({ "cache-control": "no-store" });
  if (code === "too-many") headers.set("retry-after", String(retryAfterSeconds));
  return Response.json({ error: { code, message: code } }, { status: STATUS[code], headers });
}
