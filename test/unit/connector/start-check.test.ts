import { readFileSync } from "node:fs";
import path from "node:path";
import { buildSync } from "esbuild";
import { expect, test } from "vitest";
import { startProblem } from "../../../src/connector/start-check.ts";

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
