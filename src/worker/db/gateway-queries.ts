/** Named D1 queries about gateways and enrolments. Every step of an enrolment is one conditional update. */
import { and, asc, count, eq, gt, ne } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { MAX_GATEWAYS_PER_ACCOUNT } from "../../protocol/limits.ts";
import { connectors, deviceTokens, devices, enrolments, gatewayMembers, gateways, grants, pairingRequests } from "./schema.ts";

export type GatewayRow = typeof gateways.$inferSelect;
export type EnrolmentRow = typeof enrolments.$inferSelect;

export async function gatewaysOf(db: D1Database, accountId: string): Promise<GatewayRow[]> {
  return drizzle(db).select().from(gateways).where(eq(gateways.accountId, accountId)).orderBy(asc(gateways.createdAtMs));
}

/**
 * Where this account may be a person beside the one that claimed the gateway: an index for its dashboard. Whether it is one is the room's to say.
 *
 * @returns gateways of other accounts, oldest first
 */
export async function gatewaysJoined(db: D1Database, accountId: string): Promise<GatewayRow[]> {
  const rows = await drizzle(db)
    .select({ gateway: gateways })
    .from(gatewayMembers)
    .innerJoin(gateways, eq(gateways.id, gatewayMembers.gatewayId))
    .where(and(eq(gatewayMembers.accountId, accountId), ne(gateways.accountId, accountId)))
    .orderBy(asc(gateways.createdAtMs))
    .limit(MAX_GATEWAYS_PER_ACCOUNT);
  return rows.map((row) => row.gateway);
}

/** Whoever asks: what may be shown of it is the room's to say. */
export async function gatewayById(db: D1Database, id: string): Promise<GatewayRow | null> {
  return (await drizzle(db).select().from(gateways).where(eq(gateways.id, id)))[0] ?? null;
}

/** Keyed by account first: another account's gateway is simply not there. */
export async function gatewayOf(db: D1Database, accountId: string, id: string): Promise<GatewayRow | null> {
  return (
    (
      await drizzle(db)
        .select()
        .from(gateways)
        .where(and(eq(gateways.accountId, accountId), eq(gateways.id, id)))
    )[0] ?? null
  );
}

export async function insertGateway(binding: D1Database, row: GatewayRow): Promise<void> {
  const db = drizzle(binding);
  const member = { gatewayId: row.id, accountId: row.accountId, role: "owner" as const };
  await db.batch([db.insert(gateways).values(row), db.insert(gatewayMembers).values(member)]);
}

/** After the room took the name from somebody who may give it. */
export async function renameGateway(db: D1Database, id: string, name: string): Promise<void> {
  await drizzle(db).update(gateways).set({ name }).where(eq(gateways.id, id));
}

/** After the room ended, by somebody who may end it. */
export async function deleteGateway(binding: D1Database, id: string): Promise<void> {
  const db = drizzle(binding);
  await db.batch([
    db.delete(gateways).where(eq(gateways.id, id)),
    db.delete(devices).where(eq(devices.gatewayId, id)),
    db.delete(deviceTokens).where(eq(deviceTokens.gatewayId, id)),
    db.delete(grants).where(eq(grants.gatewayId, id)),
    db.delete(pairingRequests).where(eq(pairingRequests.gatewayId, id)),
    db.delete(enrolments).where(eq(enrolments.gatewayId, id)),
  ]);
}

export async function insertEnrolment(db: D1Database, row: EnrolmentRow): Promise<void> {
  await drizzle(db).insert(enrolments).values(row);
}

/** @returns how many enrolments this account began since then that no machine has finished */
export async function unusedEnrolments(db: D1Database, accountId: string, sinceMs: number): Promise<number> {
  const rows = await drizzle(db)
    .select({ n: count() })
    .from(enrolments)
    .where(and(eq(enrolments.accountId, accountId), gt(enrolments.createdAtMs, sinceMs), ne(enrolments.state, "done")));
  return rows[0]?.n ?? 0;
}

export async function enrolmentById(db: D1Database, id: string): Promise<EnrolmentRow | null> {
  return (await drizzle(db).select().from(enrolments).where(eq(enrolments.id, id)))[0] ?? null;
}

/**
 * One step of the ceremony: `set` happens only if the row is still in `from` and not over.
 *
 * @returns the row after the step, or null when another step came first
 */
export async function stepEnrolment(
  db: D1Database,
  input: { id: string; from: EnrolmentRow["state"]; nowMs: number; set: Partial<EnrolmentRow> },
): Promise<EnrolmentRow | null> {
  const conditions = [eq(enrolments.id, input.id), eq(enrolments.state, input.from), gt(enrolments.expiresAtMs, input.nowMs)];
  const rows = await drizzle(db)
    .update(enrolments)
    .set(input.set)
    .where(and(...conditions))
    .returning();
  return rows[0] ?? null;
}

export async function saveConnector(db: D1Database, row: typeof connectors.$inferInsert): Promise<void> {
  await drizzle(db).insert(connectors).values(row).onConflictDoUpdate({ target: connectors.gatewayId, set: row });
}
