/** The session cookie of a gateway origin: checked by the Worker without any I/O. */
import { fromBase64url, joined, toBase64url, utf8 } from "../../protocol/statement-encoding.ts";
import { SESSION_COOKIE } from "../../protocol/words.ts";
import type { Env } from "../env.ts";
import { mac, signingKey, verifyingKeys } from "./mac-keys.ts";

export interface SessionCookie {
  readonly session: string;
  readonly gateway: string;
  readonly device: string;
  readonly expiresAtMs: number;
}

/** The texts as they are sent: a number has several. */
function covered(session: string, gateway: string, device: string, expires: string): Uint8Array<ArrayBuffer> {
  return joined([session, gateway, device, expires]);
}

/** @returns the Set-Cookie value */
export async function sealSessionCookie(env: Env, cookie: SessionCookie, nowMs: number): Promise<string> {
  const expires = String(cookie.expiresAtMs);
  const bytes = covered(cookie.session, cookie.gateway, cookie.device, expires);
  const tag = toBase64url(await mac(await signingKey(env, "session-cookie"), bytes));
  const value = [cookie.session, cookie.device, expires, tag].join(".");
  const maxAge = Math.max(0, Math.floor((cookie.expiresAtMs - nowMs) / 1000));
  return `${SESSION_COOKIE}=${value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=${maxAge}`;
}

/** @param header the Cookie field @returns the value of one cookie */
export function cookieValue(header: string | null, name: string): string | null {
  for (const part of (header ?? "").split(";")) {
    const [key = "", ...rest] = part.trim().split("=");
    if (key === name) return rest.join("=");
  }
  return null;
}

/** @returns the session that the request's cookie names, or null when there is none, it is over, or it was made for another gateway */
export async function openSessionCookie(env: Env, request: Request, gateway: string, nowMs: number): Promise<SessionCookie | null> {
  const value = cookieValue(request.headers.get("cookie"), SESSION_COOKIE);
  const [session = "", device = "", expires = "", tag = "", ...more] = value?.split(".") ?? [];
  const expiresAtMs = Number(expires);
  if (more.length > 0 || session.length < 20 || !Number.isSafeInteger(expiresAtMs) || expiresAtMs <= nowMs) return null;
  const given = fromBase64url(tag);
  if (given === null || given.byteLength !== 32) return null;
  const bytes = covered(session, gateway, device, expires);
  for (const key of await verifyingKeys(env, "session-cookie")) {
    if (crypto.subtle.timingSafeEqual(given, await mac(key, bytes))) return { session, gateway, device, expiresAtMs };
  }
  return null;
}

/** Constant-time comparison of two texts. */
export function isSameText(a: string, b: string): boolean {
  const [left, right] = [utf8(a), utf8(b)];
  return left.byteLength === right.byteLength && crypto.subtle.timingSafeEqual(left, right);
}
