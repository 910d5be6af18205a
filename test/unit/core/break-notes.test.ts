import { expect, test } from "vitest";
import { BreakNotes } from "../../../src/core/link/failure-notes.ts";
import { brokenAt, legOf } from "../../../src/core/link/close-code.ts";
import { gatewayAway } from "../../../src/core/http/gateway-away.ts";
import { LEGS } from "../../../src/protocol/close-codes.ts";
import { BREAK_ROWS } from "../../../src/protocol/limits.ts";
import { GATEWAY_STATES } from "../../../src/protocol/words.ts";

test("[AU7] twenty rows at once, then one a minute, and none is lost from the count", () => {
  const notes = new BreakNotes(0);
  for (let i = 0; i < BREAK_ROWS.burst; i += 1) expect(notes.note(1, 0)).toBe(0);
  for (let i = 0; i < 5; i += 1) expect(notes.note(3, 1_000)).toBe(null);
  expect(notes.note(1, 61_000)).toBe(15);
  expect(notes.note(1, 62_000)).toBe(null);
  expect(notes.note(1, 122_000)).toBe(1);
});

test("[ST9] a reason names its leg, and a gateway's own words are none", () => {
  for (const leg of LEGS) expect(legOf(brokenAt(leg, "x"))).toBe(leg);
  for (const reason of ["", "pairing required", "device-room", "room: x", "session over"]) expect(legOf(reason)).toBe(null);
});

test("[ST10] every state but online has a sentence, and a restart's announced time bounds the wait", () => {
  for (const state of GATEWAY_STATES) expect(gatewayAway(state) === null).toBe(state === "online");
  expect(gatewayAway("restarting")?.retrySeconds).toBe(5);
  expect(gatewayAway("restarting", 1)?.retrySeconds).toBe(1);
  expect(gatewayAway("restarting", 20_001)?.retrySeconds).toBe(21);
  expect(gatewayAway("restarting", 9_000_000)?.retrySeconds).toBe(120);
});
