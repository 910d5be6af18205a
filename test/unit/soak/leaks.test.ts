import { expect, test } from "vitest";
import { growth } from "../../soak/leaks.ts";
import type { Look } from "../../soak/leaks.ts";

const LOOKS = 45;

function looks(change: (i: number) => Partial<Look>): Look[] {
  return Array.from({ length: LOOKS }, (_, i) => ({ pid: 7, files: 40 + (i % 3), residentMib: 150 + (i % 5), ...change(i) }));
}

test("a process that stays as it was leaks nothing, also when its first looks were larger or one was", () => {
  expect(growth(looks(() => ({})))?.leaks).toEqual([]);
  expect(growth(looks((i) => (i === 30 ? { files: 400, residentMib: 900 } : {})))?.leaks).toEqual([]);
  expect(growth(looks((i) => ({ residentMib: i < 15 ? 50 : 150 })))?.leaks).toEqual([]);
});

test("open files and memory that grow from look to look are named", () => {
  expect(growth(looks((i) => ({ files: 40 + i })))?.leaks).toEqual([expect.stringMatching(/^open files grew from \d\d to \d\d$/)]);
  expect(growth(looks((i) => ({ residentMib: 150 + 5 * i })))?.leaks).toEqual([expect.stringMatching(/^memory grew from \d+ to \d+ MiB$/)]);
});

test("only one process is judged, the one that was looked at most; too few looks say nothing", () => {
  const others = looks((i) => ({ pid: 100 + i, files: 1_000 }));
  expect(growth([...others, ...looks(() => ({}))])).toMatchObject({ looks: LOOKS - 15, leaks: [] });
  expect(growth(looks((i) => ({ pid: i })))).toBeNull();
  expect(growth([])).toBeNull();
});
