/** The gateway's own lock: what a hostile control plane, a thief of the database or a careless copy may try (reference: fault-cases.md 29, 36, 45). */
import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { compareHeads, isFault, readLine, relationOf, verifyLog, writeLine } from "../../../src/core/trust/key-log.ts";
import { OWNER_KEY_KEYS, OWNER_REMOVE_KEYS, encodeBody } from "../../../src/protocol/statement-encoding.ts";
import type { GrantStatement, SignedByOwner } from "../../../src/protocol/statements.ts";
import type { OwnerPolicy } from "../../../src/protocol/key-log.ts";
import { newAuthenticator } from "../../support/fake-authenticator.ts";
import type { Authenticator } from "../../support/fake-authenticator.ts";
import { grantBytes, newDevice } from "../../support/fake-device.ts";
import type { FakeDevice } from "../../support/fake-device.ts";
import { TestKeyLog, newLogKey } from "../../support/test-key-log.ts";
import { deviceId } from "../../../src/core/trust/digests.ts";

const NOW = 1_800_000_000_000;
const GATEWAY = "abcdefghijklmnopqrstuvw";
const APPROVE = "http://approve.localhost:8787";
const ACCOUNT = "a".repeat(26);

let owner: Authenticator;
let device: FakeDevice;
let log: TestKeyLog;

beforeEach(async () => {
  owner = await newAuthenticator(APPROVE);
  device = await newDevice();
  log = await TestKeyLog.start({ gateway: GATEWAY, owner: owner, approveOrigin: APPROVE, atMs: NOW });
});

async function grant(changes: Partial<GrantStatement> = {}, signer = owner, key = device.key): Promise<SignedByOwner> {
  return signer.sign("grant", await grantBytes(GATEWAY, key, NOW, { head: log.state.head.hash, ...changes }));
}

async function endorsement(of: Authenticator, by: Authenticator, account = ACCOUNT): Promise<SignedByOwner> {
  const { credentialId, key } = of.ownerKey;
  return by.sign("owner-key", encodeBody({ v: 1, account, credentialId, key, issuedAtMs: NOW }, OWNER_KEY_KEYS));
}

async function removal(of: Authenticator, by: Authenticator, account = ACCOUNT): Promise<SignedByOwner> {
  const { credentialId } = of.ownerKey;
  return by.sign("owner-remove", encodeBody({ v: 1, account, credentialId, issuedAtMs: NOW }, OWNER_REMOVE_KEYS));
}

const revoke = async (key = device.key) => ({ type: "revoke", device: await deviceId(GATEWAY, key), by: "relay" }) as const;

test("[KL1] a log verifies as a whole, long after its grants have ended", async () => {
  await log.add({ type: "grant", signed: await grant() }, NOW);
  await log.add(await revoke(), NOW + 5);
  const verified = await verifyLog(log.lines);
  expect(isFault(verified)).toBe(false);
  expect(verified).toMatchObject({ head: log.state.head, gateway: GATEWAY });
  expect([...log.state.grants.values()].map((held) => held.isRevoked)).toEqual([true]);
});

test("[KL1] [case 45] an entry that was changed, dropped, moved or put in is found, and where", async () => {
  await log.add({ type: "grant", signed: await grant() }, NOW);
  await log.add(await revoke(), NOW);
  const other = await newDevice();
  await log.add({ type: "grant", signed: await grant({}, owner, other.key) }, NOW);
  const [a = "", b = "", c = "", d = ""] = log.lines;
  expect(await verifyLog([a, b, c.replace('"by":"relay"', '"by":"host"'), d])).toEqual({ seq: 2, problem: "bad-entry-signature" });
  expect(await verifyLog([a, b, d])).toEqual({ seq: 2, problem: "wrong-place" });
  expect(await verifyLog([a, c, b, d])).toEqual({ seq: 1, problem: "wrong-place" });
  expect(await verifyLog([b, c, d])).toEqual({ seq: 0, problem: "bad-genesis" });
  expect(await verifyLog([])).toEqual({ seq: 0, problem: "bad-genesis" });
  const second = await TestKeyLog.start({
    gateway: GATEWAY,
    owner: owner,
    approveOrigin: APPROVE,
    atMs: NOW + 1,
    signer: log.signer,
  });
  await second.add(await revoke(), NOW + 1);
  expect(await verifyLog([a, second.lines[1] ?? ""])).toEqual({ seq: 1, problem: "chain-broken" });
});

test("[KL1] an entry has one spelling", () => {
  const [line = ""] = log.lines;
  expect(readLine(line)).not.toBe(null);
  for (const other of [
    ` ${line}`,
    line.replace('{"v":1,', '{"v":1,"v":1,'),
    line.replace(/\}$/, ',"more":1}'),
    line.replace('"seq":0', '"seq":0.0'),
  ])
    expect(readLine(other)).toBe(null);
});

