/** What a room writes to D1 through its outbox: facts it has already committed. Every write may run twice. */
import { and, eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { accounts, auditEvents, deviceTokens, devices, gatewayMembers, gateways, grants, pairingRequests } from "./schema.ts";

/** One committed fact; `id` makes it idempotent, `seq` keeps an older device row from replacing a newer one. */
export type OutboxEvent =
  | { readonly kind: "device"; readonly row: Omit<typeof devices.$inferInsert, "updatedSeq"> }
  | { readonly kind: "grant"; readonly row: typeof grants.$inferInsert }
  | { readonly kind: "token"; readonly row: typeof deviceTokens.$inferInsert }
  | { readonly kind: "request"; readonly row: typeof pairingRequests.$inferInsert }
  /** Where the dashboard of this account looks for gateways; what it may do there is the room's to say. */
  | { readonly kind: "member"; readonly row: typeof gatewayMembers.$inferInsert }
  | { readonly kind: "member-gone"; readonly gatewayId: string; readonly accountId: string }
  | { readonly kind: "audit"; readonly row: typeof auditEvents.$inferInsert };

/**
 * Writes one fact.
 *
 * @param seq the room's outbox number, ascending
 * @returns rows that were written, those of indexes included
 * @throws when D1 is away; the outbox keeps the fact and tries again
 */
export async function writeOutboxEvent(binding: D1Database, seq: number, event: OutboxEvent): Promise<number> {
  return (await write(binding, seq, event)).meta.rows_written;
}

async function write(binding: D1Database, seq: number, event: OutboxEvent): Promise<D1Result> {
  const db = drizzle(binding);
  switch (event.kind) {
    case "device": {
      const row = { ...event.row, updatedSeq: seq };
      return db
        .insert(devices)
        .values(row)
        .onConflictDoUpdate({ target: [devices.gatewayId, devices.id], set: row, setWhere: sql`${devices.updatedSeq} < ${seq}` });
    }
    case "grant":
      return db
        .insert(grants)
        .values(event.row)
        .onConflictDoUpdate({ target: grants.id, set: { state: event.row.state } });
    case "token":
      return db
        .insert(deviceTokens)
        .values(event.row)
        .onConflictDoUpdate({ target: [deviceTokens.gatewayId, deviceTokens.deviceId], set: event.row });
    case "request":
      return db.insert(pairingRequests).values(event.row).onConflictDoNothing();
    case "member": {
      const { gatewayId, accountId, role } = event.row;
      // Without its gateway or account the row would hold up everything behind it.
      const refers = sql`EXISTS (SELECT 1 FROM ${gateways} WHERE ${gateways.id} = ${gatewayId}) AND EXISTS (SELECT 1 FROM ${accounts} WHERE ${accounts.id} = ${accountId})`;
      const values = sql`SELECT ${gatewayId}, ${accountId}, ${role} WHERE ${refers} ON CONFLICT (gateway_id, account_id) DO UPDATE SET role = excluded.role`;
      return db.run(sql`INSERT INTO ${gatewayMembers} (gateway_id, account_id, role) ${values}`);
    }
    case "member-gone":
      return db
        .delete(gatewayMembers)
        .where(and(eq(gatewayMembers.gatewayId, event.gatewayId), eq(gatewayMembers.accountId, event.accountId)));
    case "audit":
      return db.insert(auditEvents).values(event.row).onConflictDoNothing();
  }
}
