/** What binds an acceptance to the link that an owner made: a secret that no server ever sees (PROTOCOL.md PE3). Pure but for Web Crypto. */
import { fromBase64url, joined, tagged, toBase64url } from "../../protocol/statement-encoding.ts";
import type { OwnerKey } from "../../protocol/statements.ts";
import { keyText } from "./digests.ts";

const SECRET_BYTES = 32;

function covered(gateway: string, { credentialId, key }: OwnerKey): Uint8Array<ArrayBuffer> {
  return tagged("invite", joined([gateway, credentialId, keyText(key)]));
}

async function hmacKey(secret: string, usage: "sign" | "verify") {
  const bytes = fromBase64url(secret);
  if (bytes === null || bytes.byteLength !== SECRET_BYTES) return null;
  return crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, [usage]);
}

/**
 * The invited person's page says, under the link's secret, which passkey opened the link.
 *
 * @param secret 32 bytes, base64url, from the link's fragment
 * @returns base64url HMAC-SHA-256, or null when the link has no whole secret
 */
export async function invitationProof(secret: string, gateway: string, passkey: OwnerKey): Promise<string | null> {
  const key = await hmacKey(secret, "sign");
  return key === null ? null : toBase64url(new Uint8Array(await crypto.subtle.sign({ name: "HMAC" }, key, covered(gateway, passkey))));
}

/** @returns whether whoever had the link named exactly this passkey for this gateway */
export async function isInvitationProof(secret: string, gateway: string, passkey: OwnerKey, proof: string | null): Promise<boolean> {
  const [key, bytes] = [await hmacKey(secret, "verify"), proof === null ? null : fromBase64url(proof)];
  return key !== null && bytes !== null && crypto.subtle.verify({ name: "HMAC" }, key, bytes, covered(gateway, passkey));
}

/**
 * What an owner's page may do about somebody who accepted. `proven`: the passkey opened the link that this browser made. `not-proven`: the proof is
 * of another passkey, so nothing is signed. `words`: this browser cannot tell, and two people compare check words.
 *
 * @param secret what this browser kept of the link, null when another one made it
 * @param proof as the server says it; null also when the link was cut short on its way
 */
export async function judgeAcceptance(
  secret: string | null,
  gateway: string,
  passkey: OwnerKey,
  proof: string | null,
): Promise<"proven" | "not-proven" | "words"> {
  if (secret === null || proof === null) return "words";
  return (await isInvitationProof(secret, gateway, passkey, proof)) ? "proven" : "not-proven";
}
