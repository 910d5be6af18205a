import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { COMMANDS, OPTIONS } from "../../../src/connector/cli/commands.ts";
import { connectWays } from "../../../src/dashboard/connect-ways.ts";
import { countdown, expiryNotice, isFinal, nextMove } from "../../../src/dashboard/enrolment-steps.ts";
import type { Kept } from "../../../src/dashboard/enrolment-steps.ts";
import type { EnrolmentView } from "../../../src/protocol/enrolment-api.ts";

const promised = {
  gateway: "abcdefghijklmnopqrstuvw",
  connectorKey: { kty: "OKP" as const, crv: "Ed25519" as const, x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" },
  ownerKeys: [],
  commitment: "C".repeat(43),
};
const kept: Kept = { nonce: "N".repeat(43), promised };

function view(state: EnrolmentView["state"], changes: Partial<EnrolmentView> = {}): EnrolmentView {
  return { id: "e", state, machine: { name: "nas", platform: "Linux" }, connectorNonce: null, ...promised, ...changes };
}

test("the nonce is drawn only once the commitment is there, with exactly what was promised", () => {
  expect(nextMove(view("open"), null)).toEqual({ do: "wait" });
  expect(nextMove(view("redeemed", { commitment: null }), null)).toEqual({ do: "wait" });
  expect(nextMove(view("redeemed", { connectorKey: null }), null)).toEqual({ do: "wait" });
  expect(nextMove(view("redeemed"), null)).toEqual({ do: "draw", promised });
});

test("a nonce that was not taken is sent again, never drawn again", () => {
  expect(nextMove(view("redeemed", { commitment: "D".repeat(43) }), kept)).toEqual({ do: "send" });
});

test("after a reload the kept part goes on to the words; without it another tab has it", () => {
  const connectorNonce = "R".repeat(43);
  for (const state of ["revealed", "done"] as const)
    expect(nextMove(view(state, { connectorNonce, commitment: "D".repeat(43) }), kept)).toEqual({ do: "words", connectorNonce, kept });
  expect(nextMove(view("nonce-given"), kept)).toEqual({ do: "wait" });
  expect(nextMove(view("nonce-given"), null)).toEqual({ do: "elsewhere" });
  expect(nextMove(view("revealed", { connectorNonce }), null)).toEqual({ do: "elsewhere" });
  expect(nextMove(view("done", { connectorNonce }), null)).toEqual({ do: "over" });
});

test("what is over stays over", () => {
  for (const state of ["failed", "expired"] as const) {
    expect(nextMove(view(state), kept)).toEqual({ do: "over" });
    expect(isFinal(view(state))).toBe(true);
  }
  expect(isFinal(view("revealed"))).toBe(false);
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
