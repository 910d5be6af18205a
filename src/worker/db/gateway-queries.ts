/** Named D1 queries about gateways and their connectors. */
import { and, asc, eq, ne } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { MAX_GATEWAYS_PER_ACCOUNT } from "../../protocol/limits.ts";
import { connectors, deviceTokens, devices, gatewayMembers, gateways, grants, pairingRequests } from "./schema.ts";

export type GatewayRow = typeof gateways.$inferSelect;

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
  ]);
}

/** After the room took the connector: what lists show of it. */
export async function saveConnector(binding: D1Database, row: typeof connectors.$inferInsert): Promise<void> {
  const db = drizzle(binding);
  await db.batch([
    db.insert(connectors).values(row).onConflictDoUpdate({ target: connectors.gatewayId, set: row }),
    db.update(gateways).set({ claimedAtMs: row.enrolledAtMs }).where(eq(gateways.id, row.gatewayId)),
  ]);
}
