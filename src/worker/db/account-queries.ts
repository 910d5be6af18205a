/** Named D1 queries about accounts, passkeys, sessions, codes. One statement each where a race matters. */
import { and, asc, count, desc, eq, gt, inArray, isNull, lt, ne, or, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { signedByOwnerSchema } from "../../protocol/statements.ts";
import type { SignedByOwner } from "../../protocol/statements.ts";
import { accountSessions, accounts, apiTokens, auditEvents, oneTimeCodes, passkeys, recoveryCodes, recoveryKeys } from "./schema.ts";

export type Account = typeof accounts.$inferSelect;
export type Passkey = typeof passkeys.$inferSelect;
export type OneTimeKind = (typeof oneTimeCodes.$inferSelect)["kind"];

export async function accountCount(db: D1Database): Promise<number> {
  const rows = await drizzle(db).select({ n: count() }).from(accounts);
  return rows[0]?.n ?? 0;
}

export async function accountById(db: D1Database, id: string): Promise<Account | null> {
  return (await drizzle(db).select().from(accounts).where(eq(accounts.id, id)))[0] ?? null;
}

/**
 * Account, first passkey and recovery codes appear together or not at all.
 *
 * @param onlyIfFirst nothing appears when there is an account already, however many try at once
 * @returns whether they appeared
 */
export async function insertAccount(
  binding: D1Database,
  account: Account,
  passkey: Passkey,
  codeMacs: readonly string[],
  onlyIfFirst = false,
): Promise<boolean> {
  const db = drizzle(binding);
  const codes = codeMacs.map((mac) => ({ mac, accountId: account.id, usedAtMs: null }));
  const { id, name, userHandle, createdAtMs } = account;
  // The columns in the order of the schema.
  const values = sql`SELECT ${id}, ${name}, ${userHandle}, ${createdAtMs} WHERE NOT EXISTS (SELECT 1 FROM ${accounts})`;
  const inserted = onlyIfFirst ? db.insert(accounts).select(values) : db.insert(accounts).values(account);
  try {
    await db.batch([inserted, db.insert(passkeys).values(passkey), db.insert(recoveryCodes).values(codes)]);
    return true;
  } catch (error) {
    // Without its account the passkey has nothing to refer to, and the whole batch is undone.
    if (onlyIfFirst && (await accountCount(binding)) > 0) return false;
    throw error;
  }
}

export async function passkeysOf(db: D1Database, accountId: string): Promise<Passkey[]> {
  return drizzle(db).select().from(passkeys).where(eq(passkeys.accountId, accountId)).orderBy(asc(passkeys.createdAtMs));
}

export async function passkeyByCredential(db: D1Database, credentialId: string): Promise<Passkey | null> {
  return (await drizzle(db).select().from(passkeys).where(eq(passkeys.credentialId, credentialId)))[0] ?? null;
}

export async function insertPasskey(db: D1Database, passkey: Passkey): Promise<void> {
  await drizzle(db).insert(passkeys).values(passkey);
}

export async function renamePasskey(db: D1Database, accountId: string, credentialId: string, name: string): Promise<void> {
  await drizzle(db)
    .update(passkeys)
    .set({ name })
    .where(and(eq(passkeys.accountId, accountId), eq(passkeys.credentialId, credentialId)));
}

export async function touchPasskey(db: D1Database, credentialId: string, nowMs: number): Promise<void> {
  await drizzle(db).update(passkeys).set({ lastUsedAtMs: nowMs }).where(eq(passkeys.credentialId, credentialId));
}

export async function deletePasskey(db: D1Database, accountId: string, credentialId: string): Promise<void> {
  await drizzle(db)
    .delete(passkeys)
    .where(and(eq(passkeys.accountId, accountId), eq(passkeys.credentialId, credentialId)));
}

export async function insertSession(db: D1Database, row: typeof accountSessions.$inferInsert): Promise<void> {
  await drizzle(db).insert(accountSessions).values(row);
}

export async function sessionBySelector(db: D1Database, selector: string, nowMs: number) {
  const found = await drizzle(db)
    .select()
    .from(accountSessions)
    .where(and(eq(accountSessions.selector, selector), gt(accountSessions.expiresAtMs, nowMs)));
  return found[0] ?? null;
}

export async function slideSession(db: D1Database, selector: string, expiresAtMs: number): Promise<void> {
  await drizzle(db).update(accountSessions).set({ expiresAtMs }).where(eq(accountSessions.selector, selector));
}

export async function deleteSession(db: D1Database, selector: string): Promise<void> {
  await drizzle(db).delete(accountSessions).where(eq(accountSessions.selector, selector));
}

export async function deleteSessionsOf(db: D1Database, accountId: string): Promise<void> {
  await drizzle(db).delete(accountSessions).where(eq(accountSessions.accountId, accountId));
}

export async function insertCode(binding: D1Database, row: typeof oneTimeCodes.$inferInsert): Promise<void> {
  await drizzle(binding).insert(oneTimeCodes).values(row);
}

/** The one conditional statement that lets exactly one of many redemptions win. @returns the payload, or null */
export async function consumeCode(
  db: D1Database,
  input: { selector: string; kind: OneTimeKind; mac: string; nowMs: number },
): Promise<string | null> {
  const { selector, kind, mac, nowMs } = input;
  const won = await drizzle(db)
    .update(oneTimeCodes)
    .set({ consumedAtMs: nowMs })
    .where(
      and(
        eq(oneTimeCodes.selector, selector),
        eq(oneTimeCodes.kind, kind),
        eq(oneTimeCodes.mac, mac),
        isNull(oneTimeCodes.consumedAtMs),
        gt(oneTimeCodes.expiresAtMs, nowMs),
      ),
    )
    .returning({ payload: oneTimeCodes.payload });
  return won[0]?.payload ?? null;
}

/** @returns a code's row while it is not too old, used or not; null when its MAC is another one */
export async function codeByMac(db: D1Database, input: { selector: string; kind: OneTimeKind; mac: string; nowMs: number }) {
  const { selector, kind, mac, nowMs } = input;
  const isIt = and(
    eq(oneTimeCodes.selector, selector),
    eq(oneTimeCodes.kind, kind),
    eq(oneTimeCodes.mac, mac),
    gt(oneTimeCodes.expiresAtMs, nowMs),
  );
  return (await drizzle(db).select().from(oneTimeCodes).where(isIt))[0] ?? null;
}

/** Counts a wrong secret for a code that is still good; the last one ends it. The count is kept in the payload, where only its redeemer looks. */
export async function countWrongTry(
  db: D1Database,
  input: { selector: string; kind: OneTimeKind; mac: string; maxTries: number; nowMs: number },
): Promise<void> {
  const tries = sql`coalesce(json_extract(${oneTimeCodes.payload}, '$.wrongTries'), 0) + 1`;
  await drizzle(db)
    .update(oneTimeCodes)
    .set({
      payload: sql`json_set(${oneTimeCodes.payload}, '$.wrongTries', ${tries})`,
      consumedAtMs: sql`CASE WHEN ${tries} >= ${input.maxTries} THEN ${input.nowMs} END`,
    })
    .where(
      and(
        eq(oneTimeCodes.selector, input.selector),
        eq(oneTimeCodes.kind, input.kind),
        ne(oneTimeCodes.mac, input.mac),
        isNull(oneTimeCodes.consumedAtMs),
        gt(oneTimeCodes.expiresAtMs, input.nowMs),
      ),
    );
}

/** Deletes what is over: whoever makes rows without end, as strangers may, keeps only a day of them. */
export async function dropExpired(binding: D1Database, nowMs: number): Promise<void> {
  const db = drizzle(binding);
  const dayAgoMs = nowMs - 24 * 3_600_000;
  await db.batch([
    db.delete(oneTimeCodes).where(lt(oneTimeCodes.expiresAtMs, dayAgoMs)),
    db.delete(accountSessions).where(lt(accountSessions.expiresAtMs, nowMs)),
    db.delete(apiTokens).where(lt(apiTokens.expiresAtMs, dayAgoMs)),
  ]);
}

/** @returns how many invitations of this account are good and unused */
export async function openInvitations(db: D1Database, accountId: string, nowMs: number): Promise<number> {
  const by = sql`json_extract(json_extract(${oneTimeCodes.payload}, '$.text'), '$.by')`;
  const rows = await drizzle(db)
    .select({ n: count() })
    .from(oneTimeCodes)
    .where(
      and(eq(oneTimeCodes.kind, "invitation"), isNull(oneTimeCodes.consumedAtMs), gt(oneTimeCodes.expiresAtMs, nowMs), eq(by, accountId)),
    );
  return rows[0]?.n ?? 0;
}

/** @param lookup the part before the dot @returns the code's row, or null */
export async function recoveryCodeByLookup(db: D1Database, lookup: string) {
  // From "." to the character after it: a prefix search that the primary key serves.
  const isOfCode = and(gt(recoveryCodes.mac, `${lookup}.`), lt(recoveryCodes.mac, `${lookup}/`));
  return (await drizzle(db).select().from(recoveryCodes).where(isOfCode).limit(1))[0] ?? null;
}

/** @returns the account whose unused recovery code this is; used up by the same statement */
export async function consumeRecoveryCode(db: D1Database, mac: string, nowMs: number): Promise<string | null> {
  const won = await drizzle(db)
    .update(recoveryCodes)
    .set({ usedAtMs: nowMs })
    .where(and(eq(recoveryCodes.mac, mac), isNull(recoveryCodes.usedAtMs)))
    .returning({ accountId: recoveryCodes.accountId });
  return won[0]?.accountId ?? null;
}

export async function recoveryCodesLeft(db: D1Database, accountId: string): Promise<number> {
  const rows = await drizzle(db)
    .select({ n: count() })
    .from(recoveryCodes)
    .where(and(eq(recoveryCodes.accountId, accountId), isNull(recoveryCodes.usedAtMs)));
  return rows[0]?.n ?? 0;
}

export async function replaceRecoveryCodes(binding: D1Database, accountId: string, codeMacs: readonly string[]): Promise<void> {
  const db = drizzle(binding);
  const codes = codeMacs.map((mac) => ({ mac, accountId, usedAtMs: null }));
  await db.batch([db.delete(recoveryCodes).where(eq(recoveryCodes.accountId, accountId)), db.insert(recoveryCodes).values(codes)]);
}

/** @returns the row that names the account's recovery key, as it was found, or null; what it is worth its seal says */
export async function recoveryKeyOf(
  db: D1Database,
  accountId: string,
): Promise<{ readonly signed: SignedByOwner; readonly seal: string } | null> {
  const row = (await drizzle(db).select().from(recoveryKeys).where(eq(recoveryKeys.accountId, accountId)))[0];
  if (row === undefined) return null;
  let signature: unknown;
  try {
    signature = JSON.parse(row.signature);
  } catch {
    return null;
  }
  const signed = signedByOwnerSchema.safeParse(typeof signature === "object" ? { ...signature, statement: row.statement } : null);
  return signed.success ? { signed: signed.data, seal: row.seal } : null;
}

export async function saveRecoveryKey(
  db: D1Database,
  accountId: string,
  signed: SignedByOwner,
  seal: string,
  nowMs: number,
): Promise<void> {
  const { statement, list, assertion } = signed;
  const set = { statement, signature: JSON.stringify({ list, assertion }), createdAtMs: nowMs, seal };
  await drizzle(db)
    .insert(recoveryKeys)
    .values({ accountId, ...set })
    .onConflictDoUpdate({ target: recoveryKeys.accountId, set });
}

export async function insertAudit(db: D1Database, row: typeof auditEvents.$inferInsert): Promise<void> {
  await drizzle(db).insert(auditEvents).values(row).onConflictDoNothing();
}

/**
 * One page of an account's events, newest first; of equal times the larger id first, so that every event has one place.
 *
 * @param page `after`: place of the last event already seen, null for the newest; `joined`: gateways of other accounts whose rooms let this
 * account see what happened; `limit`: events at most
 */
export async function auditOf(
  db: D1Database,
  accountId: string,
  page: {
    readonly after: { readonly atMs: number; readonly id: string } | null;
    readonly gatewayId: string | null;
    readonly joined: readonly string[];
    readonly limit: number;
  },
) {
  const { after, gatewayId, joined, limit } = page;
  const visible = or(eq(auditEvents.accountId, accountId), joined.length === 0 ? undefined : inArray(auditEvents.gatewayId, [...joined]));
  const older =
    after === null ? undefined : or(lt(auditEvents.atMs, after.atMs), and(eq(auditEvents.atMs, after.atMs), lt(auditEvents.id, after.id)));
  return drizzle(db)
    .select()
    .from(auditEvents)
    .where(and(visible, older, gatewayId === null ? undefined : eq(auditEvents.gatewayId, gatewayId)))
    .orderBy(desc(auditEvents.atMs), desc(auditEvents.id))
    .limit(limit);
}
