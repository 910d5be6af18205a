/** Named D1 queries that delete what is kept only for a while. */
import { inArray, lt } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { RETENTION_SLICE } from "../../protocol/limits.ts";
import { auditEvents, pairingRequests } from "./schema.ts";

/** Deletes one slice of the activity before a time. @returns how many rows it was */
export async function dropActivity(binding: D1Database, beforeMs: number): Promise<number> {
  const db = drizzle(binding);
  const old = db.select({ id: auditEvents.id }).from(auditEvents).where(lt(auditEvents.atMs, beforeMs)).limit(RETENTION_SLICE);
  return (await db.delete(auditEvents).where(inArray(auditEvents.id, old)).returning({ id: auditEvents.id })).length;
}

/** The same for requests that were decided before a time. */
export async function dropRequests(binding: D1Database, beforeMs: number): Promise<number> {
  const db = drizzle(binding);
  const { id, decidedAtMs } = pairingRequests;
  const old = db.select({ id }).from(pairingRequests).where(lt(decidedAtMs, beforeMs)).limit(RETENTION_SLICE);
  return (await db.delete(pairingRequests).where(inArray(id, old)).returning({ id })).length;
}
