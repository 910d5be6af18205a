/** Points in time, for people. */

/** @returns date and time in the reader's own way of writing */
export function clock(ms: number): string {
  return new Date(ms).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

/** @returns how long ago, for people: seconds up to a day, then the date */
export function age(ms: number, nowMs: number): string {
  const passed = Math.max(0, nowMs - ms);
  if (passed < MINUTE_MS) return `${Math.round(passed / 1000)} s ago`;
  if (passed < HOUR_MS) return `${Math.round(passed / MINUTE_MS)} min ago`;
  return passed < DAY_MS ? `${Math.round(passed / HOUR_MS)} h ago` : clock(ms);
}

/** @returns how far ahead, for people: never more than is left */
export function ahead(ms: number, nowMs: number): string {
  const left = ms - nowMs;
  if (left < MINUTE_MS) return "in less than a minute";
  if (left < HOUR_MS) return `in ${Math.floor(left / MINUTE_MS)} min`;
  if (left < 2 * DAY_MS) return `in ${Math.floor(left / HOUR_MS)} h`;
  return `in ${Math.floor(left / DAY_MS)} days`;
}
