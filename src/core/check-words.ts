/** The enrolment ceremony: commit, then reveal, then four words that terminal and page must share (reference: security.md 5). */
import { joined, tagged, toBase64url } from "../protocol/statement-encoding.ts";
import type { ConnectorKey, OwnerKey } from "../protocol/statements.ts";
import { keyText, sha256 } from "./digests.ts";

/** 32 words, five bits each: short, distinct in sound and in the first three letters. Order is part of the protocol. */
export const WORDS = [
  "anchor", "bamboo", "candle", "dolphin", "ember", "falcon", "garden", "hammer",
  "island", "jacket", "kettle", "lantern", "marble", "needle", "orange", "pepper",
  "quartz", "ribbon", "saddle", "tunnel", "umbrella", "velvet", "walnut", "yellow",
  "zebra", "bridge", "copper", "desert", "forest", "mirror", "piano", "rocket",
] as const; // prettier-ignore

export interface EnrolmentTranscript {
  readonly gateway: string;
  readonly connectorKey: ConnectorKey;
  readonly ownerKeys: readonly OwnerKey[];
  /** Both base64url, 32 bytes. */
  readonly connectorNonce: string;
  readonly pageNonce: string;
}

/**
 * What the connector sends before it has seen anything of the page, so that nobody can choose a key or a nonce afterwards.
 *
 * @returns base64url SHA-256
 */
export async function enrolmentCommitment(key: ConnectorKey, connectorNonce: string): Promise<string> {
  return toBase64url(await sha256(tagged("enrol", joined([keyText(key), connectorNonce]))));
}

function ownerKeysText(keys: readonly OwnerKey[]): string {
  return [...keys]
    .map((key) => `${key.credentialId} ${keyText(key.key)}`)
    .toSorted()
    .join("\n");
}

/** The bytes that words, and the connector's signature at the end of enrolment, cover. */
export function transcriptBytes(transcript: EnrolmentTranscript): Uint8Array<ArrayBuffer> {
  const { gateway, connectorKey, ownerKeys, connectorNonce, pageNonce } = transcript;
  return tagged("words", joined([gateway, keyText(connectorKey), ownerKeysText(ownerKeys), connectorNonce, pageNonce]));
}

/**
 * Four words, 20 bits: a swapped key on either side goes unseen with probability 2^-20, and the commitment leaves one try.
 *
 * @returns the words, joined with single spaces
 */
export async function checkWords(transcript: EnrolmentTranscript): Promise<string> {
  const hash = await sha256(transcriptBytes(transcript));
  const view = new DataView(hash.buffer);
  const bits = view.getUint32(0) >>> 12;
  return [15, 10, 5, 0].map((shift) => WORDS[(bits >>> shift) & 31] ?? "").join(" ");
}

/** The bytes that the claim link's secret authenticates (HMAC-SHA-256): the connector then pins without a question, because the link came from its own terminal. */
export function claimTranscript(
  transcript: Omit<EnrolmentTranscript, "connectorNonce"> & { readonly commitment: string },
): Uint8Array<ArrayBuffer> {
  const { gateway, connectorKey, ownerKeys, pageNonce, commitment } = transcript;
  return tagged("claim", joined([gateway, keyText(connectorKey), ownerKeysText(ownerKeys), pageNonce, commitment]));
}
