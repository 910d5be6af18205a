/** What a person carries by hand: a recovery key on paper, a passkey's word to the machine, and the words to compare. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { fromBase32, toBase32 } from "../../../src/core/trust/digests.ts";
import { passkeyWords, readPasskey, writePasskey } from "../../../src/core/trust/passkey-text.ts";
import { RECOVERY_BYTES, readRecoveryText, recoverySeed, writeRecoveryText } from "../../../src/core/trust/recovery-text.ts";
import { toBase64url, utf8 } from "../../../src/protocol/statement-encoding.ts";
import { ownerKeySchema } from "../../../src/protocol/statements.ts";
import { newAuthenticator } from "../../support/fake-authenticator.ts";

const secrets = fc.uint8Array({ minLength: RECOVERY_BYTES, maxLength: RECOVERY_BYTES }).map((bytes) => new Uint8Array(bytes));

test("base32 is read back exactly, and nothing else is read", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      expect(fromBase32(toBase32(bytes))).toEqual(new Uint8Array(bytes));
    }),
  );
  for (const text of ["a", "ab1", "AB", "ab=", "ac"]) expect(fromBase32(text)).toBe(null);
});

test("[KL10] a recovery key is read from paper in any case and grouping; one wrong, missing or moved character is noticed", async () => {
  await fc.assert(
    fc.asyncProperty(secrets, fc.nat(35), fc.constantFrom(..."abcdefghijklmnopqrstuvwxyz234567".split("")), async (secret, at, char) => {
      const text = await writeRecoveryText(secret);
      expect(text).toMatch(/^([a-z2-7]{4}-){8}[a-z2-7]{4}$/);
      expect(await readRecoveryText(` ${text.toUpperCase().replaceAll("-", " ")}\n`)).toEqual(secret);
      const chars = text.replaceAll("-", "").split("");
      const wrong = chars.with(at, char).join("");
      if (wrong !== chars.join("")) expect(await readRecoveryText(wrong)).toBe(null);
      expect(await readRecoveryText(chars.toSpliced(at, 1).join(""))).toBe(null);
      expect(await readRecoveryText(`${text}a`)).toBe(null);
    }),
    // A fixed seed: 20 bits of checksum miss a slip once in a million.
    { numRuns: 60, seed: 9 },
  );
  expect(await readRecoveryText("")).toBe(null);
});

test("[KL10] what is written down is not the seed that signs", async () => {
  const secret = new Uint8Array(RECOVERY_BYTES);
  const seed = await recoverySeed(secret);
  expect(seed.byteLength).toBe(32);
  expect(toBase32(seed)).not.toContain((await writeRecoveryText(secret)).slice(-4));
  expect(await recoverySeed(new Uint8Array(RECOVERY_BYTES).fill(1))).not.toEqual(seed);
});

const parse = (value: unknown) => {
  const parsed = ownerKeySchema.safeParse(value);
  return parsed.success ? parsed.data : null;
};

test("[KL12] a passkey's word is read back exactly; another spelling, more members or an unsound key are none", async () => {
  const { ownerKey } = await newAuthenticator("http://approve.localhost:8787");
  const word = writePasskey(ownerKey);
  expect(readPasskey(word, parse)).toEqual(ownerKey);
  const weak = { kty: "OKP", crv: "Ed25519", x: "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" } as const;
  const { credentialId, key } = ownerKey;
  for (const other of [
    word.slice(0, -1),
    word.slice("passkey-".length),
    `${word} `,
    writePasskey({ credentialId, key: weak }),
    ...[
      JSON.stringify({ v: 1, credentialId, key, role: "owner" }),
      JSON.stringify({ v: 1, key, credentialId }),
      JSON.stringify({ v: 2, credentialId, key }),
      ` ${JSON.stringify({ v: 1, credentialId, key })}`,
      "null",
      "{",
    ].map((text) => `passkey-${toBase64url(utf8(text))}`),
  ])
    expect(readPasskey(other, parse)).toBe(null);
});

test("[KL12] twelve check words name key and credential: another of either gives others", async () => {
  const [a, b] = [await newAuthenticator("http://approve.localhost:8787"), await newAuthenticator("http://approve.localhost:8787")];
  const words = await passkeyWords(a.ownerKey);
  expect(words.split(" ")).toHaveLength(12);
  expect(await passkeyWords({ ...a.ownerKey })).toBe(words);
  expect(await passkeyWords({ ...a.ownerKey, key: b.ownerKey.key })).not.toBe(words);
  expect(await passkeyWords({ ...a.ownerKey, credentialId: b.ownerKey.credentialId })).not.toBe(words);
});
