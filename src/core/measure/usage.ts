/** Counts of a room by UTC day and month, and how they stand against the budget. Times are epoch ms. */
import { BUDGET_WARNS_AT } from "../../protocol/limits.ts";
import { BESIDE, COUNTED } from "../../protocol/usage.ts";
import type { Budget, BudgetLevel, Counted, Counts } from "../../protocol/usage.ts";
import { costLines, sumOf } from "./cost.ts";

const DAY_MS = 86_400_000;
/** Counters stop here, long before a sum of a few of them stops being exact. */
const MAX_COUNT = 2 ** 50;

export const NOTHING: Counts = {
  messages: 0,
  exchanges: 0,
  upgrades: 0,
  bytes: 0,
  awakeMs: 0,
  controls: 0,
  doorRequests: 0,
  calls: 0,
  alarms: 0,
  wakes: 0,
  rowsWritten: 0,
  otherAwakeMs: 0,
};

/** Three sums and nothing more, however long a room lives. */
export interface UsageRecord {
  /** UTC days since the epoch. */
  readonly day: number;
  readonly today: Counts;
  /** The days of this month before today. */
  readonly earlier: Counts;
  /** The whole month before; null when it was not counted. */
  readonly lastMonth: Counts | null;
}

function dayOf(nowMs: number): number {
  return Math.floor(nowMs / DAY_MS);
}

function daysInMonth(month: number): number {
  const [year, of] = [1970 + Math.floor(month / 12), month % 12];
  if (of === 1) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return [3, 5, 8, 10].includes(of) ? 30 : 31;
}

/** @returns months since January 1970, UTC */
function monthOf(day: number): number {
  let [month, left] = [0, day];
  for (let days = daysInMonth(month); left >= days; days = daysInMonth(month)) [month, left] = [month + 1, left - days];
  return month;
}

/** @returns when the day of `nowMs` ends, 00:00 UTC */
export function dayEndsMs(nowMs: number): number {
  return (dayOf(nowMs) + 1) * DAY_MS;
}

/** @returns `2026-11` for any time in November 2026, UTC */
export function monthName(nowMs: number): string {
  const month = monthOf(dayOf(nowMs));
  return `${1970 + Math.floor(month / 12)}-${String((month % 12) + 1).padStart(2, "0")}`;
}

export function noUsage(nowMs: number): UsageRecord {
  return { day: dayOf(nowMs), today: NOTHING, earlier: NOTHING, lastMonth: null };
}

function combined(a: Counts, b: Counts, how: (x: number, y: number) => number): Counts {
  const out: Record<Counted, number> = { ...NOTHING };
  for (const name of COUNTED) out[name] = Math.max(0, Math.min(MAX_COUNT, how(a[name], b[name])));
  return out;
}

export function added(a: Counts, b: Counts): Counts {
  return combined(a, b, (x, y) => x + y);
}

/** @returns the record as of `nowMs`; a clock that goes back resets nothing */
export function rolled(record: UsageRecord, nowMs: number): UsageRecord {
  const day = dayOf(nowMs);
  if (day <= record.day) return record;
  const total = added(record.earlier, record.today);
  const months = monthOf(day) - monthOf(record.day);
  return {
    day,
    today: NOTHING,
    earlier: months === 0 ? total : NOTHING,
    lastMonth: months === 0 ? record.lastMonth : months === 1 ? total : null,
  };
}

/** Two copies of one room's counts, of which either may be the older one. @returns the newer of each: counts only grow */
export function newest(a: UsageRecord, b: UsageRecord): UsageRecord {
  const nowMs = Math.max(a.day, b.day) * DAY_MS;
  const [left, right] = [rolled(a, nowMs), rolled(b, nowMs)];
  const both = left.lastMonth !== null && right.lastMonth !== null;
  return {
    day: left.day,
    today: combined(left.today, right.today, Math.max),
    earlier: combined(left.earlier, right.earlier, Math.max),
    lastMonth: both ? combined(left.lastMonth, right.lastMonth, Math.max) : (left.lastMonth ?? right.lastMonth),
  };
}

/** What allowed devices caused: strangers, the owner's page and time have no part in it. */
export function relayedOnly(counts: Counts): Counts {
  return { ...counts, ...(Object.fromEntries(BESIDE.map((name) => [name, 0])) as Pick<Counts, (typeof BESIDE)[number]>) };
}

/** @param today the counts of one day @returns what counts against its budget: millionths of a dollar, and bytes */
export function spentOf(today: Counts): Budget {
  return { microUsd: sumOf(costLines(relayedOnly(today), 0)), bytes: today.bytes };
}

/** @returns the used part, 1 for all; of the limit that is closer. Of a budget of nothing everything is used. */
export function shareOf(spent: Budget, budget: Budget): number {
  const part = (used: number, limit: number): number => (limit === 0 ? 1 : used / limit);
  return Math.max(part(spent.microUsd, budget.microUsd), part(spent.bytes, budget.bytes));
}

export function levelOf(share: number): BudgetLevel {
  return share >= 1 ? "over" : share >= BUDGET_WARNS_AT ? "warned" : "ok";
}

/** The numbers of a record, for a socket's attachment. */
export type PackedUsage = readonly number[];

export function packed({ day, today, earlier, lastMonth }: UsageRecord): number[] {
  const of = (counts: Counts): number[] => COUNTED.map((name) => counts[name]);
  return [day, ...of(today), ...of(earlier), ...(lastMonth === null ? [] : of(lastMonth))];
}

/** @returns null for anything that `packed` of this version did not write */
export function unpacked(numbers: PackedUsage): UsageRecord | null {
  const n = COUNTED.length;
  const [day = 0] = numbers;
  if (numbers.length !== 1 + 2 * n && numbers.length !== 1 + 3 * n) return null;
  const at = (from: number): Counts => {
    const out: Record<Counted, number> = { ...NOTHING };
    for (const [i, name] of COUNTED.entries()) out[name] = numbers[from + i] ?? 0;
    return out;
  };
  return { day, today: at(1), earlier: at(1 + n), lastMonth: numbers.length === 1 + 2 * n ? null : at(1 + 2 * n) };
}

/**
 * How long a room was awake. One that is only reached by messages is taken to be so for a second after each, which is more than it is billed
 * for; one that answers over HTTP is so until the answer ended.
 */
export const AWAKE_AFTER_EVENT_MS = 1_000;

/**
 * @param awakeUntilMs of the step before; 0 at a wake
 * @param events since the step before
 * @param isHeld something kept the room awake all the time since
 * @returns what to add, and the new `awakeUntilMs`
 */
export function awakeStep(
  awakeUntilMs: number,
  nowMs: number,
  events: number,
  isHeld: boolean,
): { readonly addMs: number; readonly awakeUntilMs: number } {
  const until = Math.max(awakeUntilMs, nowMs + AWAKE_AFTER_EVENT_MS);
  const sinceMs = awakeUntilMs === 0 ? AWAKE_AFTER_EVENT_MS : until - awakeUntilMs;
  const isGap = !isHeld && nowMs > awakeUntilMs;
  return { addMs: isGap ? Math.min(sinceMs, events * AWAKE_AFTER_EVENT_MS) : sinceMs, awakeUntilMs: until };
}
