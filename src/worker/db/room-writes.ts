/** What a room writes to D1 through its outbox: facts it has already committed. Every write may run twice. */
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { auditEvents, deviceTokens, devices, grants, pairingRequests } from "./schema.ts";

/** One committed fact; `id` makes it idempotent, `seq` keeps an older device row from replacing a newer one. */
export type OutboxEvent =
  | { readonly kind: "device"; readonly row: Omit<typeof devices.$inferInsert, "updatedSeq"> }
  | { readonly kind: "grant"; readonly row: typeof grants.$inferInsert }
  | { readonly kind: "token"; readonly row: typeof deviceTokens.$inferInsert }
  | { readonly kind: "request"; readonly row: typeof pairingRequests.$inferInsert }
  | { readonly kind: "audit"; readonly row: typeof auditEvents.$inferInsert };

/**
 * Writes one fact.
 *
 * @param seq the room's outbox number, ascending
 * @throws when D1 is away; the outbox keeps the fact and tries again
 */
export async function writeOutboxEvent(binding: D1Database, seq: number, event: OutboxEvent): Promise<void> {
  const db = drizzle(binding);
  switch (event.kind) {
    case "device": {
      const row = { ...event.row, updatedSeq: seq };
      await db
        .insert(devices)
        .values(row)
        .onConflictDoUpdate({ target: [devices.gatewayId, devices.id], set: row, setWhere: sql`${devices.updatedSeq} < ${seq}` });
      return;
    }
    case "grant":
      await db
        .insert(grants)
        .values(event.row)
        .onConflictDoUpdate({ target: grants.id, set: { state: event.row.state } });
      return;
    case "token":
      await db
        .insert(deviceTokens)
        .values(event.row)
        .onConflictDoUpdate({ target: [deviceTokens.gatewayId, deviceTokens.deviceId], set: event.row });
      return;
    case "request":
      await db.insert(pairingRequests).values(event.row).onConflictDoNothing();
      return;
    case "audit":
      await db.insert(auditEvents).values(event.row).onConflictDoNothing();
      return;
  }
}
