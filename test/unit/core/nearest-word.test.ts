import { expect, test } from "vitest";
import { matchesOf } from "../../../src/core/words/named-match.ts";
import { nearestWord } from "../../../src/core/words/nearest-word.ts";

const WORDS = ["up", "run", "status", "devices", "access-list", "history"];

test.each([
  ["statsu", "status"],
  ["STATUS", "status"],
  ["device", "devices"],
  ["acess-list", "access-list"],
  ["hist", "history"],
  ["pu", "up"],
  ["fly", null],
  ["revoke", null],
  ["", null],
  ["x".repeat(41), null],
])("[CLI2] %j means %j", (text, word) => {
  expect(nearestWord(text, WORDS)).toBe(word);
});

const THINGS = [
  { id: "abcd", name: "Phone" },
  { id: "abef", name: "Laptop" },
  { id: "ab", name: "abcd" },
];

test.each([
  ["abcd", ["abcd"]],
  ["ab", ["ab"]],
  ["abe", ["abef"]],
  ["a", ["abcd", "abef", "ab"]],
  ["phone", ["abcd"]],
  ["ABCD", ["ab"]],
  ["", []],
  ["none", []],
])("[CLI6] %j names %j", (text, ids) => {
  expect(matchesOf(THINGS, text).map(({ id }) => id)).toEqual(ids);
});
