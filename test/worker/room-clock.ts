/** The clock of the Worker and its rooms, and only the clock, so that everything else goes on. `vi.useRealTimers()` gives it back. */
import { vi } from "vitest";

/** It is so much later, in ms. */
export function passTime(ms: number): void {
  setTime(Date.now() + ms);
}

/** It is this time, epoch ms. */
export function setTime(nowMs: number): void {
  vi.useFakeTimers({ now: nowMs, toFake: ["Date"] });
}
