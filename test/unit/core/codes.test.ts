import fc from "fast-check";
import { expect, test } from "vitest";
import { firstToken, judgeToken, rotatedToken } from "../../../src/core/trust/device-token-policy.ts";
import { deviceId, matchCode, requestId, grantId } from "../../../src/core/trust/digests.ts";
import { TOKEN_RANDOM_BYTES, crc32, readToken, writeToken } from "../../../src/core/trust/token.ts";
import { fromBase64url, joined, toBase64url } from "../../../src/protocol/statement-encoding.ts";

const KEY = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" } as const;
const OTHER = { kty: "OKP", crv: "Ed25519", x: "PBBu9yX1joCDfqVpaiTWWmCt_Y79gmIPyxeeXVhk52s" } as const;
const NONCE = toBase64url(new Uint8Array(32).fill(1));
const GATEWAY = "abcdefghijklmnopqrstuvw";

test("[ID1] [ID2] ids follow from gateway, key, access and nonce: any change gives another", async () => {
  const base = await requestId(GATEWAY, KEY, "full", NONCE);
  expect(base).toMatch(/^[a-z2-7]{26}$/);
  const others = await Promise.all([
    requestId("zzzzzzzzzzzzzzzzzzzzzzz", KEY, "full", NONCE),
    requestId(GATEWAY, OTHER, "full", NONCE),
    requestId(GATEWAY, KEY, "look", NONCE),
    requestId(GATEWAY, KEY, "full", toBase64url(new Uint8Array(32).fill(2))),
    deviceId(GATEWAY, KEY),
  ]);
  expect(new Set([base, ...others]).size).toBe(6);
});

test("[ID3] a grant's id follows from its signed bytes: one other bit, another grant", async () => {
  const bytes = new Uint8Array(64);
  const id = await grantId(bytes);
  expect(id).toMatch(/^[a-z2-7]{26}$/);
  expect(await grantId(new Uint8Array(64))).toBe(id);
  const others = await Promise.all(Array.from({ length: 64 }, (_, at) => grantId(bytes.with(at, 1))));
  expect(new Set([id, ...others]).size).toBe(65);
});

test("[ID1] the order of a key's members does not matter", async () => {
  expect(await deviceId(GATEWAY, { x: KEY.x, kty: KEY.kty, crv: KEY.crv })).toBe(await deviceId(GATEWAY, KEY));
});

test("[MC1] the match code is four digits, fixed by key and nonce", async () => {
  expect(await matchCode(GATEWAY, KEY, NONCE)).toMatch(/^\d{4}$/);
  const codes = await Promise.all(Array.from({ length: 50 }, (_, i) => matchCode(GATEWAY, KEY, toBase64url(new Uint8Array(32).fill(i)))));
  expect(new Set(codes).size).toBeGreaterThan(40);
});

test("a token has a kind, a selector, a secret and a checksum; one changed character is garbage", () => {
  expect(crc32("123456789")).toBe(0xcbf43926);
  const token = writeToken("d", new Uint8Array(TOKEN_RANDOM_BYTES).fill(200));
  expect(token).toMatch(/^gthd_[0-9A-Za-z]{60}$/);
  expect(readToken(token, "d")?.selector).toHaveLength(11);
  expect(readToken(token, "c")).toBe(null);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: token.length - 1 }), (at) => {
      const changed = token.slice(0, at) + (token[at] === "x" ? "y" : "x") + token.slice(at + 1);
      expect(readToken(changed, "d")).toBe(null);
    }),
  );
});

test("[TK1] the current token rotates; [TK2] the one before gives the same successor while its reply may be lost", () => {
  let state = firstToken("A", 0);
  expect(judgeToken("A", state, 1)).toEqual({ verdict: "rotate" });
  state = rotatedToken(state, "B", 1);
  expect(judgeToken("A", state, 2)).toEqual({ verdict: "repeat" });
  expect(judgeToken("A", state, 600_002)).toEqual({ verdict: "refuse" });
  expect(judgeToken("B", state, 2)).toEqual({ verdict: "rotate" });
});

test("[TK3] a spent token means a copy: freeze; a frozen device and an unknown token are refused", () => {
  const state = rotatedToken(rotatedToken(firstToken("A", 0), "B", 1), "C", 2);
  expect(judgeToken("A", state, 3)).toEqual({ verdict: "freeze" });
  expect(judgeToken("Z", state, 3)).toEqual({ verdict: "refuse" });
  expect(judgeToken("C", { ...state, isFrozen: true }, 3)).toEqual({ verdict: "refuse" });
});

test("[TK2] [TK3] [case 38] lost replies alone never freeze a device, in any order", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 60 }), (lost) => {
      let held = "0";
      let next = 1;
      let state = firstToken("0", 0);
      for (const isLost of lost) {
        const { verdict } = judgeToken(held, state, 0);
        expect(["rotate", "repeat"]).toContain(verdict);
        if (verdict === "rotate") {
          state = rotatedToken(state, String(next), 0);
          next += 1;
        }
        if (!isLost) held = state.current;
      }
    }),
  );
});

test("base64url has one spelling", () => {
  expect(fromBase64url("AQ")).toEqual(Uint8Array.of(1));
  for (const bad of ["AR", "AQ==", "A", "A+", "A/"]) expect(fromBase64url(bad)).toBe(null);
});

test("joined fields are unambiguous", () => {
  expect(joined(["ab", "c"])).not.toEqual(joined(["a", "bc"]));
});
