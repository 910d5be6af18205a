/** What the device signs at the door. */
import type { ChallengeResponse } from "../protocol/door-messages.ts";
import { SESSION_MS } from "../protocol/limits.ts";
import { ASK_KEYS, SESSION_KEYS, encodeBody, tagged, toBase64url } from "../protocol/statement-encoding.ts";
import type { Handover } from "../protocol/statements.ts";
import type { HeldKey } from "./device-key.ts";

/** @returns the request to be let in, bound to the room's nonce and to this origin */
export async function signedAsk(key: HeldKey, { gateway, roomNonce }: { readonly gateway: string; readonly roomNonce: string }) {
  const bytes = encodeBody({ v: 1, gateway, key: key.publicKey, origin: location.origin, access: "full", roomNonce }, ASK_KEYS);
  return { statement: toBase64url(bytes), signature: await key.sign(tagged("ask", bytes)) };
}

/** An answer of the room with which a session can be opened. */
type Opening = ChallengeResponse & { readonly [K in "connector" | "grant"]: NonNullable<ChallengeResponse[K]> };

/**
 * @param handover which page may be given OpenClaw's credentials in that session
 * @returns the request for a session under this grant, as long as the grant holds and no longer than sessions last
 */
export async function signedSession(key: HeldKey, answer: Opening, handover: Handover) {
  const { gateway, device, grant, roomNonce, connector, serverTimeMs: iatMs } = answer;
  const body = {
    v: 1,
    gateway,
    device,
    grant: grant.id,
    origin: location.origin,
    roomNonce,
    connectorNonce: connector.nonce,
    connectorKey: connector.key,
    handover,
    iatMs,
    expMs: Math.min(iatMs + SESSION_MS, grant.notAfterMs),
  };
  const bytes = encodeBody(body, SESSION_KEYS);
  return { statement: toBase64url(bytes), signature: await key.sign(tagged("session", bytes)) };
}
