/** What a room writes to D1 through its outbox: facts it has already committed. Every write may run twice. */
import { and, eq, getTableColumns, sql } from "drizzle-orm";
import type { Placeholder, Table } from "drizzle-orm";
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
      return often(binding).request.execute(event.row);
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
      return often(binding).audit.execute({ deviceId: null, gatewayId: null, seq: null, hash: null, ...event.row });
  }
}

/** What is written for everything that happens: to build such a query anew costs more than all else that the room does for the fact. */
function often(binding: D1Database) {
  let queries = prepared.get(binding);
  if (queries === undefined) {
    const db = drizzle(binding);
    queries = {
      audit: db.insert(auditEvents).values(placeholders(auditEvents)).onConflictDoNothing().prepare(),
      request: db.insert(pairingRequests).values(placeholders(pairingRequests)).onConflictDoNothing().prepare(),
    };
    prepared.set(binding, queries);
  }
  return queries;
}
type Often = Record<"audit" | "request", { execute(row: Record<string, unknown>): Promise<D1Result> }>;
const prepared = new WeakMap<D1Database, Often>();

/** @returns for each column a place of its name */
function placeholders<T extends Table>(table: T): { [Name in keyof T["_"]["columns"]]: Placeholder } {
  return Object.fromEntries(Object.keys(getTableColumns(table)).map((name) => [name, sql.placeholder(name)])) as {
    [Name in keyof T["_"]["columns"]]: Placeholder;
  };
}
