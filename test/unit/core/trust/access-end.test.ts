/** What a device that proved its key is told of the end of its access. */
import { expect, test } from "vitest";
import { accessEnd, accessEndText, mayAskAgain } from "../../../../src/core/trust/access-end.ts";

const NOW = 1_800_000_000_000;
const device = { state: "allowed", notAfterMs: NOW + 1_000 } as const;
const block = { device: "a".repeat(26), name: "Phone", sinceMs: NOW - 5, untilMs: NOW + 5 };
const at = (ms: number): string => `T${ms - NOW}`;

test.each([
  ["new", null, null, null, true, ""],
  ["allowed", device, null, null, true, ""],
  ["cut", { ...device, state: "cut", endedAtMs: NOW - 9 }, null, "cut", true, "Your access was ended at T-9."],
  ["expired", { ...device, notAfterMs: NOW }, null, "expired", true, "Your access expired at T0."],
  ["paused", { ...device, suspendedAtMs: NOW - 2 }, null, "paused", false, "Your access was paused at T-2. It goes on when the owner says so."],
  ["blocked", null, block, "blocked", false, "The owner blocked this device from asking until T5."],
  ["blocked for good", device, { ...block, untilMs: null }, "blocked", false, "The owner blocked this device from asking. Only the owner can change that."],
  ["a block that is over", null, { ...block, untilMs: NOW }, null, true, ""],
] as const)("[EA2] %s: its own sentence, and whether it may ask", (_name, facts, held, why, mayAsk, text) => {
  const end = accessEnd(facts, held, NOW);
  expect([end?.why ?? null, mayAskAgain(end), end === null ? "" : accessEndText(end, at)]).toEqual([why, mayAsk, text]);
}); // prettier-ignore
