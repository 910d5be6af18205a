/** The checker of the process faults, against histories that were falsified on purpose: what it cannot see it cannot prove. */
import { expect, test } from "vitest";
import { Recorder, violations } from "../support/history.ts";
import type { History, HistoryLine } from "../support/history.ts";

/** Three messages up, of which two arrived, and both ends closed. */
function whole(): Recorder {
  const history = new Recorder();
  const messages = ["one", "two", "three"].map((text) => Buffer.from(text));
  for (const message of messages) history.add({ stream: "a", direction: "up", what: "sent" }, message, true);
  for (const message of messages.slice(0, 2)) history.add({ stream: "a", direction: "up", what: "received" }, message, true);
  history.ended({ stream: "a", end: "device", code: 4502, reason: "room-connector: connection lost" });
  history.ended({ stream: "a", end: "gateway", code: 1001, reason: "room-connector: connection lost" });
  return history;
}

function received(messages: readonly (readonly [string, boolean])[]): Recorder {
  const history = new Recorder();
  for (const text of ["one", "two", "three"]) history.add({ stream: "a", direction: "down", what: "sent" }, Buffer.from(text), true);
  for (const [text, isText] of messages) history.add({ stream: "a", direction: "down", what: "received" }, Buffer.from(text), isText);
  return history;
}

test("an exact prefix with a close at both ends holds", () => {
  expect(violations(whole(), ["a"])).toEqual([]);
});

test.each([
  ["a gap", [["two", true]]],
  [
    "a double",
    [
      ["one", true],
      ["one", true],
    ],
  ],
  [
    "another order",
    [
      ["two", true],
      ["one", true],
    ],
  ],
  ["another kind", [["one", false]]],
  ["two messages run together", [["onetwo", true]]],
  ["a changed byte", [["ond", true]]],
  [
    "more than was sent",
    [
      ["one", true],
      ["two", true],
      ["three", true],
      ["four", true],
    ],
  ],
] as const)("%s is seen", (_what, messages) => {
  // prettier-ignore
  expect(violations(received(messages), [])).not.toEqual([]);
  expect(violations(received([["one", true], ["two", true]]), [])).toEqual([]); // prettier-ignore
});

test.each<[string, (history: Recorder) => History]>([
  ["no end at the gateway", (history) => ({ ...copy(history), endings: history.endings.filter(({ end }) => end === "device") })],
  ["two ends at the device", (history) => ({ ...copy(history), endings: [...history.endings, ...history.endings] })],
  ["an end without a close", (history) => ({ ...copy(history), endings: history.endings.map((each) => ({ ...each, code: 1006 })) })],
  ["an end without a reason", (history) => ({ ...copy(history), endings: history.endings.map((each) => ({ ...each, reason: "" })) })],
  ["a line that is missing", (history) => ({ ...copy(history), lines: history.lines.filter(({ n, what }) => n !== 1 || what === "sent") })],
])("%s is seen", (_what, falsify) => {
  expect(violations(falsify(whole()), ["a"])).not.toEqual([]);
});

test("a message after the close is seen; an end whose own connection was broken may end without a word, the other may not", () => {
  const history = whole();
  history.add({ stream: "a", direction: "up", what: "received" }, Buffer.from("three"), true);
  expect(violations(history, ["a"])).toEqual(["a up: a message after the close"]);
  const lost = copy(whole());
  const broken = { ...lost, endings: lost.endings.map((each) => (each.end === "device" ? { ...each, code: 1006, reason: "" } : each)) };
  expect(violations(broken, ["a"], ["device"])).toEqual([]);
  expect(violations(broken, ["a"], ["gateway"])).toHaveLength(1);
});

function copy(history: Recorder): History & { readonly lines: readonly HistoryLine[] } {
  return { lines: history.lines, endings: history.endings, late: history.late };
}
