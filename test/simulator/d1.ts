/** D1 over SQLite in memory: answers late, sometimes not, sometimes after it wrote all the same. */
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { SQLInputValue } from "node:sqlite";
import { sim } from "./sim.ts";

const db = new DatabaseSync(":memory:", { enableForeignKeyConstraints: false });
const prepared = new Map<string, ReturnType<DatabaseSync["prepare"]>>();
let tables: string[] = [];

/** Makes the tables, once a process. @param migrations the project's folder of migrations */
export function migrate(migrations: string): void {
  if (tables.length > 0) return;
  for (const name of readdirSync(migrations)
    .filter((each) => each.endsWith(".sql"))
    .toSorted())
    db.exec(readFileSync(path.join(migrations, name), "utf8").replaceAll("--> statement-breakpoint", ""));
  tables = db
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    .all()
    .map((row) => String(row["name"]));
}

export class SimD1 {
  isDown = false;
  /** Whether what the one who calls sends never leaves it. */
  isSilenced: () => boolean = () => false;
  writes = 0;

  constructor() {
    for (const table of tables) db.exec(`DELETE FROM ${table}`);
  }

  rows(query: string): Record<string, unknown>[] {
    return db.prepare(query).all();
  }

  prepare(query: string) {
    const bound = (parameters: readonly SQLInputValue[]) => {
      const call = <T>(read: (rows: Record<string, unknown>[]) => T): Promise<T> =>
        sim.scheduler.io<T | Promise<T>>(sim.timing.int(1, 30), () => {
          if (this.isSilenced()) return new Promise<T>(() => undefined);
          const isLost = sim.timing.chance(0.02);
          if (this.isDown || (isLost && sim.timing.chance(0.5))) throw new Error("D1_ERROR: storage is away");
          let statement = prepared.get(query);
          if (statement === undefined) {
            statement = db.prepare(query);
            prepared.set(query, statement);
          }
          const rows = statement.all(...parameters.map((each) => (typeof each === "boolean" ? Number(each) : each)));
          this.writes += 1;
          if (isLost) throw new Error("D1_ERROR: connection lost");
          return read(rows);
        }) as Promise<T>;
      return {
        run: () => call((results) => ({ success: true, results, meta: { rows_written: 1 } })),
        all: () => call((results) => ({ success: true, results, meta: { rows_written: 1 } })),
        raw: () => call((results) => results.map((row) => Object.values(row))),
      };
    };
    return { ...bound([]), bind: (...parameters: SQLInputValue[]) => bound(parameters) };
  }
}
