/**
 * The enrolment ceremony: the connector commits, the page fixes all it will sign, the connector opens its commitment, a passkey signs the
 * genesis of the gateway's key log (PROTOCOL.md EN). The bytes that all sides must have in common; no schema, so that a page can ship it.
 */
import { GENESIS_KEYS, encodeBody, joined, tagged, toBase64url } from "../../protocol/statement-encoding.ts";
import type { ConnectorKey, GenesisDraft, GenesisStatement } from "../../protocol/statements.ts";
import { keyText, sha256 } from "./digests.ts";

/** What the ceremony binds beside the statement's own members. Nonces and commitment: base64url, 32 bytes. */
export interface Transcript {
  readonly enrolment: string;
  readonly commitment: string;
  readonly connectorNonce: string;
  readonly pageNonce: string;
  /** Names as page and terminal show them. */
  readonly gatewayName: string;
  readonly accountName: string;
  readonly machineName: string;
}

/**
 * What the connector sends before it has seen anything of the page, so that nobody can choose a key or a nonce afterwards.
 *
 * @returns base64url SHA-256
 */
export async function enrolmentCommitment(key: ConnectorKey, connectorNonce: string): Promise<string> {
  return toBase64url(await sha256(tagged("enrol", joined([keyText(key), connectorNonce]))));
}

/** @returns base64url SHA-256 of the transcript: the statement's member `ceremony` */
export async function ceremonyHash(transcript: Transcript): Promise<string> {
  const { enrolment, commitment, connectorNonce, pageNonce, gatewayName, accountName, machineName } = transcript;
  const fields = [enrolment, commitment, connectorNonce, pageNonce, gatewayName, accountName, machineName];
  return toBase64url(await sha256(tagged("enrol", joined(fields))));
}

/** @returns the exact bytes that the passkey signs, without the tag */
export function genesisBytes(statement: GenesisStatement): Uint8Array<ArrayBuffer> {
  return encodeBody({ ...statement }, GENESIS_KEYS);
}

/** @returns draft and transcript as the statement that both sides expect */
export async function genesisOf(draft: GenesisDraft, transcript: Transcript): Promise<GenesisStatement> {
  const { issuedAtMs, applyByMs, ...before } = draft;
  return { ...before, ceremony: await ceremonyHash(transcript), issuedAtMs, applyByMs };
}

/** @returns the bytes that a claim link's secret authenticates (HMAC-SHA-256), so that the connector pins without a question */
export function claimMacBytes(genesis: Uint8Array): Uint8Array<ArrayBuffer> {
  return tagged("claim", genesis);
}

/** @returns the bytes that the connector signs to confirm: its key stands behind exactly this genesis */
export function confirmBytes(genesis: Uint8Array): Uint8Array<ArrayBuffer> {
  return tagged("enrol", genesis);
}
