/**
 * Counts what the room does, for the bill and the budget. In memory; kept on the link's socket while the room sleeps, and in storage only when an
 * alarm runs anyway: no write per frame and none while idle. A crash, or a deployment, loses what came since the last such write.
 */
import {
  NOTHING,
  added,
  awakeStep,
  dayEndsMs,
  levelOf,
  monthName,
  newest,
  noUsage,
  packed,
  rolled,
  shareOf,
  spentOf,
  unpacked,
} from "../../../core/measure/usage.ts";
import type { PackedUsage, UsageRecord } from "../../../core/measure/usage.ts";
import { PRICES, costLines, sumOf, wholeLines } from "../../../core/measure/cost.ts";
import { DEFAULT_BUDGET, USAGE_KEPT_EVERY_BYTES, USAGE_KEPT_EVERY_MESSAGES, USAGE_STORED_EVERY_MS } from "../../../protocol/limits.ts";
import { BUDGET_LEVELS } from "../../../protocol/usage.ts";
import type { Budget, BudgetLevel, Counted, Usage } from "../../../protocol/usage.ts";

/** What storage has: one row. */
export interface StoredUsage {
  readonly record: UsageRecord;
  readonly budget: Budget | null;
  /** What the owner was told on which day, and whether the owner has read it. */
  readonly told: { readonly day: number; readonly level: BudgetLevel; readonly atMs: number; readonly isRead: boolean } | null;
  readonly storedAtMs: number;
}

export interface MeterStorage {
  usage(): StoredUsage | null;
  setUsage(usage: StoredUsage): void;
  readonly rowsWritten: number;
}

export interface MeterOptions {
  readonly now: () => number;
  readonly storage: MeterStorage;
  /** What the link's socket kept over the sleep. */
  readonly kept: PackedUsage | null;
  /** Puts it there. */
  readonly keep: (usage: number[]) => void;
  /** Operator's ceiling for everything that this gateway causes in a day; null: none. */
  readonly ceilingMicroUsd: number | null;
  /** The owner must hear of it; at most twice a day. */
  readonly reached: (level: "warned" | "over") => void;
}

export class Meter {
  /** The hot path's own two: plain additions, looked at every so often. */
  messages = 0;
  bytes = 0;
  readonly #options: MeterOptions;
  #pending: Record<Counted, number> = { ...NOTHING };
  #record: UsageRecord;
  #stored: StoredUsage;
  #rowsSeen: number;
  #awakeUntilMs = 0;
  #exchanges = 0;
  #messagesSinceWake = 0;
  #nextMessages = 1;

  constructor(options: MeterOptions) {
    const nowMs = options.now();
    this.#options = options;
    this.#stored = options.storage.usage() ?? { record: noUsage(nowMs), budget: null, told: null, storedAtMs: 0 };
    const kept = options.kept === null ? null : unpacked(options.kept);
    this.#record = kept === null ? this.#stored.record : newest(this.#stored.record, kept);
    this.#rowsSeen = options.storage.rowsWritten;
    this.#pending.wakes = 1;
  }

