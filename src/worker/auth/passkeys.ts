/** Passkey registration and sign-in (WebAuthn Level 3 §7.1, §7.2) over challenges that the page built from tagged bytes. */
import { verifyAuthenticationResponse, verifyRegistrationResponse } from "@simplewebauthn/server";
import type { AuthenticationResponseJSON, RegistrationResponseJSON } from "@simplewebauthn/server";
import { decodeCredentialPublicKey } from "@simplewebauthn/server/helpers";
import { sha256 } from "../../core/trust/digests.ts";
import { isSoundKey } from "../../core/trust/public-key.ts";
import { fromBase64url, tagged, toBase64url } from "../../protocol/statement-encoding.ts";
import { passkeyKeySchema } from "../../protocol/statements.ts";
import type { OwnerKey } from "../../protocol/statements.ts";
import type { Config } from "../config.ts";

/** ES256, EdDSA, RS256: what platform authenticators make. */
const ALGORITHMS = [-7, -8, -257];

export interface NewPasskey {
  readonly credentialId: string;
  /** Base64url COSE_Key. */
  readonly coseKey: string;
  readonly key: OwnerKey["key"];
}

/** Parameters of COSE keys (RFC 9052 §7, RFC 8230 §4). */
function toJwk(cose: Uint8Array<ArrayBuffer>): OwnerKey["key"] | null {
  const map = decodeCredentialPublicKey(cose) as unknown as Map<number, unknown>;
  const bytes = (label: number): string => {
    const value = map.get(label);
    return value instanceof Uint8Array ? toBase64url(value) : "";
  };
  const kty = map.get(1);
  const jwk =
    kty === 1
      ? { kty: "OKP", crv: "Ed25519", x: bytes(-2) }
      : kty === 2
        ? { kty: "EC", crv: "P-256", x: bytes(-2), y: bytes(-3) }
        : { kty: "RSA", n: bytes(-1), e: bytes(-2) };
  const parsed = passkeyKeySchema.safeParse(jwk);
  return parsed.success && isSoundKey(parsed.data) ? parsed.data : null;
}

async function challengeOf(type: "login" | "register", nonce: Uint8Array<ArrayBuffer>): Promise<string> {
  return toBase64url(await sha256(tagged(type, nonce)));
}

/** @returns the new passkey, or null for anything that is not a verified registration of this nonce at the approval origin */
export async function checkRegistration(config: Config, nonce: Uint8Array<ArrayBuffer>, response: unknown): Promise<NewPasskey | null> {
  try {
    const { verified, registrationInfo } = await verifyRegistrationResponse({
      response: response as RegistrationResponseJSON,
      expectedChallenge: await challengeOf("register", nonce),
      expectedOrigin: config.approveOrigin,
      expectedRPID: config.rpId,
      requireUserVerification: true,
      supportedAlgorithmIDs: ALGORITHMS,
    });
    if (!verified || registrationInfo === undefined) return null;
    const { id, publicKey } = registrationInfo.credential;
    const key = toJwk(new Uint8Array(publicKey));
    return key === null ? null : { credentialId: id, coseKey: toBase64url(publicKey), key };
  } catch {
    return null;
  }
}

/** @returns whether this passkey signed this nonce as a sign-in. Counters are ignored: synced passkeys send 0. */
export async function checkSignIn(
  config: Config,
  nonce: Uint8Array<ArrayBuffer>,
  response: unknown,
  passkey: { readonly credentialId: string; readonly coseKey: string },
): Promise<boolean> {
  const publicKey = fromBase64url(passkey.coseKey);
  if (publicKey === null) return false;
  try {
    const { verified } = await verifyAuthenticationResponse({
      response: response as AuthenticationResponseJSON,
      expectedChallenge: await challengeOf("login", nonce),
      expectedOrigin: config.approveOrigin,
      expectedRPID: config.rpId,
      requireUserVerification: true,
      credential: { id: passkey.credentialId, publicKey, counter: 0 },
    });
    return verified;
  } catch {
    return false;
  }
}
