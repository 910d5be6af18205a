import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { buildSync } from "esbuild";
import { expect, test } from "vitest";
import { startProblem } from "../../../src/connector/cli/start-check.ts";

const root = path.resolve(import.meta.dirname, "../../..");

test.each([
  ["18.20.4", "linux", "needs Node 22.19 or newer. This is Node 18.20.4."],
  ["20.19.0", "linux", "needs Node 22.19 or newer."],
  ["22.18.9", "darwin", "needs Node 22.19 or newer."],
  ["22.19.0", "linux", null],
  ["24.0.0", "darwin", null],
  ["24.0.0", "win32", "inside WSL"],
])("[CLI10] Node %s on %s", (version, platform, text) => {
  expect(startProblem(version, platform)).toEqual(text === null ? null : expect.stringContaining(text));
});

test.each([
  ["18.20.4", [], { status: 1, stdout: "", stderr: expect.stringContaining("needs Node 22.19 or newer") as string }],
  ["18.20.4", ["--json"], { status: 1, stdout: expect.stringContaining('"event":"system"') as string, stderr: "" }],
  ["24.0.0", [], { status: 0, stdout: "loaded\n", stderr: "" }],
])("[CLI10] Node %s with %j loads the program or says why not", (version, args, outcome) => {
  const dir = mkdtempSync(path.join(os.tmpdir(), "gatehouse-start-"));
  const entry = path.join(dir, "gatehouse.mjs");
  buildSync({
    entryPoints: [path.join(root, "src/connector/entry.ts")],
    bundle: true,
    format: "esm",
    define: { "process.versions.node": JSON.stringify(version), "process.platform": '"linux"' },
    outfile: entry,
  });
  writeFileSync(path.join(dir, "connector.mjs"), 'console.log("loaded");');
  expect(spawnSync(process.execPath, [entry, ...args], { encoding: "utf8" })).toMatchObject(outcome);
});

test("[CLI10] what is started imports nothing before it has looked, in syntax that old Nodes read", () => {
  const { outputFiles } = buildSync({
    entryPoints: [path.join(root, "src/connector/entry.ts")],
    bundle: true,
    format: "esm",
    target: "node12.22",
    write: false,
  });
  const text = outputFiles[0]?.text ?? "";
  expect(text).toMatch(/import\(PROGRAM\)/);
  expect(text).not.toMatch(/^import |\?\.|\?\?/m);
  expect(readFileSync(path.join(root, "scripts/build.ts"), "utf8")).toContain('engines: { node: ">=22.19" }');
});
