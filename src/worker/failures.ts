/** Every failure that no request's line tells of: one damped line of the log, one point of the metrics (PROTOCOL.md OP3). */
import { FailureCounts } from "../core/measure/failure-counts.ts";
import type { Env } from "./env.ts";
import { failureCode } from "./failure-code.ts";
import { count, log } from "./log.ts";
import { logId } from "./log-id.ts";
import { VERSION } from "./version.ts";

/** Where something failed. `alarm-*`: a part of a room's alarm. */
export type FailurePlace =
  | "room-start"
  | "room-request"
  | "room-message"
  | "room-close"
  | "room-call"
  | "connector-message"
  | "owed"
  | "member-gone"
  | "alarm-clock"
  | "alarm-streams"
  | "alarm-stragglers"
  | "alarm-door"
  | "alarm-expiry"
  | "alarm-cuts"
  | "alarm-owed"
  | "alarm-proposals"
  | "alarm-settled"
  | "alarm-audit"
  | "alarm-outbox"
  | "alarm-count"
  | "outbox"
  | "inbox"
  | "enrolment"
  | "room-view"
  | "retention";

export interface FailureReport {
  (place: FailurePlace, error: unknown): void;
}

/**
 * Makes the one way to report for a room, an inbox or an isolate of the Worker. What it makes never throws and never waits.
 *
 * @param gatewayOf the gateway that it is about, or null
 */
export function failureReport(env: Env, gatewayOf: () => string | null = () => null): FailureReport {
  const counts = new FailureCounts();
  const write = async (place: FailurePlace, code: string, times: number): Promise<void> => {
    let gateway: string | null = null;
    try {
      const id = gatewayOf();
      gateway = id === null ? null : await logId(env, id);
    } catch {
      // The line matters more than whose it is.
    }
    log({ event: "failure", place, code, times, version: VERSION, ...(gateway === null ? {} : { gateway }) });
  };
  return (place, error) => {
    const code = failureCode(error);
    count(env.METRICS, { index: "failure", blobs: ["failure", place, code, VERSION], doubles: [1] });
    const times = counts.note(`${place} ${code}`);
    if (times !== null) void write(place, code, times).catch(() => undefined);
  };
}

const reports = new WeakMap<Env, FailureReport>();

/** @returns the report of this isolate of the Worker */
export function workerFailures(env: Env): FailureReport {
  let report = reports.get(env);
  if (report === undefined) {
    report = failureReport(env);
    reports.set(env, report);
  }
  return report;
}
