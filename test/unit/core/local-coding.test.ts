/** Which coding a gateway is asked for where everything runs on one machine. */
import { expect, test } from "vitest";
import { localCoding } from "../../../src/core/http/local-coding.ts";

test.each([
  ["gzip, deflate, br, zstd", "gzip"],
  ["br, gzip", "br"],
  ["GZIP", "gzip"],
  ["gzip;q=0.5, br", "br"],
  ["gzip;q=0, br;q=0.1", "br"],
  ["deflate, zstd", "identity"],
  ["identity, br", "identity"],
  ["identity;q=0, br", "br"],
  ["*", "identity"],
  ["", "identity"],
  ["gzip;q=x", "identity"],
])("%s: %s", (accepted, coding) => {
  expect(localCoding(accepted)).toBe(coding);
});
