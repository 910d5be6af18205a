/** Builds by content: only what changed is built, beside the one before. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, realpathSync, utimesSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { beforeEach, expect, test } from "vitest";
import { buildOnce, contentHash } from "../../../scripts/build-cache.ts";

let root: string;

beforeEach(() => {
  root = mkdtempSync(path.join(os.tmpdir(), "gatehouse-builds-"));
  mkdirSync(path.join(root, "src/deep"), { recursive: true });
  writeFileSync(path.join(root, "src/deep/a.ts"), "a");
  writeFileSync(path.join(root, "package.json"), "{}");
});

const INPUTS = ["src", "package.json"];

function maker(text: string): (folder: string) => Promise<void> {
  return (folder) => {
    writeFileSync(path.join(folder, "program.js"), text);
    return Promise.resolve();
  };
}

function built(): string {
  return readFileSync(path.join(root, "dist/program.js"), "utf8");
}

test("the hash changes with content, name and place of a file, not with texts for people or time", async () => {
  const first = await contentHash(root, INPUTS);
  writeFileSync(path.join(root, "src/README.md"), "for people");
  utimesSync(path.join(root, "src/deep/a.ts"), 1, 1);
  expect(await contentHash(root, INPUTS)).toBe(first);
  writeFileSync(path.join(root, "src/deep/a.ts"), "b");
  const second = await contentHash(root, INPUTS);
  writeFileSync(path.join(root, "src/deep/a.ts"), "a");
  writeFileSync(path.join(root, "src/b.ts"), "");
  expect(new Set([first, second, await contentHash(root, INPUTS)]).size).toBe(3);
});

test("the same content is built once, and an earlier build comes back without being built", async () => {
  expect(await buildOnce(root, "1", maker("one"))).toBe(true);
  expect(await buildOnce(root, "1", maker("never"))).toBe(false);
  expect(built()).toBe("one");
  await buildOnce(root, "2", maker("two"));
  expect(built()).toBe("two");
  expect(await buildOnce(root, "1", maker("never"))).toBe(false);
  expect(built()).toBe("one");
});

test("a running program keeps the files of its own build", async () => {
  await buildOnce(root, "1", maker("one"));
  const running = realpathSync(path.join(root, "dist"));
  await buildOnce(root, "2", maker("two"));
  expect(readFileSync(path.join(running, "program.js"), "utf8")).toBe("one");
});

test("a build that fails changes nothing and leaves nothing", async () => {
  await buildOnce(root, "1", maker("one"));
  await expect(buildOnce(root, "2", () => Promise.reject(new Error("over its budget")))).rejects.toThrow("over its budget");
  expect([built(), readdirSync(path.join(root, ".builds"))]).toEqual(["one", ["1"]]);
});

test("two that build the same at once both have it", async () => {
  expect(await Promise.all([buildOnce(root, "1", maker("one")), buildOnce(root, "1", maker("one"))])).toHaveLength(2);
  expect([built(), readdirSync(path.join(root, ".builds"))]).toEqual(["one", ["1"]]);
});

test("builds that nobody can be reading go with the next one; the present one stays", async () => {
  await buildOnce(root, "1", maker("one"));
  await buildOnce(root, "2", maker("two"));
  for (const name of ["1", "2"]) utimesSync(path.join(root, ".builds", name), 1, 1);
  await buildOnce(root, "3", maker("three"));
  expect(readdirSync(path.join(root, ".builds")).toSorted()).toEqual(["2", "3"]);
});

test("a folder in the link's place gives way", async () => {
  mkdirSync(path.join(root, "dist"));
  writeFileSync(path.join(root, "dist/old.js"), "");
  await buildOnce(root, "1", maker("one"));
  expect([built(), existsSync(path.join(root, "dist/old.js"))]).toEqual(["one", false]);
});
