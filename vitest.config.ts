import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

const migrations = await readD1Migrations(path.join(import.meta.dirname, "migrations"));

/** As scripts/build.ts defines it for the Worker. */
const NEWEST_MIGRATION = JSON.stringify(migrations.at(-1)?.name);

const GATEHOUSE_SECRET = "dGVzdC1zZWNyZXQtZm9yLXdvcmtlcmQtdGVzdHMtMDA";
// wrangler.toml requires it, and wrangler looks here for it.
process.env["GATEHOUSE_SECRET"] ??= GATEHOUSE_SECRET;

/** Ends what hangs. No test measures time, and a busy machine is slow: the runner's own 5 s would. */
const HANGS_MS = 60_000;
/** The same for what is asked until it is true: the runner's own 1 s would. */
const POLLS = { poll: { timeout: HANGS_MS / 2 } };

// Every folder that a test, workerd or Chromium makes lies in one and is gone with it: the thousands of a run would stay on the machine.
// This file is read more than once in a run.
if (!path.basename(os.tmpdir()).startsWith("gatehouse-tests-")) {
  const temporary = mkdtempSync(path.join(realpathSync(os.tmpdir()), "gatehouse-tests-"));
  process.env["TMPDIR"] = temporary;
  process.on("exit", () => rmSync(temporary, { recursive: true, force: true, maxRetries: 3 }));
}

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          // A module registry of its own for each file is most of the time that such a file takes; setup.ts fails what a file leaves behind.
          isolate: false,
          include: ["test/unit/**/*.test.ts"],
          setupFiles: ["./test/unit/setup.ts"],
          testTimeout: HANGS_MS,
          expect: POLLS,
        },
      },
      { test: { name: "simulator", include: ["test/simulator/**/*.test.ts"], testTimeout: 600_000, expect: POLLS } },
      {
        define: { NEWEST_MIGRATION },
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              // Every request has its line, so that the suite's net for secrets sees them all.
              bindings: { TEST_MIGRATIONS: migrations, GATEHOUSE_SECRET, LOG_SAMPLE: "1" },
            },
          }),
        ],
        test: {
          name: "worker",
          isolate: false,
          include: ["test/worker/**/*.test.ts"],
          setupFiles: ["./test/worker/setup.ts"],
          testTimeout: HANGS_MS,
          expect: POLLS,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          globalSetup: ["./test/e2e/global-setup.ts"],
          // Some walk through a dozen states, each of which is looked at in light and dark.
          testTimeout: 300_000,
          hookTimeout: 300_000,
          expect: { poll: { timeout: HANGS_MS } },
          fileParallelism: false,
        },
      },
    ],
  },
});
