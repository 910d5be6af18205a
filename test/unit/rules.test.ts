/** PROTOCOL.md's numbered rules and the titles of the tests name each other: no rule without a proof, no proof of a rule that is gone. */
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";

const root = path.resolve(import.meta.dirname, "../..");

function testFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    return entry.isDirectory() ? testFiles(full) : entry.name.endsWith(".test.ts") ? [full] : [];
  });
}

/** Titles as they are written: the text right after `test(`, or after the `)(` of a parametrised one. */
function titlesOf(text: string): string[] {
  const calls = /(?:\btest(?:\.\w+)*|\))\(\s*(["'`])((?:\\.|(?!\1)[^\\])*)\1/gs;
  return [...text.matchAll(calls)].map((match) => match[2] ?? "");
}

const RULE = /^(?:FR|ST|IS|CR|HD|GP|EC|R|OC|LINK|ID|MC|OS|GR|KL|LP|AU|RQ|SE|TK|CUT|DR|PG|NT|PE|AT|BU|OB|MA|CLI|SF|OP|AB|SA|EN|BL|EA)\d+$/;
const protocol = readFileSync(path.join(root, "src/protocol/PROTOCOL.md"), "utf8");
const rules = [...new Set([...protocol.matchAll(/\*\*([A-Z]+\d+)\*\*/g)].map((match) => match[1] ?? ""))];
const others = testFiles(path.join(root, "test")).filter((file) => file !== import.meta.filename);
const titles = others.flatMap((file) => titlesOf(readFileSync(file, "utf8")).map((title) => ({ title, file: path.relative(root, file) })));
const marks = titles.flatMap(({ title, file }) => [...title.matchAll(/\[([^\]]+)\]/g)].map((match) => ({ mark: match[1] ?? "", file })));

test("there are rules and titles to compare, and every bold mark of the page is a rule", () => {
  expect(rules.length).toBeGreaterThan(40);
  expect(titles.length).toBeGreaterThan(150);
  expect(rules.filter((rule) => !RULE.test(rule))).toEqual([]);
});

test.each(rules)("a test's title names %s", (rule) => {
  expect(marks.some(({ mark }) => mark === rule)).toBe(true);
});

test("every mark in a title is a rule of the page, or the number of a fault case", () => {
  const unknown = marks.filter(({ mark }) => !rules.includes(mark) && !/^case ([1-9]|[1-4]\d|50)$/.test(mark));
  expect(unknown).toEqual([]);
});

test("the reading of titles finds plain, multi-line and parametrised ones", () => {
  const text =
    'test("[A1] one", () => 1);\ntest.each(\n  list.map((x) => [x]),\n)(\n  "[B2] %s",\n  f,\n);\ntest.each(["a"])(\'[C3] it\', f);';
  expect(titlesOf(text)).toEqual(["[A1] one", "[B2] %s", "[C3] it"]);
});
