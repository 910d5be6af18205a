/** `npm ci` runs when it has something to do, whoever ran it last. */
import { expect, test } from "vitest";
import { root } from "../../../scripts/children.ts";
import { isInstalled, isSame } from "../../../scripts/installed.mjs";

const WANTED = {
  "": { version: "1.0.0" },
  "node_modules/a": { version: "1.0.0", integrity: "sha512-a" },
  "node_modules/b": { version: "2.0.0", integrity: "sha512-b", optional: true },
};
const A = WANTED["node_modules/a"];
const B = WANTED["node_modules/b"];

test.each([
  ["all", true, { "node_modules/a": A, "node_modules/b": B }],
  ["all but another system's", true, { "node_modules/a": A }],
  ["not all", false, { "node_modules/b": B }],
  ["another version", false, { "node_modules/a": { ...A, version: "1.0.1" } }],
  ["other bytes", false, { "node_modules/a": { ...A, integrity: "sha512-x" } }],
  ["one too many", false, { "node_modules/a": A, "node_modules/c": A }],
])("%s: %s", (_name, expected, present) => {
  expect(isSame(WANTED, present)).toBe(expected);
});

test("an install by hand counts; a checkout without packages does not", () => {
  expect([isInstalled(root), isInstalled("/nowhere")]).toEqual([true, false]);
});
