/** Reading signed statements: size first, then strict schema, then the same bytes again. */
import type * as z from "zod";
import { MAX_STATEMENT_BYTES } from "../../protocol/limits.ts";
import {
  ASK_KEYS,
  GRANT_KEYS,
  LOCAL_ACT_KEYS,
  OWNER_KEY_KEYS,
  OWNER_REMOVE_KEYS,
  RECOVERY_KEY_KEYS,
  RECOVER_KEYS,
  SESSION_KEYS,
  WIDENING_KEYS,
  encodeBody,
  fromBase64url,
} from "../../protocol/statement-encoding.ts";
import { wideningStatementSchema } from "../../protocol/key-log.ts";
import type { WideningStatement } from "../../protocol/key-log.ts";
import {
  askStatementSchema,
  grantStatementSchema,
  localActStatementSchema,
  ownerKeyStatementSchema,
  ownerRemoveStatementSchema,
  recoverStatementSchema,
  recoveryKeyStatementSchema,
  sessionStatementSchema,
} from "../../protocol/statements.ts";
import type {
  AskStatement,
  GrantStatement,
  LocalActStatement,
  OwnerKeyStatement,
  OwnerRemoveStatement,
  RecoverStatement,
  RecoveryKeyStatement,
  SessionStatement,
} from "../../protocol/statements.ts";

export interface ReadStatement<T> {
  readonly body: T;
  /** The exact bytes that the signature covers, without the tag. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * @param text base64url of the body bytes
 * @param keys member order of the statement
 * @returns body and bytes, or null when it is not exactly one valid statement in its one byte form
 */
export function readStatement<T>(text: string, schema: z.ZodType<T>, keys: readonly string[]): ReadStatement<T> | null {
  if (text.length > Math.ceil((MAX_STATEMENT_BYTES * 4) / 3)) return null;
  const bytes = fromBase64url(text);
  if (bytes === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return null;
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) return null;
  // Writing the body again must give the same bytes: no second spelling, no duplicate member that one reader sees and another does not.
  const again = encodeBody(parsed.data as Record<string, unknown>, keys);
  if (again.byteLength !== bytes.byteLength || !again.every((byte, i) => byte === bytes[i])) return null;
  return { body: parsed.data, bytes };
}

/** @param text base64url of the body bytes; returns body and bytes, or null when it is not exactly one valid statement */
export function readGrant(text: string): ReadStatement<GrantStatement> | null {
  return readStatement(text, grantStatementSchema, GRANT_KEYS);
}
/** @see readGrant */
export function readSession(text: string): ReadStatement<SessionStatement> | null {
  return readStatement(text, sessionStatementSchema, SESSION_KEYS);
}
/** @see readGrant */
export function readAsk(text: string): ReadStatement<AskStatement> | null {
  return readStatement(text, askStatementSchema, ASK_KEYS);
}
/** @see readGrant */
export function readOwnerKey(text: string): ReadStatement<OwnerKeyStatement> | null {
  return readStatement(text, ownerKeyStatementSchema, OWNER_KEY_KEYS);
}
/** @see readGrant */
export function readOwnerRemoval(text: string): ReadStatement<OwnerRemoveStatement> | null {
  return readStatement(text, ownerRemoveStatementSchema, OWNER_REMOVE_KEYS);
}
/** @see readGrant */
export function readRecoveryKey(text: string): ReadStatement<RecoveryKeyStatement> | null {
  return readStatement(text, recoveryKeyStatementSchema, RECOVERY_KEY_KEYS);
}
/** @see readGrant */
export function readRecover(text: string): ReadStatement<RecoverStatement> | null {
  return readStatement(text, recoverStatementSchema, RECOVER_KEYS);
}
/** @see readGrant */
export function readLocalAct(text: string): ReadStatement<LocalActStatement> | null {
  return readStatement(text, localActStatementSchema, LOCAL_ACT_KEYS);
}
/** @see readGrant */
export function readWidening(text: string): ReadStatement<WideningStatement> | null {
  return readStatement(text, wideningStatementSchema, WIDENING_KEYS);
}
