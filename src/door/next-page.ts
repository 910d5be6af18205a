/**
 * Which page will be given OpenClaw's credentials once the session is open (PROTOCOL.md SE3): the stock Control UI, named by its own key. That
 * key lies in this origin's storage; where there is none yet the door makes it, in the page's own format.
 */
import { toBase64url, utf8 } from "../protocol/statement-encoding.ts";
import type { Handover } from "../protocol/statements.ts";
import { HANDOVER_COOKIE } from "../protocol/words.ts";

/** OpenClaw 2026.9.3 to 2026.9.6: `{version: 1, deviceId, publicKey, privateKey, createdAtMs}`; keys are raw, base64url (`test/e2e/stock-ui.test.ts`). */
const IDENTITY_ITEM = "openclaw-device-identity-v1";
const IDENTITY_VERSION = 1;
const RAW_KEY_BYTES = 32;
/** As long as a hand-over waits for its page. */
const COOKIE_SECONDS = 120;

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

function rawKey(text: string): Uint8Array<ArrayBuffer> | null {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
  return bytes.byteLength === RAW_KEY_BYTES ? bytes : null;
}

/** @returns the stock page's public key; null where it is stored in a format that this release does not know */
function storedKey(stored: string): Uint8Array<ArrayBuffer> | null {
  try {
    const { version, publicKey, privateKey } = JSON.parse(stored) as Record<string, unknown>;
    if (version !== IDENTITY_VERSION || typeof publicKey !== "string" || typeof privateKey !== "string") return null;
    return rawKey(publicKey);
  } catch {
    return null;
  }
}

/** @throws where this browser has no Ed25519, or stores nothing */
async function madeKey(): Promise<Uint8Array<ArrayBuffer>> {
  const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]);
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  // RFC 8410 §7: the seed is the end of the PKCS #8 form.
  const privateKey = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)).slice(-RAW_KEY_BYTES);
  const deviceId = Array.from(await sha256(publicKey), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const identity = { version: IDENTITY_VERSION, deviceId, publicKey: toBase64url(publicKey), privateKey: toBase64url(privateKey), createdAtMs: Date.now() }; // prettier-ignore
  localStorage.setItem(IDENTITY_ITEM, JSON.stringify(identity));
  return publicKey;
}

async function pageKey(): Promise<Uint8Array<ArrayBuffer> | null> {
  try {
    const stored = localStorage.getItem(IDENTITY_ITEM);
    return stored === null ? await madeKey() : storedKey(stored);
  } catch {
    return null;
  }
}

/** @returns the stock page's key as its hash, or else that of a one-time cookie, which is set by then */
export async function nextPage(): Promise<Handover> {
  // Two tabs at the door must not each make a key: the page would connect with one and the session name the other.
  const locks = (navigator as { readonly locks?: LockManager }).locks;
  const key = await (locks === undefined ? pageKey() : locks.request(IDENTITY_ITEM, pageKey));
  if (key !== null) return { key: toBase64url(await sha256(key)) };
  const once = toBase64url(crypto.getRandomValues(new Uint8Array(RAW_KEY_BYTES)));
  document.cookie = `${HANDOVER_COOKIE}=${once}; Path=/; Secure; SameSite=Strict; Max-Age=${COOKIE_SECONDS}`;
  return { once: toBase64url(await sha256(utf8(once))) };
}
