/** Named D1 queries about API tokens. */
import { and, asc, count, eq, gt } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { apiTokens } from "./schema.ts";

export type ApiTokenRow = typeof apiTokens.$inferSelect;

export async function insertApiToken(db: D1Database, row: ApiTokenRow): Promise<void> {
  await drizzle(db).insert(apiTokens).values(row);
}

/** @returns the row, unless its time is over */
export async function apiTokenBySelector(db: D1Database, selector: string, nowMs: number): Promise<ApiTokenRow | null> {
  const rows = await drizzle(db)
    .select()
    .from(apiTokens)
    .where(and(eq(apiTokens.selector, selector), gt(apiTokens.expiresAtMs, nowMs)));
  return rows[0] ?? null;
}

/** Oldest first. */
export async function apiTokensOf(db: D1Database, accountId: string): Promise<ApiTokenRow[]> {
  return drizzle(db).select().from(apiTokens).where(eq(apiTokens.accountId, accountId)).orderBy(asc(apiTokens.createdAtMs));
}

export async function apiTokenCount(db: D1Database, accountId: string): Promise<number> {
  const rows = await drizzle(db).select({ n: count() }).from(apiTokens).where(eq(apiTokens.accountId, accountId));
  return rows[0]?.n ?? 0;
}

/** Notes a use, and keeps the MAC under the newest secret. */
export async function touchApiToken(db: D1Database, selector: string, mac: string, nowMs: number): Promise<void> {
  await drizzle(db).update(apiTokens).set({ mac, lastUsedAtMs: nowMs }).where(eq(apiTokens.selector, selector));
}

/** @returns whether the account had it */
export async function deleteApiToken(db: D1Database, accountId: string, selector: string): Promise<boolean> {
  const gone = await drizzle(db)
    .delete(apiTokens)
    .where(and(eq(apiTokens.accountId, accountId), eq(apiTokens.selector, selector)))
    .returning({ selector: apiTokens.selector });
  return gone.length > 0;
}
