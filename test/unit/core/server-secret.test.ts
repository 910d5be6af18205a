/** The root secret as operators paste it: what counts as one, and what never does. */
import { expect, test } from "vitest";
import { readServerSecret } from "../../../src/core/trust/server-secret.ts";

const BYTES = Uint8Array.from({ length: 32 }, (_each, at) => 255 - at);
const BASE64 = Buffer.from(BYTES).toString("base64");
const BASE64URL = Buffer.from(BYTES).toString("base64url");

test.each([BASE64, BASE64URL, `  ${BASE64}\n`, BASE64.replace("=", "")])(
  "[OP1] every spelling of the same bytes is the same secret",
  (text) => {
    expect(readServerSecret(text)).toEqual(BYTES);
  },
);

test.each([
  [undefined, "missing"],
  ["", "missing"],
  [" \n", "missing"],
  ["change me", "malformed"],
  [`${BASE64URL}!`, "malformed"],
  ["AAAAA", "malformed"],
  [Buffer.from(BYTES.slice(1)).toString("base64"), "too-short"],
])("[OP1] %j is no secret", (text, problem) => {
  expect(readServerSecret(text)).toBe(problem);
});
