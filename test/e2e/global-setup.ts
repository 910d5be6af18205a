/** Builds what changed and migrates once, and afterwards reads what every process printed. */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { buildAll } from "../../scripts/build.ts";
import { migrate } from "../../scripts/control-plane.ts";
import { ON_A_TERMINAL, leaksIn } from "../support/secrets.ts";
import { MIGRATED } from "../support/stack.ts";

let recorded: string;
let migrated: string;

export async function setup(): Promise<void> {
  recorded = mkdtempSync(path.join(os.tmpdir(), "gatehouse-output-"));
  process.env["GATEHOUSE_RECORD_OUTPUT"] = recorded;
  await buildAll();
  migrated = mkdtempSync(path.join(os.tmpdir(), "gatehouse-migrated-"));
  await migrate(migrated);
  process.env[MIGRATED] = migrated;
}

/** [case 44] No process of the whole suite may print a secret. */
export function teardown(): void {
  rmSync(migrated, { recursive: true, force: true });
  const leaks: string[] = [];
  const files = readdirSync(recorded);
  for (const name of files)
    for (const line of leaksIn(readFileSync(path.join(recorded, name), "utf8").split("\n"), ON_A_TERMINAL)) leaks.push(`${name}: ${line}`);
  rmSync(recorded, { recursive: true, force: true });
  if (leaks.length > 0) throw new Error(`[case 44] secrets were printed:\n${leaks.join("\n")}`);
  process.stdout.write(`[case 44] no secret in the output of ${files.length} processes\n`);
}
