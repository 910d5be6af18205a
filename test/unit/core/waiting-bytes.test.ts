import fc from "fast-check";
import { expect, test } from "vitest";
import { WaitingBytes } from "../../../src/core/link/waiting-bytes.ts";
import { LARGE_MESSAGE_BYTES } from "../../../src/protocol/limits.ts";

const LARGE = LARGE_MESSAGE_BYTES + 1;

test("[CR6] what waits beside the large message of which most still waits; a message of the limit is not large", () => {
  const waiting = new WaitingBytes();
  waiting.came(100, 100);
  waiting.came(3 * LARGE, 3 * LARGE);
  waiting.came(LARGE_MESSAGE_BYTES, LARGE_MESSAGE_BYTES);
  expect(waiting.besideLargest).toBe(100 + LARGE_MESSAGE_BYTES);
  waiting.came(2 * LARGE, 2 * LARGE);
  waiting.left(100 + 2 * LARGE);
  expect([waiting.bytes, waiting.besideLargest]).toEqual([3 * LARGE + LARGE_MESSAGE_BYTES, LARGE + LARGE_MESSAGE_BYTES]);
  waiting.left(LARGE + LARGE_MESSAGE_BYTES + 1);
  expect([waiting.bytes, waiting.besideLargest]).toEqual([2 * LARGE - 1, 0]);
});

test("[CR6] of a message that left in part at once only its end is there", () => {
  const waiting = new WaitingBytes();
  waiting.came(3 * LARGE, 0);
  waiting.came(3 * LARGE, LARGE);
  waiting.came(10, 10);
  expect([waiting.bytes, waiting.besideLargest]).toEqual([LARGE + 10, 10]);
});

test("[CR6] whatever leaves, nothing more is beside the largest than before", () => {
  const size = fc.integer({ min: 1, max: 4 * LARGE });
  fc.assert(
    fc.property(fc.array(size, { minLength: 1, maxLength: 8 }), fc.array(size, { maxLength: 20 }), (sizes, leaving) => {
      const waiting = new WaitingBytes();
      for (const bytes of sizes) waiting.came(bytes, bytes);
      for (const bytes of leaving) {
        const before = waiting.besideLargest;
        waiting.left(Math.min(bytes, waiting.bytes));
        expect(waiting.besideLargest).toBeLessThanOrEqual(before);
        expect(waiting.besideLargest).toBeGreaterThanOrEqual(0);
      }
    }),
  );
});
