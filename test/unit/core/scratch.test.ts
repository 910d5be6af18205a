/** Memory that is used again. */
import { expect, test } from "vitest";
import { Scratch } from "../../../src/core/scratch.ts";

test("the same memory is taken again, however much is asked for up to its bound; what is larger is its own", () => {
  const scratch = new Scratch(100);
  const small = scratch.take(10);
  const large = scratch.take(100);
  expect([small.byteLength, large.byteLength]).toEqual([10, 100]);
  expect(scratch.take(7).buffer).toBe(large.buffer);
  const own = scratch.take(101);
  expect(own.byteLength).toBe(101);
  expect(own.buffer).not.toBe(large.buffer);
  expect(scratch.take(101).buffer).not.toBe(own.buffer);
});
