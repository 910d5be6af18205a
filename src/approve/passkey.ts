/** Passkey calls. The page builds every challenge itself from tagged bytes, so that a sign-in can never become a grant (reference: security.md 4). */
import { browserSupportsWebAuthn, startAuthentication, startRegistration } from "@simplewebauthn/browser";
import {
  GRANT_KEYS,
  OWNER_KEY_KEYS,
  OWNER_REMOVE_KEYS,
  encodeBody,
  fromBase64url,
  tagged,
  toBase64url,
} from "../protocol/statement-encoding.ts";
import type { StatementType } from "../protocol/statement-encoding.ts";
import type { Assertion, SignedByOwner } from "../protocol/statements.ts";
import { Told, patientCall, say } from "./page.ts";
import { TEXTS } from "./texts.ts";
import { actWords } from "./words.ts";
import type { Act } from "./words.ts";

export interface NonceAnswer {
  readonly nonce: string;
  readonly rpId: string;
  readonly signUp: "open" | "invite" | "closed";
  readonly appOrigin: string;
}

async function challenge(type: StatementType, body: Uint8Array): Promise<string> {
  return toBase64url(new Uint8Array(await crypto.subtle.digest("SHA-256", tagged(type, body))));
}

function mustSupport(): void {
  if (!browserSupportsWebAuthn()) throw new Told(TEXTS.passkeysUnsupported);
}

export function freshNonce(): Promise<NonceAnswer> {
  return patientCall("POST", "/api/auth/nonce", {});
}

/** Registers a passkey for a server nonce. @returns nonce and response, as the API takes them */
export async function register(name: string, userHandle: string, known: readonly string[]) {
  mustSupport();
  const { nonce, rpId } = await freshNonce();
  const response = await startRegistration({
    optionsJSON: {
      rp: { id: rpId, name: "Gatehouse" },
      user: { id: userHandle, name, displayName: name },
      challenge: await challenge("register", fromBase64url(nonce) ?? new Uint8Array()),
      pubKeyCredParams: [-7, -8, -257].map((alg) => ({ alg, type: "public-key" as const })),
      authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification: "required" },
      attestation: "none",
      excludeCredentials: known.map((id) => ({ id, type: "public-key" as const })),
      timeout: 120_000,
    },
  });
  return { nonce, response };
}

/** Signs in with any passkey of this address. */
export async function authenticate() {
  mustSupport();
  const { nonce, rpId } = await freshNonce();
  const optionsJSON = {
    challenge: await challenge("login", fromBase64url(nonce) ?? new Uint8Array()),
    rpId,
    userVerification: "required" as const,
    timeout: 120_000,
  };
  return { nonce, response: await startAuthentication({ optionsJSON }) };
}

function bytesOf(act: Act): Uint8Array<ArrayBuffer> {
  switch (act.type) {
    case "grant":
      return encodeBody({ ...act.body }, GRANT_KEYS);
    case "owner-key":
      return encodeBody({ ...act.body }, OWNER_KEY_KEYS);
    case "owner-remove":
      return encodeBody({ ...act.body }, OWNER_REMOVE_KEYS);
  }
}

/**
 * Says what is signed, then asks for the signature: the challenge is the hash of the statement's tagged bytes.
 *
 * @param credentials which passkeys may, empty for any
 */
export async function signAct(act: Act, credentials: readonly string[]): Promise<SignedByOwner> {
  mustSupport();
  const body = bytesOf(act);
  say(actWords(act));
  const response = await startAuthentication({
    optionsJSON: {
      challenge: await challenge(act.type, body),
      rpId: location.hostname,
      userVerification: "required",
      timeout: 120_000,
      allowCredentials: credentials.map((id) => ({ id, type: "public-key" as const })),
    },
  });
  const { authenticatorData, clientDataJSON, signature } = response.response;
  const assertion: Assertion = { credentialId: response.id, authenticatorData, clientDataJSON, signature };
  return { statement: toBase64url(body), assertion };
}
