import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { COMMANDS, OPTIONS } from "../../../src/connector/cli/commands.ts";
import { connectWays } from "../../../src/dashboard/connect-ways.ts";
import { countdown, expiryNotice, isFinal, needsOwner } from "../../../src/dashboard/enrolment-steps.ts";

test("an enrolment needs its owner from the machine's arrival until the signature, and ends once", () => {
  const states = ["open", "redeemed", "proposed", "revealed", "signed", "done", "failed", "expired"] as const;
  expect(states.filter((state) => needsOwner({ state }))).toEqual(["redeemed", "proposed", "revealed"]);
  expect(states.filter((state) => isFinal({ state }))).toEqual(["done", "failed", "expired"]);
});

test.each([
  [600_000, "10:00", ""],
  [599_001, "10:00", ""],
  [65_000, "1:05", ""],
  [60_000, "1:00", "soon"],
  [1, "0:01", "soon"],
  [0, "0:00", "over"],
  [-5_000, "0:00", "over"],
] as const)("%i ms before its end a code shows %s", (leftMs, text, notice) => {
  expect([countdown(leftMs), expiryNotice(leftMs)]).toEqual([text, notice]);
});

const PROGRAM = "https://gatehouse.example/connector-0.1.0.tgz";
const CODE = `gthc_${"a".repeat(60)}`;
const ways = connectWays(`npx -y ${PROGRAM} up ${CODE}`);
const codes = ways.flatMap((way) => way.steps.flatMap((step) => (step.code === undefined ? [] : [[way.id, step.code] as const])));

test("every way holds the code, and never in what a restart runs again", () => {
  expect(ways.map((way) => way.id)).toEqual(["npx", "docker", "compose", "kubernetes", "windows"]);
  for (const way of ways)
    expect(
      way.steps.some((step) => step.code?.endsWith(`up ${CODE}`) === true),
      way.id,
    ).toBe(true);
  for (const [id, text] of codes) if (/restart|sidecar|until|up -d/.test(text)) expect(text, id).not.toContain(CODE);
});

test.each(codes)("%s uses only commands, flags and variables that the connector has", (_id, text) => {
  const after = text.split(PROGRAM)[1] ?? "";
  const command = /^ (\w+)/.exec(after)?.[1];
  if (command !== undefined) expect(Object.keys(COMMANDS)).toContain(command);
  for (const [, flag] of after.matchAll(/--([\w-]+)/g)) expect(Object.keys(OPTIONS)).toContain(flag);
  const source = ["cli/commands.ts", "openclaw/discover.ts"]
    .map((file) => readFileSync(path.resolve(import.meta.dirname, "../../../src/connector", file), "utf8"))
    .join("");
  for (const [name] of text.matchAll(/\b(?:GATEHOUSE|OPENCLAW)_\w+/g)) expect(source).toContain(name);
});
