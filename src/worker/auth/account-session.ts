/** Account sessions: a `__Host-` cookie per origin, its MAC in D1, 30 days sliding. */
import { toBase32 } from "../../core/trust/digests.ts";
import { TOKEN_RANDOM_BYTES, readToken, writeToken } from "../../core/trust/token.ts";
import { ACCOUNT_SESSION_MS } from "../../protocol/limits.ts";
import { ACCOUNT_COOKIE } from "../../protocol/words.ts";
import { deleteSession, deleteSessionsOf, insertAudit, insertSession, sessionBySelector, slideSession } from "../db/account-queries.ts";
import type { Env } from "../env.ts";
import { cookieValue, isSameText } from "./session-cookie.ts";
import { isTokenMac, tokenMacs } from "./token-macs.ts";

export type Audience = "app" | "approve";

export interface AccountSession {
  readonly account: string;
  readonly selector: string;
  readonly expiresAtMs: number;
}

/** At most one write a day keeps a session in use alive. */
const SLIDE_EVERY_MS = 24 * 3_600_000;

function cookie(value: string, maxAgeSeconds: number): string {
  return `${ACCOUNT_COOKIE}=${value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=${maxAgeSeconds}`;
}

/** Digits of the MAC behind the token: 40 bits, so that a guess dies here and not in D1. */
const TAG_CHARS = 8;

/** @returns the tags that a token of this origin may carry, the newest secret's first */
async function tagsOf(env: Env, audience: Audience, token: string): Promise<readonly [string, ...string[]]> {
  const [newest, ...older] = await tokenMacs(env, "account-session-tag", [audience, token]);
  return [newest.slice(0, TAG_CHARS), ...older.map((each) => each.slice(0, TAG_CHARS))];
}

/** @returns the token in a cookie that we issued at this origin, or null. No I/O. */
async function ownToken(env: Env, audience: Audience, text: string): Promise<string | null> {
  const [token = "", tag = "", ...more] = text.split(".");
  if (more.length > 0 || readToken(token, "s") === null) return null;
  let isOwn = false;
  for (const each of await tagsOf(env, audience, token)) isOwn = isSameText(tag, each) || isOwn;
  return isOwn ? token : null;
}

/** @returns whether the request shows any session cookie, of whatever worth */
export function hasSessionCookie(request: Request): boolean {
  return (cookieValue(request.headers.get("cookie"), ACCOUNT_COOKIE) ?? "") !== "";
}

/** @returns the Set-Cookie value of a new session */
export async function startSession(env: Env, account: string, audience: Audience): Promise<string> {
  const token = writeToken("s", crypto.getRandomValues(new Uint8Array(TOKEN_RANDOM_BYTES)));
  const nowMs = Date.now();
  const [tag] = await tokenMacs(env, "account-session", [audience, account, token]);
  await insertSession(env.DB, {
    selector: readToken(token, "s")?.selector ?? "",
    accountId: account,
    audience,
    mac: tag,
    createdAtMs: nowMs,
    expiresAtMs: nowMs + ACCOUNT_SESSION_MS,
  });
  const [shown] = await tagsOf(env, audience, token);
  return cookie(`${token}.${shown}`, ACCOUNT_SESSION_MS / 1000);
}

/** @returns the Set-Cookie value that removes the cookie */
export function endedCookie(): string {
  return cookie("", 0);
}

/** @returns the session behind the request's cookie at this origin, or null. Slides it at most once a day. */
export async function currentSession(env: Env, request: Request, audience: Audience): Promise<AccountSession | null> {
  const text = await ownToken(env, audience, cookieValue(request.headers.get("cookie"), ACCOUNT_COOKIE) ?? "");
  if (text === null) return null;
  const nowMs = Date.now();
  const row = await sessionBySelector(env.DB, readToken(text, "s")?.selector ?? "", nowMs);
  if (row === null || row.audience !== audience) return null;
  if (!(await isTokenMac(env, "account-session", [audience, row.accountId, text], row.mac))) return null;
  if (row.expiresAtMs - nowMs < ACCOUNT_SESSION_MS - SLIDE_EVERY_MS) await slideSession(env.DB, row.selector, nowMs + ACCOUNT_SESSION_MS);
  return { account: row.accountId, selector: row.selector, expiresAtMs: row.expiresAtMs };
}

/** Ends one session, and the dashboards that watch with it. */
export async function endSession(env: Env, session: AccountSession): Promise<void> {
  await deleteSession(env.DB, session.selector);
  await env.INBOX.getByName(session.account).closeSockets({ session: session.selector });
}

/** Ends every session of the account on every origin, and every dashboard that watches; the account's history says so. */
export async function endAllSessions(env: Env, account: string): Promise<void> {
  await deleteSessionsOf(env.DB, account);
  await env.INBOX.getByName(account).closeSockets({ session: null });
  const id = toBase32(crypto.getRandomValues(new Uint8Array(16)));
  const event = { id, accountId: account, gatewayId: null, deviceId: null, actor: "person", action: "signed-out-everywhere" };
  await insertAudit(env.DB, { ...event, detail: "{}", atMs: Date.now() });
}
