/** When a dead link is found: beats that nobody answers, on a busy and on an idle link. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LinkBeat } from "../../../src/connector/measure/heartbeat.ts";
import { HEARTBEAT_AGAIN_MS, HEARTBEAT_BUSY_MS, HEARTBEAT_IDLE_MS, HEARTBEAT_MISSES } from "../../../src/protocol/limits.ts";

let nowMs = 0;
let sentAtMs: number[] = [];
let deadAtMs: number | null = null;
let isAnswering = true;
let beat: LinkBeat;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  nowMs = 0;
  sentAtMs = [];
  deadAtMs = null;
  isAnswering = true;
  beat = new LinkBeat({
    send: () => sentAtMs.push(nowMs),
    sender: { mark: () => ({ bytes: 0 }) as never, answered: () => undefined },
    dead: () => {
      deadAtMs = nowMs;
    },
    clock: () => nowMs,
    timed: () => undefined,
  });
});

afterEach(() => {
  beat.stop();
  vi.useRealTimers();
});

function pass(ms: number): void {
  const endMs = nowMs + ms;
  for (; nowMs < endMs;) {
    if (deadAtMs !== null) return;
    nowMs += 50;
    const before = sentAtMs.length;
    vi.advanceTimersByTime(50);
    if (isAnswering && sentAtMs.length > before) beat.pong();
  }
}

test("[LINK5] a link that is answered stays, beat by beat", () => {
  beat.start(HEARTBEAT_BUSY_MS, true);
  beat.pong();
  pass(10 * HEARTBEAT_BUSY_MS);
  expect(sentAtMs).toEqual(Array.from({ length: 11 }, (_, index) => index * HEARTBEAT_BUSY_MS));
  beat.start(HEARTBEAT_IDLE_MS);
  sentAtMs = [];
  pass(3 * HEARTBEAT_IDLE_MS);
  expect(sentAtMs.length).toBe(3);
  expect(deadAtMs).toBe(null);
});

test("[LINK5] when somebody comes, a beat leaves at once", () => {
  beat.start(HEARTBEAT_IDLE_MS);
  pass(20_000);
  beat.start(HEARTBEAT_BUSY_MS, true);
  expect(sentAtMs).toEqual([20_000]);
});

test("[LINK5] a busy link that died is found within 8 s", () => {
  beat.start(HEARTBEAT_BUSY_MS, true);
  beat.pong();
  pass(HEARTBEAT_BUSY_MS);
  const diedAtMs = nowMs;
  isAnswering = false;
  pass(60_000);
  expect((deadAtMs ?? Infinity) - diedAtMs).toBeLessThanOrEqual(8_000);
});

test("[LINK5] an idle link that died is found with its next beats", () => {
  beat.start(HEARTBEAT_IDLE_MS);
  isAnswering = false;
  pass(120_000);
  expect(deadAtMs).toBe(HEARTBEAT_IDLE_MS + HEARTBEAT_MISSES * HEARTBEAT_AGAIN_MS);
});

test("[LINK5] anything else from the room is a sign of life, too", () => {
  beat.start(HEARTBEAT_BUSY_MS);
  isAnswering = false;
  for (let turn = 0; turn < 20; turn += 1) {
    pass(HEARTBEAT_BUSY_MS);
    beat.heard();
  }
  expect(deadAtMs).toBe(null);
});
