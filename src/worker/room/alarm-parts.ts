/** What a room's alarm does, part by part: one that fails never keeps the others from theirs, and is tried again ever later (PROTOCOL.md OP6). */
import { retryAfterFailureMs } from "../../core/measure/failure-counts.ts";
import type { FailurePlace, FailureReport } from "../failures.ts";
import type { RoomStorage } from "./storage/storage.ts";

/** @returns when to look again, epoch ms, or null */
export type AlarmPart = () => number | null | Promise<number | null>;

export interface AlarmPartsOptions {
  readonly storage: RoomStorage;
  readonly report: FailureReport;
  readonly wakeBy: (atMs: number) => void;
  /** Evenly between 0 and 1, 1 excluded. */
  readonly draw: () => number;
}

/** Runs every part. One that fails is never given up: it may be the outbox. */
export async function runAlarm(parts: Partial<Record<FailurePlace, AlarmPart>>, nowMs: number, options: AlarmPartsOptions): Promise<void> {
  const { report, wakeBy, draw } = options;
  const before = storedFailures(options);
  const after: Record<string, number> = {};
  for (const [name, part] of Object.entries(parts)) {
    const place = name as FailurePlace;
    try {
      const next = await part();
      if (next !== null) wakeBy(next);
    } catch (error) {
      report(place, error);
      after[place] = (before[place] ?? 0) + 1;
      wakeBy(nowMs + retryAfterFailureMs(after[place], draw()));
    }
  }
  if (Object.keys(before).length === 0 && Object.keys(after).length === 0) return;
  try {
    options.storage.alarmFailures = after;
  } catch (error) {
    report("alarm-count", error);
  }
}

/** Failures in a row outlive the sleep between two alarms, so they are stored. */
function storedFailures({ storage, report }: AlarmPartsOptions): Readonly<Record<string, number>> {
  try {
    return storage.alarmFailures;
  } catch (error) {
    report("alarm-count", error);
    return {};
  }
}
