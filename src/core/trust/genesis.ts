/** The one judge of a signed genesis: connector, room, Worker and offline verifier ask it (PROTOCOL.md EN). */
import { GENESIS_APPLY_MS } from "../../protocol/limits.ts";
import { GENESIS_KEYS, toBase64url } from "../../protocol/statement-encoding.ts";
import { genesisStatementSchema } from "../../protocol/statements.ts";
import type { GenesisStatement, OwnerKey, SignedByOwner } from "../../protocol/statements.ts";
import { verifySigned } from "./assertion.ts";
import { isSoundKey } from "./public-key.ts";
import { readStatement } from "./statement.ts";
import { statementHash } from "./statement-list.ts";

export type GenesisRefusal = "bad-statement" | "bad-signature" | "differs" | "too-late";

/** A genesis whose signature was verified. */
export interface JudgedGenesis {
  readonly statement: GenesisStatement;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The passkey that signed: read from the verified assertion. */
  readonly owner: OwnerKey;
}

/**
 * Verifies a genesis by itself: one byte form, sound keys, a lifetime within its bound, first in its list, signed at its own approval origin
 * by exactly the passkey that it names. Whether it is the expected one is `isExpected`'s question.
 *
 * @param nowMs null judges an old entry, whose time has passed
 */
export async function judgeGenesis(signed: SignedByOwner, nowMs: number | null): Promise<JudgedGenesis | GenesisRefusal> {
  const read = readStatement(signed.statement, genesisStatementSchema, GENESIS_KEYS);
  if (read === null) return "bad-statement";
  const { body: statement, bytes } = read;
  const { approveOrigin, rpId, ownerKey, connectorKey, issuedAtMs, applyByMs } = statement;
  if (!isSoundKey(connectorKey) || !isSoundKey(ownerKey.key)) return "bad-statement";
  if (hostOf(approveOrigin) !== rpId) return "bad-statement";
  if (applyByMs < issuedAtMs || applyByMs - issuedAtMs > GENESIS_APPLY_MS) return "bad-statement";
  if (nowMs !== null && nowMs > applyByMs) return "too-late";
  if (signed.list[0] !== (await statementHash("genesis", bytes))) return "bad-signature";
  const owner = await verifySigned(signed, { type: "genesis", body: bytes, origin: approveOrigin, rpId, ownerKeys: [ownerKey] });
  return typeof owner === "string" ? "bad-signature" : { statement, bytes, owner };
}

/** @returns host of an origin (RFC 6454 §6.2) without port, or null for any other text */
function hostOf(origin: string): string | null {
  return /^https?:\/\/([a-z0-9.-]+)(?::\d{1,5})?$/.exec(origin)?.[1] ?? null;
}

/**
 * Verifies a genesis against everything that the verifier knows itself.
 *
 * @param expected exact bytes that this side computed before the gesture
 * @param nowMs this machine's clock
 */
export async function judgeOwnGenesis(
  signed: SignedByOwner,
  expected: Uint8Array<ArrayBuffer>,
  nowMs: number,
): Promise<JudgedGenesis | GenesisRefusal> {
  const judged = await judgeGenesis(signed, nowMs);
  if (typeof judged === "string") return judged;
  return toBase64url(judged.bytes) === toBase64url(expected) ? judged : "differs";
}
