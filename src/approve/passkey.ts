/** Passkey calls. The page builds every challenge itself from tagged bytes, so that a sign-in can never become a grant (reference: security.md 4). */
import { browserSupportsWebAuthn, startAuthentication, startRegistration } from "@simplewebauthn/browser";
import { verifyAssertion } from "../core/trust/assertion.ts";
import { listChallenge, statementHash } from "../core/trust/statement-list.ts";
import {
  GENESIS_KEYS,
  GRANT_KEYS,
  LOCAL_ACT_KEYS,
  OWNER_KEY_KEYS,
  OWNER_REMOVE_KEYS,
  RECOVERY_KEY_KEYS,
  WIDENING_KEYS,
  encodeBody,
  fromBase64url,
  toBase64url,
} from "../protocol/statement-encoding.ts";
import type { Assertion, OwnerKey, SignedByOwner } from "../protocol/statements.ts";
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

function mustSupport(): void {
  if (!browserSupportsWebAuthn()) throw new Told(TEXTS.passkeysUnsupported);
}

export function freshNonce(): Promise<NonceAnswer> {
  return patientCall("POST", "/api/auth/nonce", {});
}

/** The public key that this browser made, in the form of the statements (WebAuthn L3 §5.2.1.1): never the server's word for it. */
async function publicKeyOf(made: { readonly publicKey?: string; readonly publicKeyAlgorithm?: number }): Promise<OwnerKey["key"] | null> {
  const spki = fromBase64url(made.publicKey ?? "");
  if (spki === null || spki.byteLength === 0) return null;
  const algorithm =
    made.publicKeyAlgorithm === -7
      ? { name: "ECDSA", namedCurve: "P-256" }
      : made.publicKeyAlgorithm === -8
        ? { name: "Ed25519" }
        : { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const {
    x = "",
    y = "",
    n = "",
    e = "",
  } = await crypto.subtle.exportKey("jwk", await crypto.subtle.importKey("spki", spki, algorithm, true, ["verify"]));
  if (made.publicKeyAlgorithm === -7) return { kty: "EC", crv: "P-256", x, y };
  return made.publicKeyAlgorithm === -8 ? { kty: "OKP", crv: "Ed25519", x } : { kty: "RSA", n, e };
}

/** Registers a passkey and tells its public key, too. */
export async function registerKnown(name: string, userHandle: string, known: readonly string[]) {
  const made = await register(name, userHandle, known);
  const key = await publicKeyOf(made.response.response);
  if (key === null) throw new Told(TEXTS.passkeysUnsupported);
  return { made, passkey: { credentialId: made.response.id, key } };
}

/** Registers a passkey for a server nonce. @returns nonce and response, as the API takes them */
export async function register(name: string, userHandle: string, known: readonly string[]) {
  mustSupport();
  const { nonce, rpId } = await freshNonce();
  const response = await startRegistration({
    optionsJSON: {
      rp: { id: rpId, name: "Gatehouse" },
      user: { id: userHandle, name, displayName: name },
      challenge: await statementHash("register", fromBase64url(nonce) ?? new Uint8Array()),
      pubKeyCredParams: [-7, -8, -257].map((alg) => ({ alg, type: "public-key" as const })),
      authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification: "required" },
      attestation: "none",
      excludeCredentials: known.map((id) => ({ id, type: "public-key" as const })),
      timeout: 120_000,
    },
  });
  return { nonce, response };
}

/** Signs a nonce with the tag of a sign-in, which decides nothing. @param credentials which passkeys may, empty for any */
async function login(nonce: Uint8Array, rpId: string, credentials: readonly string[]) {
  mustSupport();
  const optionsJSON = {
    challenge: await statementHash("login", nonce),
    rpId,
    userVerification: "required" as const,
    timeout: 120_000,
    allowCredentials: credentials.map((id) => ({ id, type: "public-key" as const })),
  };
  return startAuthentication({ optionsJSON });
}

/** Signs in with any passkey of this address. */
export async function authenticate() {
  mustSupport();
  const { nonce, rpId } = await freshNonce();
  return { nonce, response: await login(fromBase64url(nonce) ?? new Uint8Array(), rpId, []) };
}

/** Whether the passkey that the account lists is one that this person holds, with exactly that key: the list is the server's word. */
export async function isHere(passkey: OwnerKey): Promise<boolean> {
  return (await provenHere([passkey])) !== null;
}

/** Asks for any one of these passkeys. @returns the one that signed with exactly the key that is listed, or null */
export async function provenHere(passkeys: readonly OwnerKey[]): Promise<OwnerKey | null> {
  const body = crypto.getRandomValues(new Uint8Array(32));
  const ids = passkeys.map((passkey) => passkey.credentialId);
  const assertion = assertionOf(await login(body, location.hostname, ids));
  const expected = { origin: location.origin, rpId: location.hostname, ownerKeys: passkeys };
  const signer = await verifyAssertion(assertion, await statementHash("login", body), expected);
  return typeof signer === "string" ? null : { credentialId: signer.credentialId, key: signer.key };
}

function assertionOf({ id, response }: Awaited<ReturnType<typeof startAuthentication>>): Assertion {
  const { authenticatorData, clientDataJSON, signature } = response;
  return { credentialId: id, authenticatorData, clientDataJSON, signature };
}

function bytesOf(act: Act): Uint8Array<ArrayBuffer> {
  switch (act.type) {
    case "genesis":
      return encodeBody({ ...act.body }, GENESIS_KEYS);
    case "grant":
      return encodeBody({ ...act.body }, GRANT_KEYS);
    case "owner-key":
      return encodeBody({ ...act.body }, OWNER_KEY_KEYS);
    case "owner-remove":
      return encodeBody({ ...act.body }, OWNER_REMOVE_KEYS);
    case "recovery-key":
      return encodeBody({ ...act.body }, RECOVERY_KEY_KEYS);
    case "local-act":
      return encodeBody({ ...act.body }, LOCAL_ACT_KEYS);
    case "widening":
      return encodeBody({ ...act.body }, WIDENING_KEYS);
  }
}

/**
 * Says what is signed, then asks for the signature over a list with this one statement.
 *
 * @param credentials which passkeys may, empty for any
 */
export async function signAct(act: Act, credentials: readonly string[]): Promise<SignedByOwner> {
  say(actWords(act));
  const { statements, ...signature } = await signActs([act], credentials);
  return { statement: statements[0] ?? "", ...signature };
}

/**
 * Asks for one signature over a list of statements, each of which the page shows in words already.
 *
 * @param credentials which passkeys may, empty for any
 * @returns the statements in order, with the list and the assertion that cover them all
 */
export async function signActs(
  acts: readonly Act[],
  credentials: readonly string[],
): Promise<Omit<SignedByOwner, "statement"> & { readonly statements: readonly string[] }> {
  mustSupport();
  const bodies = acts.map(bytesOf);
  const list = await Promise.all(acts.map((act, at) => statementHash(act.type, bodies[at] ?? new Uint8Array())));
  const response = await startAuthentication({
    optionsJSON: {
      challenge: (await listChallenge(list)) ?? "",
      rpId: location.hostname,
      userVerification: "required",
      timeout: 120_000,
      allowCredentials: credentials.map((id) => ({ id, type: "public-key" as const })),
    },
  });
  return { statements: bodies.map(toBase64url), list, assertion: assertionOf(response) };
}
