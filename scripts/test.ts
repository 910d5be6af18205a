/** `npm test`: everything that CI runs, in order; ends with the sum of what really ran. Nothing is skipped silently. */
import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { MIN_OPENCLAW_VERSION } from "../src/protocol/version.ts";
import { chromiumPath } from "../test/support/browser.ts";
import { buildAll } from "./build.ts";
import { node24, root, start } from "./children.ts";
import { quietEnv } from "./control-plane.ts";
import { OPENCLAW_VERSION, installOpenclaw } from "./real-openclaw.ts";

/** What also runs on the oldest release that may be served; everything runs on the pinned one. */
const ON_THE_MINIMUM = ["test/e2e/gateway-probes.test.ts", "test/e2e/journey.test.ts"];

interface Suite {
  readonly name: string;
  readonly project: string;
  readonly files?: readonly string[];
  readonly openclaw?: string;
}

const SUITES: readonly Suite[] = [
  ...["unit", "simulator", "worker", "e2e"].map((project) => ({ name: project, project })),
  { name: `e2e on OpenClaw ${MIN_OPENCLAW_VERSION}`, project: "e2e", files: ON_THE_MINIMUM, openclaw: MIN_OPENCLAW_VERSION },
];

const bin = (name: string): string => path.join(root, "node_modules", name);

async function step(title: string, args: readonly string[], env: NodeJS.ProcessEnv = quietEnv()): Promise<number> {
  process.stdout.write(`\n== ${title}\n`);
  const child = start({ args, stdio: "inherit", env });
  return new Promise((resolve) => child.process.once("close", (code) => resolve(code ?? 1)));
}

async function main(): Promise<number> {
  const startedAt = Date.now();
  process.stdout.write(`Chromium: ${chromiumPath()}\nNode: ${process.version}\n`);
  let bad = 0;
  bad += await step("Types", [path.join(root, "scripts/check-types.ts")]);
  bad += await step("Lint", [bin("oxlint/bin/oxlint"), "--type-aware"]);
  bad += await step("Format", [bin("prettier/bin/prettier.cjs"), "--check", "--log-level", "warn", "."]);
  process.stdout.write("\n== Build\n");
  await buildAll();
  for (const version of new Set([OPENCLAW_VERSION, MIN_OPENCLAW_VERSION]))
    await installOpenclaw((line) => process.stdout.write(`${line}\n`), version);
  let passed = 0;
  let failed = 0;
  for (const { name, project, files = [], openclaw } of SUITES) {
    const file = path.join(root, "test-results", `${name.replaceAll(" ", "-")}.json`);
    rmSync(file, { force: true });
    const env = { ...quietEnv(), ...(openclaw === undefined ? {} : { GATEHOUSE_OPENCLAW_VERSION: openclaw }) };
    const args = [
      bin("vitest/vitest.mjs"),
      "run",
      "--project",
      project,
      "--reporter",
      "default",
      "--reporter",
      "json",
      "--outputFile.json",
      file,
      ...files,
    ];
    const code = await step(`Tests: ${name}`, args, env);
    if (code !== 0) bad += 1;
    const result = JSON.parse(readFileSync(file, "utf8")) as {
      numPassedTests: number;
      numFailedTests: number;
      numPendingTests: number;
      numTodoTests: number;
    };
    passed += result.numPassedTests;
    failed += result.numFailedTests;
    if (result.numPassedTests === 0 || result.numPendingTests + result.numTodoTests > 0) {
      process.stdout.write(`${name}: tests that did not run count as failed.\n`);
      bad += 1;
    }
  }
  // Ratios of one run, no times: what it holds the data path to is in test/bench/ratios.ts.
  bad += await step("Regression gate", [path.join(root, "test/bench/gate.ts")]);
  process.stdout.write(`\nTook ${Math.round((Date.now() - startedAt) / 1000)} s with ${path.basename(node24)} ${process.version}.\n`);
  if (bad > 0 && failed === 0) failed = bad;
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.stdout.write("0 passed, 1 failed\n");
  process.exitCode = 1;
}
