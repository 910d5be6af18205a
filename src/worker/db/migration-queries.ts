/** Named D1 queries about the schema itself. */
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";

/** @returns file name of the newest migration that was applied, null before the first @throws when D1 is away */
export async function newestMigration(db: D1Database): Promise<string | null> {
  const row = await drizzle(db).get<{ name: string } | undefined>(sql`SELECT name FROM d1_migrations ORDER BY name DESC LIMIT 1`);
  return row?.name ?? null;
}
