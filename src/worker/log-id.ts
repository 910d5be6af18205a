/** What stands for an id in the log. */
import { toBase64url, utf8 } from "../protocol/statement-encoding.ts";
import { mac, signingKey } from "./auth/mac-keys.ts";
import type { Env } from "./env.ts";

const ID_CHARS = 8;

/** @returns eight characters of an HMAC (RFC 2104): the same for the same id, and no way back */
export async function logId(env: Env, id: string): Promise<string> {
  return toBase64url(await mac(await signingKey(env, "log-id"), utf8(id))).slice(0, ID_CHARS);
}
