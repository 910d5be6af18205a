/** Answers of the room in the gateway's place: short, plain, never cached. */
import { decodeClose, legOf } from "../../core/link/close-code.ts";
import { BODY_MISSING, CLOSE_BUDGET, CLOSE_CUT, CLOSE_NOT_FOUND, CLOSE_SESSION_OVER, HEAD_TOO_LARGE } from "../../protocol/close-codes.ts";
import { dayEndsMs } from "../../core/measure/usage.ts";
import type { Frame } from "../../protocol/frame.ts";
import { FAILED_HEADER, REFUSED_BY_BUDGET, REFUSED_HEADER } from "./ports.ts";

/** A visitor that left, or that has to make room for its own newer request. */
export const CLOSE_ABORTED = 1001;

/** The door explains these and goes on by itself; with any other it would lead back to the same answer again and again. */
const DOOR_HELPS = [401, 403, 502, 503];

/** @param retry the visitor may try again, in so many seconds; `true`: in a few */
export function refusal(status: number, text: string, retry: boolean | number = false): Response {
  const headers = new Headers({ "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" });
  // The Worker shows the door instead when a person is looking; the gateway's own answers never carry this header.
  if (DOOR_HELPS.includes(status)) headers.set(REFUSED_HEADER, "1");
  if (retry !== false) headers.set("retry-after", String(retry === true ? 5 : retry));
  return new Response(text, { status, headers });
}

/** The room itself failed in the middle of a request. Marked, so that its line is none of the gateway's own 500. */
export function failed(): Response {
  const answer = refusal(500, "Something went wrong on our side.\n");
  answer.headers.set(FAILED_HEADER, "1");
  return answer;
}

/** The day's budget is used up. A page of its own says so: the door would lead back here, as this device is allowed. */
function usedUp(nowMs: number): Response {
  const text = "This gateway has used up its budget of today. Its owner can raise it; otherwise it opens again at 00:00 UTC.\n";
  const answer = refusal(503, text, Math.ceil((dayEndsMs(nowMs) - nowMs) / 1000));
  answer.headers.set(REFUSED_HEADER, REFUSED_BY_BUDGET);
  return answer;
}

/** The device has as many streams open as one may have. */
export function tooMany(): Response {
  return refusal(429, "Too many connections at once.\n", true);
}

/** What a visitor gets whose exchange or upgrade ends with this close before the gateway answered. @param reason names the leg, if one broke */
export function refusalForClose(code: number | null, reason = ""): Response {
  if (code === CLOSE_SESSION_OVER) return refusal(401, "Open this address in a browser to sign this device in.\n");
  if (code === CLOSE_CUT) return refusal(403, "This device may no longer connect.\n");
  if (code === CLOSE_BUDGET) return usedUp(Date.now());
  if (code === CLOSE_NOT_FOUND) return refusal(404, "Not found.\n");
  if (code === CLOSE_ABORTED) return tooMany();
  if (reason.endsWith(BODY_MISSING)) return refusal(408, "The request's body did not come.\n");
  if (legOf(reason) === "room-connector") return refusal(502, "The gateway's connection broke (room-connector).\n", true);
  if (reason.endsWith(HEAD_TOO_LARGE)) return refusal(502, "The gateway's answer has too large a header (connector-gateway).\n");
  return refusal(502, "The gateway did not answer (connector-gateway).\n", true);
}

/** The same for a CLOSE or RESET frame of the connector. */
export function refusalFor(frame: Frame): Response {
  const close = decodeClose(frame.payload);
  return refusalForClose(close?.code ?? null, close?.reason);
}
