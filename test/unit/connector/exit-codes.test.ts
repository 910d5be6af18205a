import { expect, test } from "vitest";
import { EXIT, EXIT_TEXTS, exitOfControlPlane, exitOfStop } from "../../../src/connector/exit-codes.ts";
import { API_ERRORS } from "../../../src/protocol/api-errors.ts";

test("[CLI5] the seven exit codes keep their meaning", () => {
  expect(EXIT).toEqual({ done: 0, failed: 1, usage: 2, needsConfirmation: 3, refused: 4, unsafe: 5, superseded: 6 });
  expect(Object.keys(EXIT_TEXTS)).toEqual(Object.keys(EXIT));
});

test("[CLI5] what the control plane answers before an enrolment is never final", () => {
  const codes = [...API_ERRORS, "words-differ", "unreachable", "internal", "toString"];
  for (const code of codes) expect([code, exitOfControlPlane(code)]).toEqual([code, EXIT.failed]);
  expect(exitOfControlPlane("needs-confirmation")).toBe(EXIT.needsConfirmation);
  expect(exitOfControlPlane("usage")).toBe(EXIT.usage);
});

test.each([
  ["refused", EXIT.refused],
  ["stale", EXIT.refused],
  ["version", EXIT.refused],
  ["superseded", EXIT.superseded],
] as const)("[CLI5] a link that stopped as %s ends with a final code", (why, code) => {
  expect(exitOfStop(why)).toBe(code);
});
