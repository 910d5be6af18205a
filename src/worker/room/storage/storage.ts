/** The room's SQLite: typed rows, nothing decided here. All calls are synchronous. */
import type { RowBudget } from "../../../core/measure/row-budget.ts";
import type { AskMade } from "../../../core/trust/ask-budget.ts";
import type { PinnedKey } from "../../../core/trust/judge.ts";
import type { KeyLogHead, OwnerPolicy } from "../../../protocol/key-log.ts";
import type { OwnerKey } from "../../../protocol/statements.ts";
import type { OutboxEvent } from "../../db/room-writes.ts";
import type { StoredUsage } from "./meter.ts";
import type { InvitationRow, PersonRow } from "./member-rows.ts";
import type { AlarmRow, RoomMeta, SessionRow, StoredReceipt, AuditAnchor, RecoveryRow, Owed } from "./rows.ts";

/** Tables that hold one JSON document under a key: few rows, read whole. */
const DOCUMENTS = [
  "meta", "owner_keys", "devices", "requests", "grants", "sessions", "owed", "receipts", "notices", "invitations", "persons", "decided", "proposals", "blocks",
] as const; // prettier-ignore
type DocumentTable = (typeof DOCUMENTS)[number];

const TABLES: readonly string[] = [
  ...DOCUMENTS.map((table) => `${table} (id TEXT PRIMARY KEY, json TEXT NOT NULL)`),
  "nonces (nonce TEXT PRIMARY KEY, expires_at_ms INTEGER NOT NULL)",
  "key_log (seq INTEGER PRIMARY KEY, hash TEXT NOT NULL, line TEXT NOT NULL, grant_id TEXT)",
  "audit (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, hash TEXT NOT NULL, digest TEXT NOT NULL, line TEXT NOT NULL)",
  "outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, json TEXT NOT NULL)",
];
const SCHEMA = TABLES.join("; ");
/** Under this key a room keeps the schema that its tables were made by. Not in a table: the first look must not need one. */
const SCHEMA_KEY = "gatehouse-schema";

/** What receipts of an older version do not say. */
const NOT_SAID = { deniedAtMs: null, why: null } as const;

