/** Where connectors dial: `/link/<gateway>` on the app origin (PROTOCOL.md LINK). */
import { visitorAddress } from "../../core/http/client-ip.ts";
import { isGatewayId } from "../auth/gateway-id.ts";
import type { Env } from "../env.ts";
import { noteOf } from "../request-note.ts";
import { errorResponse } from "../respond.ts";
import { mayStrangerAsk } from "../stranger-limit.ts";
import { FAILED_HEADER } from "../room/ports.ts";

/** @returns 101 and the room's challenge, 429 for an address that dials too often, or one constant 404 for anything that is not a connector's upgrade for a gateway id of ours */
export async function handleLink(request: Request, env: Env, gateway: string): Promise<Response> {
  const isUpgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket";
  // A browser always sends Origin: no page may act as a connector.
  if (!isUpgrade || request.headers.has("origin") || !(await isGatewayId(env, gateway))) {
    noteOf(request).decision = "not-found";
    return errorResponse("not-found");
  }
  noteOf(request).gateway = gateway;
  // Every try wakes a room: whoever dials without end is stopped before.
  if (!(await mayStrangerAsk(request, env, "link"))) {
    noteOf(request).decision = "too-many";
    return errorResponse("too-many");
  }
  const headers = new Headers({ upgrade: "websocket", "x-gatehouse-kind": "link" });
  headers.set("x-gatehouse-client-ip", visitorAddress(request.headers.get("cf-connecting-ip")));
  const answer = await env.ROOM.getByName(gateway).fetch(new Request(request.url, { headers }));
  if (!answer.headers.has(FAILED_HEADER)) return answer;
  noteOf(request).decision = "room-failed";
  return errorResponse("internal");
}
