/** The SQLite of one object: real, in memory, with its transactions. One database a process, emptied for each run; what is read again unchanged is kept. */
import { DatabaseSync } from "node:sqlite";
import type { SQLInputValue, StatementSync } from "node:sqlite";

export type Row = Readonly<Record<string, unknown>>;

interface Prepared {
  readonly statement: StatementSync;
  readonly isWrite: boolean;
  /** The one table that it reads, or changes; null: some other kind of statement. */
  readonly table: Table | null;
  /** Answers by parameter, of the state of the table that `answersOf` counts. */
  readonly answers: Map<SQLInputValue | undefined, readonly Row[]>;
  answersOf: number;
}

/** How often a table was written, as far as answers from before may be other ones now. */
interface Table {
  writes: number;
}

const database = new DatabaseSync(":memory:");
// The platform's own, behind `storage.kv`: in the same transactions as every other row.
database.exec("CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value TEXT NOT NULL)");
const prepared = new Map<string, Prepared>();
const tables = new Map<string, Table>();

function prepare(query: string): Prepared {
  const known = prepared.get(query);
  if (known !== undefined) return known;
  const isWrite = !/^\s*SELECT/i.test(query);
  const names = [...query.matchAll(/(?:\bFROM|\bINTO|^\s*UPDATE)\s+(\w+)/g)].map(([, name = ""]) => name);
  const [name = ""] = names;
  const table = names.length === 1 ? (tables.get(name) ?? { writes: 0 }) : null;
  if (table !== null) tables.set(name, table);
  const made: Prepared = { statement: database.prepare(query), isWrite, table, answers: new Map(), answersOf: 0 };
  prepared.set(query, made);
  return made;
}

function forget(): void {
  for (const table of tables.values()) table.writes += 1;
}

export class RoomSqlite {
  constructor() {
    for (const { name } of database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all())
      database.exec(`DELETE FROM ${String(name)}`);
    forget();
  }

  isWrite(query: string): boolean {
    return prepare(query).isWrite;
  }

  /** @returns all rows; whoever gets them changes none */
  all(query: string, parameters: readonly SQLInputValue[] = []): readonly Row[] {
    const known = prepare(query);
    const { statement, isWrite, table, answers } = known;
    if (isWrite) {
      if (table === null) forget();
      else table.writes += 1;
    }
    if (isWrite || table === null || parameters.length > 1) return statement.all(...parameters);
    if (known.answersOf !== table.writes) {
      answers.clear();
      known.answersOf = table.writes;
    }
    const [key] = parameters;
    let rows = answers.get(key);
    if (rows === undefined) {
      rows = statement.all(...parameters);
      answers.set(key, rows);
    }
    return rows;
  }

  begin(): void {
    prepare("BEGIN").statement.run();
  }

  commit(): void {
    prepare("COMMIT").statement.run();
  }

  rollback(): void {
    prepare("ROLLBACK").statement.run();
    forget();
  }

  /** All or nothing, within what has begun. */
  together<T>(work: () => T): T {
    prepare("SAVEPOINT here").statement.run();
    try {
      const result = work();
      prepare("RELEASE here").statement.run();
      return result;
    } catch (error) {
      prepare("ROLLBACK TO here").statement.run();
      prepare("RELEASE here").statement.run();
      forget();
      throw error;
    }
  }

  /** What was begun by a run that ended in the middle of it. */
  close(): void {
    if (database.isTransaction) this.rollback();
  }
}
