/** API tokens (`gtha_`): they read, and they suspend a device; they never admit one (PROTOCOL.md AT). */
import { TOKEN_RANDOM_BYTES, readToken, writeToken } from "../../core/trust/token.ts";
import { API_TOKEN_USED_EVERY_MS } from "../../protocol/limits.ts";
import { apiTokenBySelector, insertApiToken, touchApiToken } from "../db/token-queries.ts";
import type { ApiTokenRow } from "../db/token-queries.ts";
import type { Env } from "../env.ts";
import { isTokenMac, tokenMacs } from "./token-macs.ts";

/** A row that is moved to another account, or kept alive longer by hand, fits nothing. */
function covered({ accountId, selector, expiresAtMs }: Pick<ApiTokenRow, "accountId" | "selector" | "expiresAtMs">, token: string) {
  return [accountId, selector, String(expiresAtMs), token];
}

/** @returns the token, which nobody ever sees again, and its row */
export async function makeApiToken(
  env: Env,
  account: string,
  name: string,
  expiresAtMs: number,
): Promise<{ token: string; row: ApiTokenRow }> {
  const token = writeToken("a", crypto.getRandomValues(new Uint8Array(TOKEN_RANDOM_BYTES)));
  const selector = readToken(token, "a")?.selector ?? "";
  const [mac] = await tokenMacs(env, "api-token", covered({ accountId: account, selector, expiresAtMs }, token));
  const row = { selector, accountId: account, name, mac, createdAtMs: Date.now(), expiresAtMs, lastUsedAtMs: null };
  await insertApiToken(env.DB, row);
  return { token, row };
}

/** @param request any @returns what its `Authorization: Bearer` says, or null without one */
export function bearerOf(request: Request): string | null {
  return /^bearer\s+(.*)$/is.exec(request.headers.get("authorization") ?? "")?.[1]?.trim() ?? null;
}

/**
 * The account that a token was made for. What is no token of ours costs no I/O.
 *
 * @param shown as it came
 * @param mayTry asked before D1 is, once for each text of the right shape
 * @returns null for anything but a token that is good now
 */
export async function apiTokenAccount(
  env: Env,
  shown: string,
  mayTry: () => Promise<void>,
): Promise<{ readonly account: string; readonly selector: string; readonly expiresAtMs: number } | null> {
  const token = readToken(shown, "a");
  if (token === null) return null;
  await mayTry();
  const nowMs = Date.now();
  const row = await apiTokenBySelector(env.DB, token.selector, nowMs);
  if (row === null || !(await isTokenMac(env, "api-token", covered(row, shown), row.mac))) return null;
  const [newest] = await tokenMacs(env, "api-token", covered(row, shown));
  if (newest !== row.mac || nowMs - (row.lastUsedAtMs ?? 0) >= API_TOKEN_USED_EVERY_MS)
    await touchApiToken(env.DB, row.selector, newest, nowMs);
  return { account: row.accountId, selector: row.selector, expiresAtMs: row.expiresAtMs };
}
