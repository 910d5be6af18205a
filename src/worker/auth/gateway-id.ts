/** Gateway ids: unguessable and self-checking, so that guesses die in the Worker before any room exists. */
import { toBase32 } from "../../core/trust/digests.ts";
import { gatewayIdSchema } from "../../protocol/statements.ts";
import { utf8 } from "../../protocol/statement-encoding.ts";
import type { Env } from "../env.ts";
import { mac, signingKey, verifyingKeys } from "./mac-keys.ts";
import type { MacKey } from "./mac-keys.ts";

const RANDOM_CHARS = 16; // 80 bits
const ID_CHARS = 23; // 80 random bits and 35 bits of MAC

async function tag(key: MacKey, random: string): Promise<string> {
  return toBase32(await mac(key, utf8(random))).slice(0, ID_CHARS - RANDOM_CHARS);
}

/** @param random 10 random bytes */
export async function mintGatewayId(env: Env, random: Uint8Array): Promise<string> {
  const body = toBase32(random);
  return body + (await tag(await signingKey(env, "gateway-id"), body));
}

/** @returns whether `id` is one that `mintGatewayId` made with a live secret. No I/O. */
export async function isGatewayId(env: Env, id: string): Promise<boolean> {
  if (!gatewayIdSchema.safeParse(id).success) return false;
  const body = id.slice(0, RANDOM_CHARS);
  for (const key of await verifyingKeys(env, "gateway-id")) {
    const expected = utf8(body + (await tag(key, body)));
    if (crypto.subtle.timingSafeEqual(expected, utf8(id))) return true;
  }
  return false;
}
