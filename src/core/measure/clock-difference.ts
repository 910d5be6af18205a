/** Clocks of two machines beside each other: who is told, and in which words. */
import { CLOCK_WARN_MS } from "../../protocol/limits.ts";

const STEP_MS = 10_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/**
 * @param ownMs this machine's clock
 * @param otherMs what another machine's clock said a moment ago
 * @returns how far the own clock is ahead (negative: behind), in steps of ten seconds, or null when it is not worth a word
 */
export function clockAheadMs(ownMs: number, otherMs: number): number | null {
  const aheadMs = Math.round((ownMs - otherMs) / STEP_MS) * STEP_MS;
  return Math.abs(aheadMs) > CLOCK_WARN_MS ? aheadMs : null;
}

function length(ms: number): string {
  const [count, unit] =
    ms >= 2 * DAY_MS ? [ms / DAY_MS, "days"] : ms >= 2 * HOUR_MS ? [ms / HOUR_MS, "hours"] : [ms / MINUTE_MS, "minutes"];
  return `${Math.round(count)} ${unit}`;
}

/** @param other whose clock it is compared with @returns for example `3 hours ahead of ours` or `3 hours behind ours` */
export function aheadText(aheadMs: number, other: string): string {
  return `${length(Math.abs(aheadMs))} ${aheadMs > 0 ? "ahead of" : "behind"} ${other}`;
}
