/** Which requests have a line in the log. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { LOG_ONE_IN, isLogged, readOneIn } from "../../../src/core/measure/log-sampling.ts";

test("[OB5] failures of ours always have a line, whatever the sample; refusals and a gateway's own errors are sampled like the rest", () => {
  for (const decision of ["internal", "unavailable"])
    for (const oneIn of [0, 1, 100]) expect(isLogged(decision, oneIn, 0.999), `${decision} ${oneIn}`).toBe(true);
  for (const decision of ["ok", "not-found", "relayed", "refused-503", "gateway-away"])
    expect(isLogged(decision, 100, 0.5), decision).toBe(false);
});

test("[OB5] one in N: the share of draws that are logged is 1/N, all for 1, none for 0", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), (oneIn) => {
      const draws = Array.from({ length: 1_000 }, (_each, at) => at / 1_000);
      const logged = draws.filter((draw) => isLogged("ok", oneIn, draw)).length;
      expect(Math.abs(logged - 1_000 / oneIn)).toBeLessThanOrEqual(1);
    }),
  );
  for (const draw of [0, 0.5, 0.999_999]) {
    expect(isLogged("ok", 1, draw)).toBe(true);
    expect(isLogged("ok", 0, draw)).toBe(false);
  }
});

test("[OB5] the setting is a whole number; anything else is a mistake, and none is the default", () => {
  expect([readOneIn(undefined), readOneIn("0"), readOneIn("1"), readOneIn("250")]).toEqual([LOG_ONE_IN, 0, 1, 250]);
  for (const text of ["", "-1", "1.5", "all", "1e3", "10000000000"]) expect(readOneIn(text), text).toBe(null);
});
