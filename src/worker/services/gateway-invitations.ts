/** Invitations to a gateway, between the code that D1 keeps and the room that knows what it is for (PROTOCOL.md PE2). */
import * as z from "zod";
import { sha256 } from "../../core/trust/digests.ts";
import { toBase64url, utf8 } from "../../protocol/statement-encoding.ts";
import { gatewayIdSchema } from "../../protocol/statements.ts";
import { readCode, redeemCode } from "../auth/one-time-code.ts";
import type { Env } from "../env.ts";
import type { InvitationView } from "../../protocol/members.ts";

/** What a gateway's invitation carries beside its code; one that only makes an account carries something else. */
const payloadSchema = z.object({ gateway: gatewayIdSchema });

/** @returns base64url SHA-256: what the room knows a code by, so that it never holds one */
export async function codeHash(code: string): Promise<string> {
  return toBase64url(await sha256(utf8(code.trim())));
}

/**
 * Whether a code that was used up for a sign-up makes an account. One to a gateway is held there for the new account, which alone can accept it.
 *
 * @param payload as it was redeemed
 * @param code as it was typed
 * @param account the new one's id
 */
export async function mayMakeAccount(env: Env, payload: unknown, code: string, account: string): Promise<boolean> {
  const parsed = payloadSchema.safeParse(payload);
  if (!parsed.success) return true;
  const held = await env.ROOM.getByName(parsed.data.gateway).holdInvitation({ account, code: await codeHash(code) });
  return held.ok;
}

/** @returns the invitation as this account may see it, or null: wrong, used by another, too old, withdrawn, or none to a gateway */
export async function lookAt(env: Env, account: string, code: string): Promise<InvitationView | null> {
  const read = await readCode(env, "invitation", code);
  const payload = payloadSchema.safeParse(read?.payload);
  if (read === null || !payload.success) return null;
  const seen = await env.ROOM.getByName(payload.data.gateway).lookAtInvitation({ account, code: await codeHash(code) });
  if (!seen.ok) return null;
  return read.isUsed && !seen.value.isHeld ? null : seen.value;
}

/**
 * Takes a code for an account. The room decides who of many is first; then the code is used up, unless it was when it made that account.
 * Whoever was first may come back after a failure in between.
 *
 * @returns the gateway, or null for whoever does not get it
 */
export async function takeCode(env: Env, account: string, code: string): Promise<string | null> {
  const seen = await lookAt(env, account, code);
  if (seen === null || seen.state !== "open") return null;
  if (seen.isHeld) return seen.gateway;
  const held = await env.ROOM.getByName(seen.gateway).holdInvitation({ account, code: await codeHash(code) });
  if (!held.ok) return null;
  return (await redeemCode(env, "invitation", code)) === null ? null : seen.gateway;
}
