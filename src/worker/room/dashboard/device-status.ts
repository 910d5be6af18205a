/** How the gateway stands, for a device that is allowed on it: what the door says of a gateway that is away, at any time (PROTOCOL.md OB7). */
import type { StatusResponse } from "../../../protocol/door-messages.ts";
import type { Admission } from "../context.ts";
import { refusal } from "../refusals.ts";

/** @param session as its cookie says @returns 404 unless room and device still know each other */
export function statusFor(room: Admission, session: string): Response {
  const serverTimeMs = room.options.now();
  const admitted = room.session(session, serverTimeMs);
  if (admitted === null || room.isCut(admitted.device)) return refusal(404, "Not found.\n");
  const status: StatusResponse = {
    gatewayName: room.mustMeta().name,
    gatewayState: room.state(),
    ...room.restart(),
    lastSeenMs: room.gatewaySeenMs(),
    linkSinceMs: room.linkSinceMs(),
    lastBreak: room.lastBreak(),
    serverTimeMs,
  };
  return Response.json(status, { headers: { "cache-control": "no-store", "x-content-type-options": "nosniff" } });
}
