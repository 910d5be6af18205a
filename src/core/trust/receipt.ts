/**
 * Receipts of a cut: written and signed by the connector, verified by the room, by the owner's other programs, and offline (PROTOCOL.md CUT3, CUT5).
 * Pure: signing and the lines of a key log are arguments.
 */
import { receiptFileSchema, receiptStatementSchema, signedReceiptSchema } from "../../protocol/receipt.ts";
import type { ReceiptFile, ReceiptStatement, SignedReceipt } from "../../protocol/receipt.ts";
import { MAX_STATEMENT_BYTES } from "../../protocol/limits.ts";
import { RECEIPT_KEYS, encodeBody, tagged, toBase64url } from "../../protocol/statement-encoding.ts";
import type { ConnectorKey } from "../../protocol/statements.ts";
import { isFault, verifyLog } from "./key-log.ts";
import type { KeyLogState } from "./key-log-state.ts";
import { isSoundKey, verifyTagged } from "./public-key.ts";
import { readStatement } from "./statement.ts";

/**
 * @param sign the connector's signature over tagged bytes, base64url
 * @returns the statement in its one byte form, signed
 */
export async function writeReceipt(
  body: ReceiptStatement,
  sign: (tagged: Uint8Array<ArrayBuffer>) => string | Promise<string>,
): Promise<SignedReceipt> {
  const bytes = encodeBody(body, RECEIPT_KEYS);
  return { statement: toBase64url(bytes), signature: await sign(tagged("receipt", bytes)) };
}

/**
 * @param key the connector's, from somewhere that can be trusted
 * @returns what the receipt says, or null when it is not one or not signed by that key
 */
export async function readReceipt(signed: SignedReceipt, key: ConnectorKey): Promise<ReceiptStatement | null> {
  if (!signedReceiptSchema.safeParse(signed).success || !isSoundKey(key)) return null;
  const read = readStatement(signed.statement, receiptStatementSchema, RECEIPT_KEYS);
  if (read === null || !(await verifyTagged(key, "receipt", read.bytes, signed.signature))) return null;
  return read.body;
}

/** Longest text of an exported receipt that is looked at: a statement with its frame. */
const MAX_RECEIPT_FILE_CHARS = 4 * MAX_STATEMENT_BYTES;

/** @returns the exported receipt, or null when the text is none */
export function readReceiptFile(text: string): ReceiptFile | null {
  if (text.length > MAX_RECEIPT_FILE_CHARS) return null;
  try {
    const parsed = receiptFileSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

/** What an offline check of a receipt found wrong. */
export type ReceiptProblem =
  | "bad-signature"
  /** The key log that was given does not verify by itself. */
  | "log-broken"
  | "other-gateway"
  | "other-log"
  /** The log ends before the entry that the receipt names, or has another one there. */
  | "entry-missing"
  | "key-not-in-log"
  /** The named entry takes nothing from this device, or the device held another grant. */
  | "not-revoked";

/**
 * Verifies an exported receipt offline.
 *
 * @param lines a key log of the gateway, genesis first; null checks the signature alone, by the key that the file itself names
 */
export async function checkReceipt(file: ReceiptFile, lines: readonly string[] | null): Promise<ReceiptStatement | ReceiptProblem> {
  const { statement, signature, connectorKey } = file;
  const body = await readReceipt({ statement, signature }, connectorKey);
  if (body === null) return "bad-signature";
  if (lines === null) return body;
  const whole = await verifyLog(lines);
  if (isFault(whole)) return "log-broken";
  if (whole.gateway !== body.gateway) return "other-gateway";
  if (whole.hashes[0] !== body.log) return "other-log";
  if (whole.hashes[body.head.seq] !== body.head.hash) return "entry-missing";
  // As the log stood at that entry: keys are replaced, and a device may have been allowed again since.
  const then = await verifyLog(lines.slice(0, body.head.seq + 1));
  if (isFault(then)) return "log-broken";
  if (then.key.x !== connectorKey.x) return "key-not-in-log";
  return isRevokedAt(then, body) ? body : "not-revoked";
}

function isRevokedAt(log: KeyLogState, body: ReceiptStatement): boolean {
  const { seq } = body.head;
  if (log.subtractedAt.get(body.device) !== seq && log.subtractedAt.get("*") !== seq) return false;
  const held = [...log.grants.values()].filter((grant) => grant.statement.device === body.device);
  return (held.at(-1)?.id ?? null) === body.grant && held.every((grant) => grant.isRevoked);
}
