/** `npm run compat -- <version>…`: both start-up probes and the main journey on other releases of OpenClaw, one at a time, and a table. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { MIN_OPENCLAW_VERSION } from "../src/protocol/version.ts";
import { root, start } from "./children.ts";
import { quietEnv } from "./control-plane.ts";
import { installOpenclaw, openclawFolder, openclawVersion } from "./real-openclaw.ts";

const HELP = `npm run compat -- <version>…

Runs both start-up probes and, where they pass, the main journey on each release of OpenClaw, with the stock page in a real browser.
A word such as latest or beta is looked up. One release is installed at a time (up to 900 MB) and deleted afterwards, unless it was there before.`;

const FILES = { probes: "test/e2e/gateway-probes.test.ts", journey: "test/e2e/journey.test.ts" } as const;
type Part = keyof typeof FILES;

/** The first thing of a part that failed, or null: it passed. */
type Problem = string | null;

export interface Proof {
  readonly probes: boolean;
  /** Null: not run, as a probe failed. */
  readonly journey: boolean | null;
  readonly problem: Problem;
}

export interface Tools {
  /** @returns whether the release is on this machine already */
  isInstalled(version: string): boolean;
  install(version: string): Promise<void>;
  remove(version: string): Promise<void>;
  prove(version: string, part: Part): Promise<Problem>;
}

export interface Row {
  readonly version: string;
  /** Null when it could not be installed. */
  readonly proof: Proof | null;
}

/**
 * Proves one release after the other. At most one that was not there before is on the disk.
 *
 * @returns a row for each; throws what `prove` and `remove` throw, after the release is deleted
 */
export async function proveAll(versions: readonly string[], tools: Tools): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const version of versions) {
    const isOurs = !tools.isInstalled(version);
    try {
      const isThere = !isOurs || (await tools.install(version).then(() => true, () => false)); // prettier-ignore
      rows.push({ version, proof: isThere ? await proofOf(version, tools) : null });
    } finally {
      if (isOurs) await tools.remove(version);
    }
  }
  return rows;
}

/** A release whose probes fail lets nobody in: its journey would wait for every step in vain. */
async function proofOf(version: string, tools: Tools): Promise<Proof> {
  const refusal = await tools.prove(version, "probes");
  if (refusal !== null) return { probes: false, journey: null, problem: refusal };
  const problem = await tools.prove(version, "journey");
  return { probes: true, journey: problem === null, problem };
}

/** @returns the rows as a table for people */
export function table(rows: readonly Row[]): string {
  const word = (isGood: boolean | null | undefined): string => (typeof isGood === "boolean" ? (isGood ? "pass" : "FAIL") : "-");
  const cells = [
    ["release", "probes", "journey", "first problem"],
    ...rows.map(({ version, proof }) => [
      version,
      word(proof?.probes),
      word(proof?.journey),
      proof === null ? "could not be installed" : (proof.problem ?? ""),
    ]),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => (row[column] ?? "").length)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages?: readonly string[];
    }[];
  }[];
}

async function prove(version: string, part: Part): Promise<Problem> {
  const file = path.join(root, "test-results/compat.json");
  await rm(file, { force: true });
  const runner = path.join(root, "node_modules/vitest/vitest.mjs");
  const reporters = ["--reporter", "default", "--reporter", "json", "--outputFile.json", file];
  const env = { ...quietEnv(), GATEHOUSE_OPENCLAW_VERSION: version };
  const child = start({ args: [runner, "run", "--project", "e2e", ...reporters, FILES[part]], stdio: "inherit", env });
  const code = await child.ended();
  if (!existsSync(file)) return "the tests did not run";
  const { testResults } = JSON.parse(readFileSync(file, "utf8")) as Report;
  if (code === 0 && testResults.length > 0 && testResults.every(({ status }) => status === "passed")) return null;
  const failed = testResults.flatMap((each) => each.assertionResults).find((each) => each.status === "failed");
  return failed === undefined ? "the tests did not run" : `${failed.fullName}: ${failed.failureMessages?.[0]?.split("\n", 1)[0] ?? ""}`;
}

/** @returns the release that a word such as `latest` means */
async function release(word: string): Promise<string> {
  if (/^\d/.test(word)) return openclawVersion({ GATEHOUSE_OPENCLAW_VERSION: word });
  if (!/^[a-z]{1,20}$/.test(word)) throw new Error(`"${word}" names no release.`);
  const { stdout } = await promisify(execFile)("npm", ["view", `openclaw@${word}`, "version"]);
  return openclawVersion({ GATEHOUSE_OPENCLAW_VERSION: stdout.trim() });
}

async function main(words: readonly string[]): Promise<number> {
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  if (words.length === 0 || words.includes("--help")) {
    say(HELP);
    return words.length === 0 ? 2 : 0;
  }
  const versions: string[] = [];
  for (const word of words) {
    const version = await release(word);
    versions.push(version);
    if (version !== word) say(`OpenClaw ${word} is ${version}; this project is proved on ${openclawVersion({})}.`);
  }
  let installing: string | null = null;
  // What an interrupted run leaves is hundreds of megabytes.
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => {
      const over = (): never => process.exit(1);
      if (installing === null) over();
      else rm(openclawFolder(installing), { recursive: true, force: true }).then(over, over);
    });
  const rows = await proveAll(versions, {
    isInstalled: (version) => existsSync(openclawFolder(version)),
    install: async (version) => {
      installing = version;
      await installOpenclaw(say, version);
    },
    remove: async (version) => {
      await rm(openclawFolder(version), { recursive: true, force: true });
      installing = null;
    },
    prove,
  });
  say(`\n${table(rows)}\n\nThe oldest release that is known to pass is ${MIN_OPENCLAW_VERSION}.`);
  return rows.every(({ proof }) => proof?.journey === true) ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : "Something went wrong."}\n`);
  return 2;
}); // prettier-ignore
