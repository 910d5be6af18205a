/** Files share one module registry and one set of globals (`isolate: false`): a file that leaves a fake behind would change the next one. */
import { afterAll, beforeAll, expect, vi } from "vitest";

const WATCHED: readonly (readonly [object, string])[] = [
  ...["fetch", "setTimeout", "clearTimeout", "setInterval", "Date", "WebSocket", "queueMicrotask"].map(
    (name) => [globalThis, name] as const,
  ),
  [Math, "random"],
  [performance, "now"],
  [crypto, "getRandomValues"],
  [crypto.subtle, "sign"],
  [crypto.subtle, "verify"],
];

function valuesNow(): unknown[] {
  return WATCHED.map(([object, name]) => Reflect.get(object, name));
}

/** Fails the file that leaves fake timers, spies or replaced globals behind. Call it once per file, in a setup file. */
export function expectCleanGlobals(): void {
  let before: unknown[] = [];
  beforeAll(() => {
    before = valuesNow();
  });
  afterAll(() => {
    const areTimersFake = vi.isFakeTimers();
    const after = valuesNow();
    vi.useRealTimers();
    vi.restoreAllMocks();
    expect(areTimersFake, "fake timers left behind").toBe(false);
    const changed = WATCHED.filter((_, index) => before[index] !== after[index]).map(([, name]) => name);
    expect(changed, "globals left replaced").toEqual([]);
  });
}
