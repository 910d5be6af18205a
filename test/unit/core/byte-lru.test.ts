/** What one isolate remembers: bounded in bytes, oldest use out first, nothing beyond its time. */
import { expect, test } from "vitest";
import { ByteLru } from "../../../src/core/http/byte-lru.ts";

test("[EC4] the bound holds whatever is put in, and what was used last stays", () => {
  const lru = new ByteLru<string>(800);
  for (let i = 0; i < 8; i += 1) lru.put(`k${i}`, `v${i}`, 100, 10);
  expect(lru.get("k0", 1)).toBe("v0");
  lru.put("k8", "v8", 100, 10);
  expect(lru.bytes).toBe(800);
  expect(lru.get("k0", 1)).toBe("v0");
  expect(lru.get("k1", 1)).toBe(null);
  expect(lru.get("k8", 1)).toBe("v8");
});

test("[EC4] a value that takes the place of another counts once", () => {
  const lru = new ByteLru<string>(800);
  for (let i = 0; i < 20; i += 1) lru.put("k", `v${i}`, 90, 10);
  expect(lru.bytes).toBe(90);
  expect(lru.get("k", 1)).toBe("v19");
});

test("[EC4] what is over is not given out, and gives its bytes back", () => {
  const lru = new ByteLru<string>(800);
  lru.put("k", "v", 100, 10);
  expect(lru.get("k", 9)).toBe("v");
  expect(lru.get("k", 10)).toBe(null);
  expect(lru.bytes).toBe(0);
});

test("[EC4] one large thing does not drive out the rest, nor leave an older value of its key behind", () => {
  const lru = new ByteLru<string>(800);
  lru.put("k", "v", 100, 10);
  lru.put("large", "v", 101, 10);
  expect([lru.get("k", 1), lru.get("large", 1)]).toEqual(["v", null]);
  lru.put("k", "larger", 101, 10);
  expect([lru.get("k", 1), lru.bytes]).toEqual([null, 0]);
});
