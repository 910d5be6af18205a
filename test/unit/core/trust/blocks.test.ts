/** How long a block holds, and which blocks a gateway keeps. */
import { expect, test } from "vitest";
import { isInForce, newBlock, outOfPlace } from "../../../../src/core/trust/blocks.ts";
import { BLOCK_MS, MAX_BLOCKED_DEVICES } from "../../../../src/protocol/limits.ts";

const NOW = 1_800_000_000_000;
const phone = { device: "a".repeat(26), name: "Phone" };

test("[BL1] a block ends after 24 hours; one for good does not, nor by a second Deny", () => {
  const block = newBlock(phone, null, NOW);
  expect(block).toEqual({ ...phone, sinceMs: NOW, untilMs: NOW + BLOCK_MS });
  expect([isInForce(block, NOW + BLOCK_MS - 1), isInForce(block, NOW + BLOCK_MS)]).toEqual([true, false]);
  const forGood = { ...block, untilMs: null };
  expect(isInForce(forGood, NOW + 400 * BLOCK_MS)).toBe(true);
  expect(newBlock(phone, forGood, NOW + 1).untilMs).toBeNull();
});

test("[BL5] of a full list the block that ends first makes room, before any that is for good", () => {
  const block = (at: number, untilMs: number | null) => ({ device: String(at), name: "", sinceMs: NOW + at, untilMs });
  const full = Array.from({ length: MAX_BLOCKED_DEVICES - 1 }, (_, at) => block(at, at === 0 ? null : NOW + 2 * BLOCK_MS - at));
  expect(outOfPlace(full, NOW)).toEqual([]);
  const last = full.at(-1);
  expect(outOfPlace([...full, block(500, null)], NOW)).toEqual([last]);
  expect(outOfPlace([block(501, NOW), ...full], NOW)).toEqual([block(501, NOW)]);
  const forGood = Array.from({ length: MAX_BLOCKED_DEVICES }, (_, at) => block(at, null));
  expect(outOfPlace(forGood.toReversed(), NOW)).toEqual([forGood[0]]);
});
