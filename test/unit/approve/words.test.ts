/** The sentence that is shown is about the statement that is signed. */
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { actWords } from "../../../src/approve/words.ts";
import type { GrantStatement, PersonRole } from "../../../src/protocol/statements.ts";

const body: GrantStatement = {
  v: 1,
  gateway: "g".repeat(23),
  device: "d".repeat(26),
  key: { kty: "OKP", crv: "Ed25519", x: "A".repeat(43) },
  name: "Firefox on Mac",
  access: "look",
  kind: "ask",
  request: "r".repeat(26),
  activation: null,
  head: null,
  issuedAtMs: 1,
  applyByMs: 2,
  notAfterMs: Date.UTC(2027, 0, 2, 12),
};

test("[PG3] a grant names the device, the gateway, how much and until when; each of them changes the words", () => {
  const words = actWords({ type: "grant", body, gatewayName: "Home" });
  for (const part of ["Your passkey signs", "Firefox on Mac", "“Home”", "“Look only”", "2027"]) expect(words).toContain(part);
  const others = [
    actWords({ type: "grant", body: { ...body, name: "Phone" }, gatewayName: "Home" }),
    actWords({ type: "grant", body: { ...body, access: "full" }, gatewayName: "Home" }),
    actWords({ type: "grant", body: { ...body, notAfterMs: body.notAfterMs + 86_400_000 }, gatewayName: "Home" }),
    actWords({ type: "grant", body: { ...body, kind: "owner" }, gatewayName: "Home" }),
    actWords({ type: "grant", body, gatewayName: "Work" }),
  ];
  expect(new Set([words, ...others]).size).toBe(6);
});

test("[PG3] owner changes name the passkey and what it may do afterwards", () => {
  const owner = { v: 1, account: "a".repeat(26), credentialId: "AAAA", issuedAtMs: 1 } as const;
  const key = { kty: "OKP", crv: "Ed25519", x: "A".repeat(43) } as const;
  expect(actWords({ type: "owner-key", body: { ...owner, key }, passkeyName: "Passkey 2", isNew: true })).toMatch(
    /Passkey 2.*may decide for all gateways/,
  );
  expect(actWords({ type: "owner-remove", body: owner, passkeyName: "Passkey 2" })).toMatch(/Passkey 2.*may no longer decide/);
  expect(actWords({ type: "owner-key", body: { ...owner, key }, passkeyName: "Passkey 2", isNew: false })).toMatch(
    /Passkey 2.*you just used.*may decide for all gateways/,
  );
  const recoveryKey = { v: 1, account: owner.account, key, issuedAtMs: 1 } as const;
  expect(actWords({ type: "recovery-key", body: recoveryKey })).toMatch(/recovery key.*may let a passkey decide for all gateways/);
});

test("[PG3] [PE4] what is signed about a person names the person, the gateway and the role with its ceiling; each of them changes the words", () => {
  const key = { kty: "OKP", crv: "Ed25519", x: "A".repeat(43) } as const;
  const about = { v: 1, account: "a".repeat(26), credentialId: "AAAA", issuedAtMs: 1 } as const;
  const joins = (role: PersonRole, name = "Ann", gatewayName = "Home"): string =>
    actWords({
      type: "owner-key",
      body: { ...about, key, person: { gateway: body.gateway, role, head: null } },
      joins: { name, gatewayName },
    });
  const approver = { kind: "approver", maxAccess: "chat", maxExpiryMs: 86_400_000 } as const;
  expect(joins(approver)).toBe("Your passkey signs: Ann joins “Home” as an approver, with at most “Chat” for at most 1 day.");
  const all = [
    joins(approver),
    joins({ ...approver, maxAccess: "full" }),
    joins({ ...approver, maxExpiryMs: 5_400_000 }),
    joins({ kind: "owner" }),
    joins({ kind: "viewer" }),
    joins(approver, "Ben"),
    joins(approver, "Ann", "Work"),
    actWords({ type: "owner-remove", body: { ...about, gateway: body.gateway }, leaves: { name: "Ann", gatewayName: "Home" } }),
    actWords({ type: "owner-remove", body: { ...about, gateway: body.gateway }, leaves: { name: null, gatewayName: "Home" } }),
  ];
  expect(new Set(all).size).toBe(all.length);
  // A statement that is about every gateway of the account never gets the words of one about a person.
  expect(() => actWords({ type: "owner-key", body: { ...about, key }, joins: { name: "Ann", gatewayName: "Home" } })).toThrow();
  expect(() => actWords({ type: "owner-remove", body: about, leaves: { name: "Ann", gatewayName: "Home" } })).toThrow();
});

test("[PG3] one place of the page asks for signatures, and it says what is signed before it does", () => {
  const folder = path.resolve(import.meta.dirname, "../../../src/approve");
  const asking = readdirSync(folder).filter((file) =>
    /startAuthentication|credentials\.get/.test(readFileSync(path.join(folder, file), "utf8")),
  );
  expect(asking).toEqual(["passkey.ts"]);
  const text = readFileSync(path.join(folder, "passkey.ts"), "utf8");
  expect(text.match(/startAuthentication\(/g)).toHaveLength(2);
  expect(text).toContain("say(actWords(act));");
  expect(text.indexOf("say(actWords(act));")).toBeLessThan(text.lastIndexOf("startAuthentication("));
});
