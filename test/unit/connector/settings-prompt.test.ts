/** `npm start` asks for OpenClaw's settings in its own terminal, and hands the answer to the connector beside it. */
import { mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { connectorLines } from "../../../scripts/connector-lines.ts";
import { SettingsPrompt } from "../../../scripts/settings-prompt.ts";
import type { SettingsEvent } from "../../../scripts/settings-prompt.ts";
import { listenLocally } from "../../../src/connector/trust/local-control.ts";
import { Terminal } from "../../../src/connector/cli/terminal.ts";
import { Arrivals } from "../../support/arrivals.ts";

const HASH = "h".repeat(43);
const NEEDED: SettingsEvent = {
  event: "settings-needed",
  hash: HASH,
  lines: [{ path: "gateway.trustedProxies", change: "add", value: '"::1"' }],
  asked: true,
  page: "http://localhost:8787/gateways/x",
};

interface Question {
  readonly signal: AbortSignal | undefined;
  readonly say: (yes: boolean) => void;
}

let local: ReturnType<typeof listenLocally>;
let answers: Arrivals<{ readonly hash: string; readonly yes: boolean }>;
let questions: Arrivals<Question>;
let said: string[];
let prompt: SettingsPrompt;
let isInteractive: boolean;

beforeEach(async () => {
  const dir = mkdtempSync(path.join(os.tmpdir(), "gatehouse-prompt-"));
  [answers, questions, said, isInteractive] = [new Arrivals(), new Arrivals(), [], true];
  const never = (): Promise<never> => Promise.reject(new Error("nobody asks for this"));
  local = listenLocally(dir, {
    status: () => ({}),
    view: () => Promise.resolve({}),
    hops: never,
    blocked: () => Promise.reject(new Error("nobody asks for this")),
    cut: never,
    host: never,
    rotateSecret: () => Promise.reject(new Error("nobody asks for this")),
    answerSettings: (hash, yes) => {
      answers.put({ hash, yes });
      return Promise.resolve({ outcome: "done" });
    },
  });
  await local.ready;
  prompt = new SettingsPrompt(dir, {
    get isInteractive() {
      return isInteractive;
    },
    say: (_event, text) => void said.push(text),
    fail: (_event, text) => void said.push(text),
    confirm: (_question, signal) => new Promise((say) => questions.put({ signal, say })),
  });
});

afterEach(() => local.close());

test.each([true, false])("[SA5] the diff is shown, and the answer (%s) goes to the connector", async (yes) => {
  prompt.take(NEEDED);
  expect(said[0]).toBe('OpenClaw needs these settings:\n+ gateway.trustedProxies: "::1"');
  (await questions.next()).say(yes);
  expect(await answers.next()).toEqual({ hash: HASH, yes });
});

test("[SA5] answered elsewhere: the question is taken back, and a late answer goes nowhere", async () => {
  prompt.take(NEEDED);
  const first = await questions.next();
  prompt.take({ event: "settings-over" });
  expect(first.signal?.aborted).toBe(true);
  first.say(true);
  prompt.take(NEEDED);
  (await questions.next()).say(false);
  expect(await answers.next()).toEqual({ hash: HASH, yes: false });
  expect(answers.count).toBe(0);
});

test("[SA5] without a person at the terminal, or after --yes, nobody is asked", () => {
  prompt.take({ ...NEEDED, asked: false });
  isInteractive = false;
  prompt.take(NEEDED);
  expect([questions.count, said.at(-1)]).toEqual([0, expect.stringContaining("Apply them on the gateway's page: http://localhost:8787/gateways/x")]); // prettier-ignore
});

test("[SA5] nothing is printed over the open question: a state line comes after the answer", async () => {
  const answered = Promise.withResolvers<string>();
  class Asked extends Terminal {
    override readonly isInteractive = true;
    protected override question(): Promise<string> {
      return answered.promise;
    }
  }
  const terminal = new Asked({ json: false });
  const printed = vi.spyOn(console, "log").mockImplementation(() => undefined);
  try {
    const asking = new SettingsPrompt(mkdtempSync(path.join(os.tmpdir(), "gatehouse-prompt-")), terminal);
    const take = connectorLines((line) => terminal.print("start", line, {}), asking);
    take(JSON.stringify(NEEDED));
    const before = printed.mock.calls.length;
    take(JSON.stringify({ event: "openclaw", report: { state: "unsafe", reason: "settings-missing", version: "2026.9.6" } }));
    expect(printed.mock.calls.length).toBe(before);
    answered.resolve("n");
    await expect.poll(() => printed.mock.calls.flat()).toContain("Gateway 2026.9.6: unsafe (settings-missing)");
  } finally {
    printed.mockRestore();
  }
});
