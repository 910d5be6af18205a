/** What a running connector prints: lines for people and for journals. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LinkLog } from "../../../src/connector/cli/state-log.ts";
import { OpenclawLog } from "../../../src/connector/cli/openclaw-log.ts";
import { Terminal } from "../../../src/connector/cli/terminal.ts";

let lines: string[];
let errors: string[];

beforeEach(() => {
  [lines, errors] = [[], []];
  vi.spyOn(console, "log").mockImplementation((text) => lines.push(String(text)));
  vi.spyOn(console, "error").mockImplementation((text) => errors.push(String(text)));
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** A terminal whose person answers when the test says so. */
class AskedTerminal extends Terminal {
  answer: (text: string) => void = () => undefined;

  protected override question(): Promise<string> {
    return new Promise((resolve) => {
      this.answer = resolve;
    });
  }
}

test("[MA8] a text line has time, level and the sentence", () => {
  const terminal = new Terminal({ json: false });
  terminal.log("info", "link", "Connected.");
  terminal.log("warn", "link", "Not connected.");
  expect(lines).toEqual([expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z INFO {2}Connected\.$/)]);
  expect(errors).toEqual([expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z WARN {2}Not connected\.$/)]);
});

test("[MA8] a JSON line has at, level, event and text", () => {
  const terminal = new Terminal({ json: false });
  terminal.logging = { isJson: true, from: "info" };
  terminal.log("error", "disk-full", "Full.", { fault: "disk-full" });
  expect(errors).toEqual([]);
  expect(JSON.parse(lines[0] ?? "")).toEqual({
    at: expect.stringMatching(/Z$/) as string,
    level: "error",
    event: "disk-full",
    text: "Full.",
    fault: "disk-full",
  });
});

test.each([
  ["debug", ["debug", "info", "warn", "error"]],
  ["info", ["info", "warn", "error"]],
  ["warn", ["warn", "error"]],
] as const)("[MA8] from %s on it prints %j", (from, expected) => {
  const terminal = new Terminal({ json: true });
  terminal.logging = { isJson: true, from };
  for (const level of ["debug", "info", "warn", "error"] as const) terminal.log(level, "x", "");
  expect(lines.map((line) => (JSON.parse(line) as { level: string }).level)).toEqual(expected);
});

test("[MA8] an outage is one line per cause; the tries are counted", () => {
  const said: (readonly [string, string])[] = [];
  let nowMs = 0;
  const log = new LinkLog({ log: (level, _event, text) => void said.push([level, text]) }, () => nowMs);
  log.status({ state: "up", clockAheadMs: null });
  for (const why of ["a refuses", "a refuses", "answered 502", "a refuses"]) {
    log.status({ state: "dialing" });
    log.status({ state: "waiting", ms: 1_500, why });
    nowMs += 20_000;
  }
  log.status({ state: "up", clockAheadMs: null });
  log.status({ state: "waiting", ms: 1_000, why: "a refuses" });
  log.status({ state: "up", clockAheadMs: -7_200_000 });
  expect(said.filter(([level]) => level !== "debug")).toEqual([
    ["info", "Connected."],
    ["warn", "Not connected: a refuses. It keeps trying, next in 1.5 s."],
    ["warn", "Not connected: answered 502. It keeps trying, next in 1.5 s."],
    ["info", "Connected after 1 min and 4 tries."],
    ["warn", "Not connected: a refuses. It keeps trying, next in 1.0 s."],
    ["warn", expect.stringContaining("This machine's clock is 2 hours behind the relay's.")],
  ]);
});

test("[MA8] OpenClaw that stays away is one line, with address and cure", () => {
  const said: string[] = [];
  const log = new OpenclawLog({ log: (level, _event, text) => void said.push(`${level} ${text}`) }, () => "127.0.0.1:18789");
  for (let tries = 0; tries < 3; tries += 1) log.report({ state: "offline", reason: "not-running" });
  log.report({ state: "online", version: "2026.9.6" });
  expect(said).toEqual([
    expect.stringMatching(/^warn OpenClaw at 127\.0\.0\.1:18789: offline \(not-running\)\. Cure: \S.*\.$/),
    "info OpenClaw 2026.9.6: online.",
  ]);
});

test("[MA9] nothing is printed over an open question", async () => {
  const terminal = new AskedTerminal({ json: false });
  const answered = terminal.confirm("Apply them now?");
  terminal.log("info", "link", "Connected.");
  terminal.say("x", "Said.");
  terminal.fail("y", "Failed.");
  expect([lines, errors]).toEqual([[], []]);
  terminal.answer("yes");
  expect(await answered).toBe(true);
  expect([lines, errors]).toEqual([[expect.stringContaining("Connected."), "Said."], ["Failed."]]);
});