export class RoomStorage {
  readonly #storage: DurableObjectStorage;
  /** Rows and index rows that were written through this instance: each is billed. */
  rowsWritten = 0;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#makeTables();
  }

  /**
   * Once for each schema, all or nothing. A wake only looks: SQLite takes even a `CREATE TABLE IF NOT EXISTS` that does nothing for a write, and what
   * a room sends waits for its writes.
   */
  #makeTables(): void {
    const { kv, sql } = this.#storage;
    if (kv.get<string>(SCHEMA_KEY) === SCHEMA) return;
    this.transaction(() => {
      for (const table of TABLES) sql.exec(`CREATE TABLE IF NOT EXISTS ${table}`);
      kv.put(SCHEMA_KEY, SCHEMA);
    });
  }

  /** @returns bytes of the whole database */
  get sizeBytes(): number {
    return this.#storage.sql.databaseSize;
  }

  #write(query: string, ...parameters: readonly (string | number | null)[]): void {
    this.rowsWritten += this.#storage.sql.exec(query, ...parameters).rowsWritten;
  }

  /** All or nothing; the callback must not await. */
  transaction<T>(work: () => T): T {
    return this.#storage.transactionSync(work);
  }

  get<T>(table: DocumentTable, id: string): T | null {
    const json = this.#json(table, id);
    return json === null ? null : (JSON.parse(json) as T);
  }

  #json(table: DocumentTable, id: string): string | null {
    return this.#storage.sql.exec<{ json: string }>(`SELECT json FROM ${table} WHERE id = ?`, id).toArray()[0]?.json ?? null;
  }

  all<T>(table: DocumentTable): T[] {
    return this.#storage.sql
      .exec<{ json: string }>(`SELECT json FROM ${table} ORDER BY rowid`)
      .toArray()
      .map((row) => JSON.parse(row.json) as T);
  }

  /** Whether the table has any row at all. */
  hasAny(table: DocumentTable): boolean {
    return this.#storage.sql.exec(`SELECT 1 FROM ${table} LIMIT 1`).toArray().length > 0;
  }

  put(table: DocumentTable, id: string, value: object): void {
    // Keeps the row's place: cards never change their order (PROTOCOL.md RQ3).
    this.#write(
      `INSERT INTO ${table} (id, json) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET json = excluded.json`,
      id,
      JSON.stringify(value),
    );
  }

  delete(table: DocumentTable, id: string): void {
    this.#write(`DELETE FROM ${table} WHERE id = ?`, id);
  }

  /** Asked for at every event: what still is the same text is not read anew. */
  meta(): RoomMeta | null {
    const json = this.#json("meta", "room");
    if (json !== this.#meta?.json) this.#meta = json === null ? null : { json, value: Object.freeze(JSON.parse(json) as RoomMeta) };
    return this.#meta?.value ?? null;
  }
  #meta: { readonly json: string; readonly value: RoomMeta } | null = null;

  setMeta(meta: RoomMeta): void {
    this.put("meta", "room", meta);
  }

  /** Pairing requests of the last hour, oldest first (core/trust/ask-budget.ts). */
  get asksMade(): readonly AskMade[] {
    return this.get<{ made: readonly AskMade[] }>("meta", "asks")?.made ?? [];
  }

  set asksMade(made: readonly AskMade[]) {
    this.put("meta", "asks", { made });
  }

  /** What the machine's rows have left of their budget. */
  get machineRows(): RowBudget | null {
    return this.get<RowBudget>("meta", "machine-rows");
  }

  set machineRows(budget: RowBudget) {
    this.put("meta", "machine-rows", budget);
  }

  /** How often in a row each part of the alarm has failed. */
  get alarmFailures(): Readonly<Record<string, number>> {
    return this.get<Record<string, number>>("meta", "alarm-failures") ?? {};
  }

  set alarmFailures(failures: Readonly<Record<string, number>>) {
    if (Object.keys(failures).length === 0) this.delete("meta", "alarm-failures");
    else this.put("meta", "alarm-failures", failures);
  }

  /** Also those that are about to go: whom the room trusts is owners.ts's to say. */
  ownerKeys(): PinnedKey[] {
    return this.all<PinnedKey>("owner_keys");
  }

  setOwnerKeys(keys: readonly OwnerKey[]): void {
    this.#write("DELETE FROM owner_keys");
    for (const key of keys) this.put("owner_keys", key.credentialId, key);
  }

  /** The recovery key, and when the statement that pinned it was signed. */
  recoveryKey(): RecoveryRow | null {
    return this.get<RecoveryRow>("meta", "recovery-key");
  }

  setRecoveryKey(row: RecoveryRow | null): void {
    if (row === null) this.delete("meta", "recovery-key");
    else this.put("meta", "recovery-key", row);
  }

  persons(): PersonRow[] {
    return this.all<PersonRow>("persons");
  }

  invitations(): InvitationRow[] {
    return this.all<InvitationRow>("invitations");
  }

  /** Ends what a device's sessions still allow. */
  deleteSessionsOf(device: string): void {
    for (const session of this.all<SessionRow>("sessions")) if (session.device === device) this.delete("sessions", session.id);
  }

  /** Goes to the end: what was decided later is applied later, also when it takes an older one's place. */
  owe(message: Owed): void {
    this.delete("owed", message.id);
    this.put("owed", message.id, message);
  }

  owed(): Owed[] {
    return this.all<Owed>("owed");
  }

  /** Marks a nonce as used. @returns false when it was used before: only one caller ever wins */
  useNonce(nonce: string, forgetAtMs: number): boolean {
    const cursor = this.#storage.sql.exec(
      "INSERT OR IGNORE INTO nonces (nonce, expires_at_ms) VALUES (?, ?) RETURNING nonce",
      nonce,
      forgetAtMs,
    );
    const isFirst = cursor.toArray().length > 0;
    this.rowsWritten += cursor.rowsWritten;
    return isFirst;
  }

  /** @returns when the last used nonce may be forgotten, in ms, or null when none is kept */
  lastNonceMs(): number | null {
    return this.#storage.sql.exec<{ at: number | null }>("SELECT max(expires_at_ms) AS at FROM nonces").one().at;
  }

  dropOldNonces(nowMs: number): void {
    this.#write("DELETE FROM nonces WHERE expires_at_ms <= ?", nowMs);
  }

  toOutbox(event: OutboxEvent): void {
    this.#write("INSERT INTO outbox (json) VALUES (?)", JSON.stringify(event));
  }

  /** Oldest first. */
  outbox(limit: number): { readonly seq: number; readonly event: OutboxEvent }[] {
    const rows = this.#storage.sql
      .exec<{ seq: number; json: string }>("SELECT seq, json FROM outbox ORDER BY seq LIMIT ?", limit)
      .toArray();
    return rows.map((row) => ({ seq: row.seq, event: JSON.parse(row.json) as OutboxEvent }));
  }

  outboxDone(seq: number): void {
    this.#write("DELETE FROM outbox WHERE seq = ?", seq);
  }

  keyLogHead(): KeyLogHead | null {
    const rows = this.#storage.sql.exec<{ seq: number; hash: string }>("SELECT seq, hash FROM key_log ORDER BY seq DESC LIMIT 1").toArray();
    return rows[0] ?? null;
  }

  addToKeyLog(row: { readonly seq: number; readonly hash: string; readonly line: string; readonly grant: string | null }): void {
    const { seq, hash, line, grant } = row;
    this.#write("INSERT INTO key_log (seq, hash, line, grant_id) VALUES (?, ?, ?, ?)", seq, hash, line, grant);
  }

  /** @returns the place of a grant in the key log, or null when the copy does not have it */
  keyLogSeqOfGrant(grant: string): number | null {
    const rows = this.#storage.sql.exec<{ seq: number }>("SELECT seq FROM key_log WHERE grant_id = ?", grant).toArray();
    return rows[0]?.seq ?? null;
  }

  /** Oldest first, at most `limit` lines from place `seq` on. */
  keyLogLines(seq: number, limit: number): string[] {
    return this.#storage.sql
      .exec<{ line: string }>("SELECT line FROM key_log WHERE seq >= ? ORDER BY seq LIMIT ?", seq, limit)
      .toArray()
      .map((row) => row.line);
  }

  /** A new claim starts a new log. */
  clearKeyLog(): void {
    this.#write("DELETE FROM key_log");
  }

  /** The end of the audit chain, or null before the first entry. */
  lastAudit(): { readonly seq: number; readonly atMs: number; readonly hash: string } | null {
    const rows = this.#storage.sql
      .exec<{ seq: number; atMs: number; hash: string }>("SELECT seq, at_ms AS atMs, hash FROM audit ORDER BY seq DESC LIMIT 1")
      .toArray();
    return rows[0] ?? null;
  }

  addAudit(row: {
    readonly seq: number;
    readonly atMs: number;
    readonly hash: string;
    readonly digest: string;
    readonly line: string;
  }): void {
    const { seq, atMs, hash, digest, line } = row;
    this.#write("INSERT INTO audit (seq, at_ms, hash, digest, line) VALUES (?, ?, ?, ?, ?)", seq, atMs, hash, digest, line);
  }

  /** Time of one entry of the audit chain, in ms. */
  auditTime(seq: number): number | null {
    return this.#storage.sql.exec<{ at_ms: number }>("SELECT at_ms FROM audit WHERE seq = ?", seq).toArray()[0]?.at_ms ?? null;
  }

  /** What leads on from place `from`, oldest first. */
  auditWay(from: number, limit: number): { readonly seq: number; readonly hash: string; readonly digest: string }[] {
    return this.#storage.sql
      .exec<{ seq: number; hash: string; digest: string }>(
        "SELECT seq, hash, digest FROM audit WHERE seq > ? ORDER BY seq LIMIT ?",
        from,
        limit,
      )
      .toArray();
  }

  /** Oldest first, at most `limit` lines from place `seq` on. */
  auditLines(seq: number, limit: number): string[] {
    return this.#storage.sql
      .exec<{ line: string }>("SELECT line FROM audit WHERE seq >= ? ORDER BY seq LIMIT ?", seq, limit)
      .toArray()
      .map((row) => row.line);
  }

  /** The machine's policy, as far as the room obeys its log; null before anything was said. */
  policy(): OwnerPolicy | null {
    return this.get<OwnerPolicy>("meta", "policy");
  }

  setPolicy(policy: OwnerPolicy | null): void {
    if (policy === null) this.delete("meta", "policy");
    else this.put("meta", "policy", policy);
  }

  /** The alarm that stands, as far as the room heard and found; null: none. */
  alarm(): AlarmRow | null {
    return this.get<AlarmRow>("meta", "alarm");
  }

  setAlarm(alarm: AlarmRow | null): void {
    if (alarm === null) this.delete("meta", "alarm");
    else this.put("meta", "alarm", alarm);
  }

  /** What the connector said that it has of the audit chain, and on which link. */
  auditAnchor(): AuditAnchor | null {
    return this.get<AuditAnchor>("meta", "audit-anchor");
  }

  setAuditAnchor(anchor: AuditAnchor): void {
    this.put("meta", "audit-anchor", anchor);
  }

  /** The latest cut of a device; a row that an older version wrote gets what it lacks. */
  receipt(device: string): StoredReceipt | null {
    const row = this.get<StoredReceipt>("receipts", device);
    if (row === null) return null;
    const lacking = { by: "owner", cut: null, grant: null, signed: null, connectorKey: null, asked: null } as const;
    return { ...lacking, ...row, gateway: { ...NOT_SAID, ...row.gateway } };
  }

  saveReceipt(receipt: StoredReceipt): void {
    this.put("receipts", receipt.device, receipt);
  }

  /** What was counted and the budget (meter.ts), or null before the first time. */
  usage(): StoredUsage | null {
    return this.get<StoredUsage>("meta", "usage");
  }

  setUsage(usage: StoredUsage): void {
    this.put("meta", "usage", usage);
  }

  async deleteAll(): Promise<void> {
    await this.#storage.deleteAll();
  }
}
