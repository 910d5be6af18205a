/** The machine's question for blocked devices: answered by the room, or by nobody. */
import { afterEach, expect, test, vi } from "vitest";
import { BlockedDevices } from "../../../src/connector/link/blocked-devices.ts";
import { LINK_ANSWER_MS } from "../../../src/protocol/limits.ts";
import type { ToRoom } from "../../../src/protocol/link-messages.ts";

afterEach(() => {
  vi.useRealTimers();
});

test("[BL6] each question has its own answer; without one, or when the link goes, there is none", async () => {
  vi.useFakeTimers();
  const sent: Extract<ToRoom, { type: "ask-blocked" }>[] = [];
  const blocked = new BlockedDevices((message) => message.type === "ask-blocked" && sent.push(message));
  const [first, second, third] = [blocked.ask(null), blocked.ask("a".repeat(26)), blocked.ask(null)];
  const ids = sent.map(({ id }) => id);
  expect(sent.map(({ unblock }) => unblock)).toEqual([null, "a".repeat(26), null]);
  blocked.answered({ type: "blocked", id: ids[1] ?? "", devices: [], wasBlocked: true });
  blocked.answered({ type: "blocked", id: "unknown", devices: [], wasBlocked: true });
  expect(await second).toEqual({ devices: [], wasBlocked: true });
  vi.advanceTimersByTime(LINK_ANSWER_MS);
  expect(await first).toBeNull();
  expect(await third).toBeNull();
  const last = blocked.ask(null);
  blocked.linkGone();
  expect(await last).toBeNull();
});
