/** Tells a device why it is not let in: only whoever proved its key hears it (PROTOCOL.md EA). */
import { deviceId } from "../../../core/trust/digests.ts";
import { verifyTagged } from "../../../core/trust/public-key.ts";
import { readAsk } from "../../../core/trust/statement.ts";
import { accessEnd } from "../../../core/trust/access-end.ts";
import type { AccessEnd, StandingResponse } from "../../../protocol/door-messages.ts";
import { standingRequestSchema } from "../../../protocol/door-messages.ts";
import { readRoomNonce } from "../../auth/room-nonce.ts";
import type { Admission } from "../context.ts";
import { blockOf } from "./blocks.ts";
import { doorRefusal } from "../pairing/door-errors.ts";

/** @returns what keeps a device out, or null */
export function endOf(admission: Admission, device: string): AccessEnd | null {
  return accessEnd(admission.device(device), blockOf(admission, device), admission.options.now());
}

/** Answers a device that signed a nonce of the challenge; stores nothing. */
export async function standingAnswer(admission: Admission, body: unknown): Promise<Response> {
  const parsed = standingRequestSchema.safeParse(body);
  const identity = admission.identity();
  const statement = parsed.success ? readAsk(parsed.data.signed.statement) : null;
  if (!parsed.success || identity === null || statement === null) return doorRefusal("bad-request");
  const { gateway, origin, key, roomNonce } = statement.body;
  if (gateway !== identity.gateway || origin !== identity.origin) return doorRefusal("bad-request");
  if ((await readRoomNonce(admission.options.env, gateway, roomNonce, admission.options.now())) === null) return doorRefusal("bad-request");
  if (!(await verifyTagged(key, "ask", statement.bytes, parsed.data.signed.signature))) return doorRefusal("bad-request");
  const end = endOf(admission, await deviceId(gateway, key));
  return Response.json({ end } satisfies StandingResponse, { headers: { "cache-control": "no-store" } });
}
