/** test/README.md's table of fault cases and the `[case N]` in titles say the same: who reads the one finds the other. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";

const folder = path.resolve(import.meta.dirname, "..");
const CASES = 50;

interface Row {
  readonly number: number;
  readonly files: readonly string[];
  readonly missing: string;
}

/** Rows of the table: number, what, files in backticks, what is missing. */
function rowsOf(text: string): Row[] {
  return [...text.matchAll(/^\| (\d+) +\| [^|]+\| ([^|]+)\| ([^|]+)\|$/gm)].map((match) => ({
    number: Number(match[1]),
    files: [...(match[2] ?? "").matchAll(/`([^`]+)`/g)].map((file) => file[1] ?? ""),
    missing: (match[3] ?? "").trim(),
  }));
}

/** @returns the cases that titles of a test file name; comments do not count */
function casesOf(text: string): Set<number> {
  const titles = [...text.matchAll(/(["'`])((?:\[[^\]]+\] )*\[case \d+\](?:\\.|(?!\1)[^\\])*)\1/gs)].map((match) => match[2] ?? "");
  return new Set(titles.flatMap((title) => [...title.matchAll(/\[case (\d+)\]/g)].map((match) => Number(match[1]))));
}

const rows = rowsOf(readFileSync(path.join(folder, "README.md"), "utf8"));
const testFiles = readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts"))
  .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
  .filter((file) => path.join(folder, file) !== import.meta.filename);
const marked = testFiles.flatMap((file) => [...casesOf(readFileSync(path.join(folder, file), "utf8"))].map((number) => ({ number, file })));

test("the table has every case once, in order", () => {
  expect(rows.map((row) => row.number)).toEqual(Array.from({ length: CASES }, (_, at) => at + 1));
});

test.each(rows.map((row) => [row.number, row] as const))(
  "case %d: the files that the table names are those that carry its mark",
  (number, row) => {
    expect(row.files.filter((file) => !existsSync(path.join(folder, file)))).toEqual([]);
    expect(row.files.toSorted()).toEqual(marked.filter((mark) => mark.number === number).map((mark) => mark.file).toSorted()); // prettier-ignore
    if (row.files.length === 0) expect(row.missing).toMatch(/^Not (yet|prevented): /);
    else expect(row.missing).not.toMatch(/^Not yet/);
  },
);

test("the reading of titles counts every mark of a title and none of a comment", () => {
  const text = '/** [case 1] */ test("[CR7] [case 2] [case 3] a [case 4] b", f); test.each(x)(\n  `[case 5] %s`, f);';
  expect([...casesOf(text)]).toEqual([2, 3, 4, 5]);
});
