import { expect, test } from "vitest";
import { cleanName } from "../../../src/core/trust/decision-view.ts";
import { nameSchema } from "../../../src/protocol/statements.ts";

test.each(["\u0000", "\u001b", "\u007f", "\u0080", "\u009b", "\u009f", "\u202e", "\u2066", "\u2028"])(
  "[CLI12] a name with %j is refused",
  (mark) => {
    expect(nameSchema.safeParse(`Pho${mark}ne`).success).toBe(false);
    expect(cleanName(`Pho${mark}ne`)).toBe("Phone");
  },
);

test("[CLI12] letters of every script are a name", () => {
  for (const name of ["Phone", "Tél\u00e9phone", "\u96fb\u8a71", "\u00a0x"]) expect(nameSchema.safeParse(name).success).toBe(true);
});