test("[KL1] bytes of any kind are refused without throwing", async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.json()), async (text) => {
      expect(readLine(text)).toBe(null);
      expect(await verifyLog([...log.lines, text])).toEqual({ seq: log.lines.length, problem: "not-canonical" });
    }),
    { numRuns: 200 },
  );
});

test("[KL2] only the connector's own key writes entries", async () => {
  const thief = await newLogKey();
  expect(await log.attempt({ type: "revoke-all", by: "host" }, NOW, thief)).toBe("bad-entry-signature");
  const entry = { gateway: GATEWAY, atMs: NOW, body: { type: "revoke-all", by: "host" } } as const;
  const line = await writeLine(log.state, { ...entry, gateway: "zzzzzzzzzzzzzzzzzzzzzzz" }, log.signer.sign);
  expect(await verifyLog([...log.lines, line])).toEqual({ seq: 1, problem: "wrong-gateway" });
  expect(await log.attempt({ type: "revoke-all", by: "host" }, NOW - 1)).toBe("wrong-order");
});

test("[KL2] a key is rotated by the old one, and only to a key that somebody holds", async () => {
  const next = await newLogKey();
  const stranger = await newLogKey();
  expect(await log.attempt({ type: "rotate", key: next.key, proof: await stranger.sign(new Uint8Array(8)) }, NOW)).toBe("bad-signature");
  const weak = { kty: "OKP", crv: "Ed25519", x: "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" } as const;
  expect(await log.attempt({ type: "rotate", key: weak, proof: await stranger.sign(new Uint8Array(8)) }, NOW)).toBe("bad-signature");
  const old = log.signer;
  expect(await log.rotate(next, NOW)).toBe(null);
  expect(await log.attempt({ type: "revoke-all", by: "host" }, NOW, old)).toBe("bad-entry-signature");
  expect(await log.attempt({ type: "revoke-all", by: "host" }, NOW)).toBe(null);
});

test("[KL3] [case 29] a grant needs an owner that the log holds: no forged one, no self-made owner, no sign-in, no other gateway's", async () => {
  const stranger = await newAuthenticator(APPROVE);
  const bytes = await grantBytes(GATEWAY, device.key, NOW, { head: log.state.head.hash });
  const attempt = async (signed: SignedByOwner) => log.attempt({ type: "grant", signed }, NOW);
  expect(await attempt(await grant({}, stranger))).toBe("unknown-owner-key");
  expect(await attempt(await owner.sign("login", bytes))).toBe("bad-signature");
  expect(await attempt(await grant({ gateway: "zzzzzzzzzzzzzzzzzzzzzzz" }))).toBe("wrong-gateway");
  expect(await attempt({ ...(await grant({ access: "look" })), statement: (await grant({ access: "full" })).statement })).toBe(
    "bad-signature",
  );
  expect(await attempt(await grant())).toBe(null);
});

test("[KL3] [case 28] a grant that was held back until after a cut is stale, whatever cut came last", async () => {
  const heldBack = await grant();
  await log.add(await revoke(), NOW);
  expect(await log.attempt({ type: "grant", signed: heldBack }, NOW)).toBe("stale-head");
  expect(await log.attempt({ type: "grant", signed: await grant({ head: null }) }, NOW)).toBe("stale-head");
  expect(await log.attempt({ type: "grant", signed: await grant({ head: "A".repeat(43) }) }, NOW)).toBe("stale-head");
  const fresh = await grant();
  await log.add({ type: "revoke-all", by: "host" }, NOW);
  expect(await log.attempt({ type: "grant", signed: fresh }, NOW)).toBe("stale-head");
  expect(await log.attempt({ type: "grant", signed: await grant() }, NOW)).toBe(null);
});

test("[KL3] somebody else's cut makes no grant stale", async () => {
  const signed = await grant();
  await log.add(await revoke((await newDevice()).key), NOW);
  expect(await log.attempt({ type: "grant", signed }, NOW)).toBe(null);
});

test("[KL3] a revoked grant never comes back, and a device has one live grant", async () => {
  const first = await grant({ head: null });
  await log.add({ type: "grant", signed: first }, NOW);
  await log.add({ type: "grant", signed: await grant({ access: "look" }) }, NOW);
  expect([...log.state.grants.values()].map((held) => [held.statement.access, held.isRevoked])).toEqual([["full", true], ["look", false]]); // prettier-ignore
  expect(await log.attempt({ type: "grant", signed: first }, NOW)).toBe("revoked");
});

