/** One logger with named fields, and a net that finds what slips past it. */
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { TOKEN_RANDOM_BYTES, writeToken } from "../../src/core/trust/token.ts";
import { toBase64url } from "../../src/protocol/statement-encoding.ts";
import { ACCOUNT_COOKIE, DEVICE_TOKEN_COOKIE, SESSION_COOKIE } from "../../src/protocol/words.ts";
import { log } from "../../src/worker/log.ts";
import { IN_A_LOG, ON_A_TERMINAL, leaksIn } from "../support/secrets.ts";
import { canary } from "../support/stack.ts";

const source = path.resolve(import.meta.dirname, "../../src");

afterEach(() => {
  vi.restoreAllMocks();
});

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => path.relative(source, path.join(entry.parentPath, entry.name)));
}

test("[case 44] one place prints in the Worker, one in the connector; no page of ours prints at all", () => {
  const printing = sources(source).filter((file) =>
    /\bconsole\s*[.[]|\bprocess\.(stdout|stderr)\.write|\bwriteDataPoint\b/.test(readFileSync(path.join(source, file), "utf8")),
  );
  expect(printing.toSorted()).toEqual(["connector/cli/terminal.ts", "connector/entry.ts", "demo/main.ts", "worker/log.ts"]);
});

test("[case 44] the Worker's logger writes its named fields and drops everything else that somebody hands it", () => {
  const printed: unknown[] = [];
  vi.spyOn(console, "log").mockImplementation((line: unknown) => void printed.push(line));
  const secret = writeToken("a", crypto.getRandomValues(new Uint8Array(TOKEN_RANDOM_BYTES)));
  const entry = { event: "request", route: "GET /x", status: 500, ms: 3, decision: "internal", gateway: "abcdefgh", account: "ijklmnop", code: "Error" } as const; // prettier-ignore
  log({ ...entry, token: secret, request: new Request("http://x/") } as never);
  expect(printed).toEqual([JSON.stringify(entry)]);
});

const random = (bytes: number): Uint8Array<ArrayBuffer> => crypto.getRandomValues(new Uint8Array(bytes));

test("[case 44] the net catches every kind of secret that we make, wherever in a line it stands", () => {
  const tokens = (["a", "c", "d", "i", "o"] as const).map((kind) => writeToken(kind, random(TOKEN_RANDOM_BYTES)));
  const cookies = [ACCOUNT_COOKIE, SESSION_COOKIE, DEVICE_TOKEN_COOKIE].map((name) => `cookie: x=1; ${name}=abc`);
  for (const secret of [...tokens, ...cookies]) {
    const line = `{"kind":"Error: ${secret}"}`;
    expect(leaksIn(["fine", line], IN_A_LOG)).toEqual([line]);
    expect(leaksIn(["fine", line], ON_A_TERMINAL)).toEqual([line]);
  }
  for (const bytes of [32, 64]) expect(leaksIn([`mac ${toBase64url(random(bytes))}`], IN_A_LOG)).toHaveLength(1);
  for (const line of [`secret ${canary()}`, "Authorization: Bearer x"]) expect(leaksIn([line], ON_A_TERMINAL)).toEqual([line]);
});

test("[case 44] the net lets pass what a log is for", () => {
  const lines = [
    '{"event":"request","route":"POST /api/gateways/:gateway/devices/:device/cut","status":500,"ms":12,"decision":"internal","gateway":"q-_3dG0x","code":"TypeError"}',
    "[wrangler] Ready",
  ];
  expect([leaksIn(lines, IN_A_LOG), leaksIn(lines, ON_A_TERMINAL)]).toEqual([[], []]);
});
