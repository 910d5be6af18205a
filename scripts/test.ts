/** `npm test`: everything that CI runs, in two lanes side by side; ends with the sum of what really ran. Nothing is skipped silently. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { MIN_OPENCLAW_VERSION } from "../src/protocol/version.ts";
import { chromiumPath } from "../test/support/browser.ts";
import { buildAll } from "./build.ts";
import { node24, root, start } from "./children.ts";
import { quietEnv } from "./control-plane.ts";
import { OPENCLAW_VERSION, installOpenclaw } from "./real-openclaw.ts";

/** What also runs on the oldest release that may be served; everything runs on the pinned one. */
const ON_THE_MINIMUM = ["test/e2e/gateway-probes.test.ts", "test/e2e/journey.test.ts"];

interface Step {
  readonly title: string;
  readonly args: readonly string[];
  /** Where a suite's sums are; a step without one counts as a check. */
  readonly report?: string;
  readonly openclaw?: string;
}

interface Sum {
  readonly passed: number;
  readonly failed: number;
}

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
}

const bin = (name: string): string => path.join(root, "node_modules", name);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

function suite(project: string, files: readonly string[] = [], openclaw?: string): Step {
  const title = openclaw === undefined ? project : `${project} on OpenClaw ${openclaw}`;
  const report = path.join(root, "test-results", `${title.replaceAll(" ", "-")}.json`);
  const reporters = ["--reporter", "default", "--reporter", "json", "--outputFile.json", report];
  const args = [bin("vitest/vitest.mjs"), "run", "--project", project, ...reporters, ...files];
  return { title, args, report, ...(openclaw === undefined ? {} : { openclaw }) };
}

/** Mostly waits, for browsers and gateways; the other lane computes meanwhile. */
const WAITING: readonly Step[] = [suite("e2e"), suite("e2e", ON_THE_MINIMUM, MIN_OPENCLAW_VERSION)];
const COMPUTING: readonly Step[] = [
  { title: "types", args: [path.join(root, "scripts/check-types.ts")] },
  { title: "lint", args: [bin("oxlint/bin/oxlint"), "--type-aware"] },
  { title: "format", args: [bin("prettier/bin/prettier.cjs"), "--check", "--log-level", "warn", "."] },
  suite("unit"),
  suite("worker"),
  suite("simulator"),
];
/** Ratios of one run, so it has the machine to itself: what it holds the data path to is in test/bench/ratios.ts. */
const ALONE: readonly Step[] = [{ title: "regression gate", args: [path.join(root, "test/bench/gate.ts")] }];

/** @returns what a step proved; a suite of which something did not run has failed */
function sumOf({ title, report }: Step, code: number | null): Sum {
  if (report === undefined) return { passed: 0, failed: code === 0 ? 0 : 1 };
  if (!existsSync(report)) {
    say(`${title}: did not run.`);
    return { passed: 0, failed: 1 };
  }
  const result = JSON.parse(readFileSync(report, "utf8")) as Report;
  const left = result.numPendingTests + result.numTodoTests;
  if (left > 0 || result.numPassedTests === 0) say(`${title}: tests that did not run count as failed.`);
  const failed = result.numFailedTests + (result.numPassedTests === 0 ? 1 : left);
  return { passed: result.numPassedTests, failed: failed === 0 && code !== 0 ? 1 : failed };
}

/** Runs one step after the other, and says before each of its lines whose it is. */
async function lane(steps: readonly Step[]): Promise<Sum> {
  let sum: Sum = { passed: 0, failed: 0 };
  for (const step of steps) {
    const startedAt = Date.now();
    say(`\n== ${step.title}`);
    if (step.report !== undefined) rmSync(step.report, { force: true });
    const env = { ...quietEnv(), ...(step.openclaw === undefined ? {} : { GATEHOUSE_OPENCLAW_VERSION: step.openclaw }) };
    const code = await start({ args: step.args, env, onLine: (line) => say(`${step.title} | ${line}`) }).ended();
    const { passed, failed } = sumOf(step, code);
    sum = { passed: sum.passed + passed, failed: sum.failed + failed };
    say(`== ${step.title}: ${failed === 0 ? "passed" : `${failed} FAILED`} after ${Math.round((Date.now() - startedAt) / 1000)} s`);
  }
  return sum;
}

async function main(): Promise<number> {
  const startedAt = Date.now();
  say(`Chromium: ${chromiumPath()}\nNode: ${process.version}\n\n== build`);
  await buildAll();
  for (const version of new Set([OPENCLAW_VERSION, MIN_OPENCLAW_VERSION])) await installOpenclaw(say, version);
  const sums = [...(await Promise.all([lane(WAITING), lane(COMPUTING)])), await lane(ALONE)];
  const passed = sums.reduce((sum, each) => sum + each.passed, 0);
  const failed = sums.reduce((sum, each) => sum + each.failed, 0);
  say(`\nTook ${Math.round((Date.now() - startedAt) / 1000)} s with ${path.basename(node24)} ${process.version}.`);
  say(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\nNo test ran.\n`);
  process.stdout.write("0 passed, 1 failed\n");
  process.exitCode = 1;
}