test.each<[string, Partial<OwnerPolicy>, Partial<GrantStatement>]>([
  ["access", { maxAccess: "chat" }, { access: "full" }],
  ["expiry", { maxExpiryMs: 3_600_000 }, { notAfterMs: NOW + 3_600_001 }],
])("[KL4] [case 37] remote approval never goes beyond what was said on the host: %s", async (_what, limits, changes) => {
  await log.add({ type: "policy", policy: { ...log.state.policy, ...limits } }, NOW);
  expect(await log.attempt({ type: "grant", signed: await grant(changes) }, NOW)).toBe("over-ceiling");
  expect(await log.attempt({ type: "grant", signed: await grant({ access: "chat", notAfterMs: NOW + 3_600_000 }) }, NOW)).toBe(null);
});

test("[KL5] a further owner passkey needs one that the log holds, for this account", async () => {
  const second = await newAuthenticator(APPROVE);
  const third = await newAuthenticator(APPROVE);
  const add = async (signed: SignedByOwner, key = second.ownerKey) =>
    log.attempt({ type: "owner-add", key, authority: { by: "owner", signed } }, NOW);
  expect(await add(await endorsement(second, second))).toBe("unknown-owner-key");
  expect(await add(await endorsement(second, owner, "b".repeat(26)))).toBe("bad-statement");
  expect(await add(await endorsement(second, owner), third.ownerKey)).toBe("bad-statement");
  const body = encodeBody({ v: 1, account: ACCOUNT, ...second.ownerKey, issuedAtMs: NOW }, OWNER_KEY_KEYS);
  expect(await add(await owner.sign("login", body))).toBe("bad-signature");
  expect(await add(await endorsement(second, owner))).toBe(null);
  await log.widen({ kind: "owner-add", key: third.ownerKey, role: { kind: "owner" } }, second, NOW);
  expect(await log.attempt({ type: "grant", signed: await grant({}, third) }, NOW)).toBe(null);
});

test("[KL5] an owner passkey is taken out by another one; it never takes itself out, nor the last one, and no old endorsement brings it back", async () => {
  const second = await newAuthenticator(APPROVE);
  const endorsed = await endorsement(second, owner);
  const remove = async (of: Authenticator, signed: SignedByOwner) =>
    log.attempt({ type: "owner-remove", credentialId: of.ownerKey.credentialId, authority: { by: "owner", signed } }, NOW);
  expect(await remove(owner, await removal(owner, owner))).toBe("last-owner-key");
  await log.add({ type: "owner-add", key: second.ownerKey, authority: { by: "owner", signed: endorsed } }, NOW);
  expect(await remove(second, await removal(second, second))).toBe("unknown-owner-key");
  expect(await remove(second, await removal(owner, owner))).toBe("bad-statement");
  expect(await remove(second, await removal(second, owner, "b".repeat(26)))).toBe("bad-statement");
  expect(await remove(second, await removal(second, owner))).toBe(null);
  expect(await log.attempt({ type: "grant", signed: await grant({}, second) }, NOW)).toBe("unknown-owner-key");
  const again = { type: "owner-add", key: second.ownerKey, authority: { by: "owner", signed: endorsed } } as const;
  expect(await log.attempt(again, NOW)).toBe("revoked");
  await log.widen({ kind: "owner-add", key: second.ownerKey, role: { kind: "owner" } }, owner, NOW);
});

test("[KL6] heads: the same, behind, ahead, fork; a room that forgot is an alarm", async () => {
  const before = log.state.head;
  await log.add(await revoke(), NOW);
  const { state } = log;
  const forked = { seq: 0, hash: "A".repeat(43) };
  expect([relationOf(state, state.head), relationOf(state, before)]).toEqual(["same", "behind"]);
  expect([relationOf(state, { ...state.head, seq: 9 }), relationOf(state, forked)]).toEqual(["ahead", "fork"]);
  expect(compareHeads(state, null, null)).toEqual({ alarm: null, sendFrom: 0 });
  expect(compareHeads(state, before, before)).toEqual({ alarm: null, sendFrom: 1 });
  expect(compareHeads(state, state.head, state.head)).toEqual({ alarm: null, sendFrom: null });
  expect(compareHeads(state, before, state.head)).toEqual({ alarm: "room-rolled-back", sendFrom: 1 });
  expect(compareHeads(state, null, before)).toEqual({ alarm: "room-rolled-back", sendFrom: 0 });
  expect(compareHeads(state, forked, null)).toEqual({ alarm: "fork", sendFrom: null });
  expect(compareHeads(state, { seq: 9, hash: "A".repeat(43) }, null)).toEqual({ alarm: "log-rolled-back", sendFrom: null });
});
