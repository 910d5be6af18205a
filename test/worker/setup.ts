/** Applies the migrations to each file's own D1, and reads along what is logged: no test of the suite may make the Worker print a secret. */
import { applyD1Migrations } from "cloudflare:test";
import type { D1Migration } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, afterEach, expect } from "vitest";
import { expectCleanGlobals } from "../support/clean-globals.ts";
import { logId } from "../../src/worker/log-id.ts";
import type { Env } from "../../src/worker/env.ts";
import { unexpectedFailures } from "./expected-failures.ts";
import { IN_A_LOG, leaksIn } from "../support/secrets.ts";

const { DB, TEST_MIGRATIONS } = env as unknown as { DB: D1Database; TEST_MIGRATIONS: D1Migration[] };
await applyD1Migrations(DB, TEST_MIGRATIONS);

const logged: string[] = [];
const METHODS = ["log", "info", "warn", "error", "debug"] as const;
const original = METHODS.map((method) => console[method]);
for (const method of METHODS) {
  const print = console[method].bind(console);
  console[method] = (...values: unknown[]): void => {
    const line = values.map((value) => (typeof value === "string" ? value : JSON.stringify(value))).join(" ");
    logged.push(line);
    // A line for each request of the suite would bury what is worth reading.
    if (!line.startsWith('{"event":"request"')) print(...values);
  };
}

afterEach(async () => {
  // A line waits for its gateway's short name: the same work here ends after it.
  await logId(env as unknown as Env, "drained");
  const lines = logged.splice(0);
  expect(leaksIn(lines, IN_A_LOG)).toEqual([]);
  expect(unexpectedFailures(lines)).toEqual([]);
});

afterAll(() => {
  for (const [index, method] of METHODS.entries()) console[method] = original[index] ?? console[method];
});
expectCleanGlobals();