  /** A message of an allowed device, or a frame of the link. @param bytes of a text its UTF-16 units */
  relayed(bytes: number): void {
    this.messages += 1;
    this.bytes += bytes;
    if (this.messages >= this.#nextMessages || this.bytes >= USAGE_KEPT_EVERY_BYTES) this.#look(this.messages);
  }

  /** Any other event. */
  count(what: "controls" | "doorRequests" | "calls" | "alarms"): void {
    this.#pending[what] += 1;
    this.#awake("otherAwakeMs", 1);
    this.#fold(this.#options.now());
    this.#keep();
  }

  /** Rows of D1, which are not the room's own. */
  rows(written: number): void {
    // What D1 says of itself: without a number nothing is added, so that no sum is ever spoilt.
    if (Number.isFinite(written)) this.#pending.rowsWritten += written;
  }

  /** A request of an allowed device is on its way to the gateway; it was counted as any request before. */
  opened(kind: "exchanges" | "upgrades"): void {
    this.#pending.doorRequests -= 1;
    this.#pending[kind] += 1;
    if (kind === "exchanges") this.#exchanges += 1;
    this.#look(1);
  }

  /** An HTTP exchange ended: until now it kept the room awake. */
  exchangeEnded(): void {
    this.#awake("awakeMs", 0);
    this.#exchanges -= 1;
  }

  /** The link's socket goes, and what it kept with it: the room writes at this moment anyway. */
  linkGone(): void {
    this.#store();
  }

  /** At the end of every alarm. */
  settle(): void {
    const nowMs = this.#options.now();
    this.#fold(nowMs);
    // What sends nothing and only keeps the room awake is seen here.
    this.#judge();
    if (nowMs - this.#stored.storedAtMs >= USAGE_STORED_EVERY_MS) this.#store();
    else this.#keep();
  }

  get level(): BudgetLevel {
    this.#fold(this.#options.now());
    return this.#level();
  }

  get budget(): Budget {
    return this.#stored.budget ?? DEFAULT_BUDGET;
  }

  /** What the owner was told today and has not read yet. */
  get unread(): { readonly level: "warned" | "over"; readonly atMs: number; readonly untilMs: number } | null {
    this.#fold(this.#options.now());
    const { told } = this.#stored;
    if (told === null || told.level === "ok" || told.day !== this.#record.day || told.isRead) return null;
    return { level: told.level, atMs: told.atMs, untilMs: dayEndsMs(told.atMs) };
  }

  /** The owner has read it. */
  read(): void {
    const { told } = this.#stored;
    if (told === null || told.isRead) return;
    this.#stored = { ...this.#stored, told: { ...told, isRead: true } };
    this.#store();
  }

  setBudget(budget: Budget): void {
    this.#fold(this.#options.now());
    this.#stored = { ...this.#stored, budget };
    // A higher budget is told about again when that one is reached; a lower one that is reached already, now.
    const level = this.#level();
    const told = this.#told();
    if (BUDGET_LEVELS.indexOf(level) < BUDGET_LEVELS.indexOf(told)) this.#tell(level);
    this.#store();
    this.#judge();
  }

  /** @param storedBytes size of the room's database */
  view(storedBytes: number): Usage {
    const nowMs = this.#options.now();
    this.#fold(nowMs);
    const { today, earlier, lastMonth } = this.#record;
    const counts = added(today, earlier);
    const lines = wholeLines(costLines(counts, storedBytes));
    const spent = spentOf(today);
    return {
      month: monthName(nowMs),
      counts,
      lines,
      microUsd: sumOf(lines),
      lastMonthMicroUsd: lastMonth === null ? null : sumOf(wholeLines(costLines(lastMonth, storedBytes))),
      today: { ...spent, microUsd: Math.ceil(spent.microUsd) },
      budget: this.budget,
      share: shareOf(spent, this.budget),
      level: this.#level(),
      resetsAtMs: dayEndsMs(nowMs),
      prices: { checked: PRICES.checked, source: PRICES.source },
    };
  }

  #look(events: number): void {
    this.#awake("awakeMs", events);
    this.#fold(this.#options.now());
    this.#keep();
    this.#judge();
  }

  #awake(whose: "awakeMs" | "otherAwakeMs", events: number): void {
    const step = awakeStep(this.#awakeUntilMs, this.#options.now(), events, this.#exchanges > 0);
    this.#pending[this.#exchanges > 0 ? "awakeMs" : whose] += step.addMs;
    this.#awakeUntilMs = step.awakeUntilMs;
  }

  /** What was counted since goes into the day. */
  #fold(nowMs: number): void {
    this.#messagesSinceWake += this.messages;
    // Exact at first, later a thirty-second part behind at most: that is what a sleep may lose.
    this.#nextMessages = Math.max(1, Math.min(USAGE_KEPT_EVERY_MESSAGES, this.#messagesSinceWake >> 5));
    const { rowsWritten } = this.#options.storage;
    this.#pending.messages += this.messages;
    this.#pending.bytes += this.bytes;
    this.#pending.rowsWritten += rowsWritten - this.#rowsSeen;
    [this.messages, this.bytes, this.#rowsSeen] = [0, 0, rowsWritten];
    const record = rolled(this.#record, nowMs);
    this.#record = { ...record, today: added(record.today, this.#pending) };
    this.#pending = { ...NOTHING };
  }

  #keep(): void {
    this.#options.keep(packed(this.#record));
  }

  #store(): void {
    const nowMs = this.#options.now();
    this.#fold(nowMs);
    this.#stored = { ...this.#stored, record: this.#record, storedAtMs: nowMs };
    this.#options.storage.setUsage(this.#stored);
    this.#keep();
  }

  /** Whether everything that was counted today, strangers and the machine included, is more than the operator allows. */
  get isOverCeiling(): boolean {
    const { ceilingMicroUsd } = this.#options;
    return ceilingMicroUsd !== null && sumOf(costLines(this.#record.today, 0)) >= ceilingMicroUsd;
  }

  #level(): BudgetLevel {
    if (this.isOverCeiling) return "over";
    return levelOf(shareOf(spentOf(this.#record.today), this.budget));
  }

  #told(): BudgetLevel {
    const { told } = this.#stored;
    return told !== null && told.day === this.#record.day ? told.level : "ok";
  }

  #judge(): void {
    const level = this.#level();
    if (level === "ok" || BUDGET_LEVELS.indexOf(level) <= BUDGET_LEVELS.indexOf(this.#told())) return;
    this.#tell(level);
    this.#store();
    this.#options.reached(level);
  }

  #tell(level: BudgetLevel): void {
    this.#stored = { ...this.#stored, told: { day: this.#record.day, level, atMs: this.#options.now(), isRead: false } };
  }
}
