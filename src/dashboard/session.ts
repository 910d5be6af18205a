/** Signing in: a trip to the approval origin and back, with a verifier that never leaves this tab (RFC 7636). */
import { toBase64url, utf8 } from "../protocol/statement-encoding.ts";
import { Told, call } from "./api.ts";
import { safePath } from "./paths.ts";
import { TEXTS } from "./texts.ts";

const VERIFIER_ITEM = "gatehouse-verifier";

/** Leaves for the approval origin; comes back to `/signed-in` and goes on to `to`. */
export async function signIn(to: string): Promise<void> {
  const { approveOrigin } = await call<{ approveOrigin: string }>("GET", "/api/config");
  const verifier = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
  try {
    sessionStorage.setItem(VERIFIER_ITEM, verifier);
  } catch {
    // Without it the way back could not be told from somebody else's link.
    throw new Told(TEXTS.storageNeeded);
  }
  const challenge = toBase64url(new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(verifier))));
  location.assign(`${approveOrigin}/sign-in?${new URLSearchParams({ handoff: challenge, to }).toString()}`);
}

/** Back at `/signed-in#code=…`. @returns the path to go on to */
export async function finishSignIn(): Promise<string> {
  const fragment = new URLSearchParams(location.hash.slice(1));
  history.replaceState(null, "", "/signed-in");
  const verifier = sessionStorage.getItem(VERIFIER_ITEM) ?? "";
  sessionStorage.removeItem(VERIFIER_ITEM);
  await call("POST", "/api/session", { code: fragment.get("code") ?? "", verifier });
  return safePath(fragment.get("to"));
}
