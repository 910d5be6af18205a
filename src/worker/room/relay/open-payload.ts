/** OPEN and OPENED: what a visitor's request becomes on the link, and what the connector's answer must look like. */
import { boundedFromVisitor } from "../../../core/http/header-filter.ts";
import type { Frame } from "../../../protocol/frame.ts";
import { MAX_FRAME_PAYLOAD_BYTES, MAX_PATH_CHARS } from "../../../protocol/limits.ts";
import { openedSchema } from "../../../protocol/link-messages.ts";
import type { StreamOpen, StreamOpened } from "../../../protocol/link-messages.ts";
import { utf8 } from "../../../protocol/statement-encoding.ts";
import { HANDOVER_COOKIE } from "../../../protocol/words.ts";
import { cookieValue } from "../../auth/session-cookie.ts";
import type { AdmittedSession } from "../ports.ts";
import { refusal } from "../refusals.ts";

/** Of the door's own values; a longer one is none. */
const MAX_ONCE_CHARS = 100;

/** Whether a request asks to become a WebSocket. */
export function isUpgrade(request: Request): boolean {
  return request.headers.get("upgrade")?.toLowerCase() === "websocket";
}

/** The query as it was sent: reading a URL would drop a lone `?`. */
function rawQuery(url: string): string {
  const at = url.indexOf("?");
  return at === -1 ? "" : (url.slice(at).split("#", 1)[0] ?? "");
}

/** @returns the payload of OPEN, or the visitor's answer when the request cannot become one */
export function openPayload(request: Request, session: AdmittedSession, clientIp: string): Uint8Array<ArrayBuffer> | Response {
  const headers = boundedFromVisitor([...request.headers]);
  const url = new URL(request.url);
  const path = url.pathname + rawQuery(request.url);
  if (path.length > MAX_PATH_CHARS) return refusal(414, "The address is too long.\n");
  const kind = isUpgrade(request) ? "ws" : "http";
  const once = kind === "ws" ? cookieValue(request.headers.get("cookie"), HANDOVER_COOKIE) : null;
  const open = {
    kind,
    method: request.method,
    path,
    headers: headers ?? [],
    session: session.session,
    device: session.device,
    access: session.access,
    clientIp,
    host: url.host,
    hasBody: request.body !== null,
    ...(once === null || once.length > MAX_ONCE_CHARS ? {} : { once }),
  } satisfies StreamOpen;
  const payload = utf8(JSON.stringify(open));
  // OPEN is one frame, and JSON may be longer than the headers that it quotes.
  if (headers === null || payload.byteLength > MAX_FRAME_PAYLOAD_BYTES) return refusal(431, "The request's headers are too large.\n");
  return payload;
}

/** @returns what OPENED says, or null for anything that is no answer */
export function readOpened(frame: Frame): StreamOpened | null {
  try {
    const parsed = openedSchema.safeParse(JSON.parse(new TextDecoder().decode(frame.payload)));
    // Interim answers end at the connector; 101 is for upgrades and checked there.
    return parsed.success && (parsed.data.status >= 200 || parsed.data.status === 101) ? parsed.data : null;
  } catch {
    return null;
  }
}
