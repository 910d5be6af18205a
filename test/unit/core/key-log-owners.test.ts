/** Who may change who decides: lost and stolen passkeys, approvers, the recovery key, and a relay that holds back or repeats what was signed. */
import { beforeEach, expect, test } from "vitest";
import { isFault, verifyLog } from "../../../src/core/trust/key-log.ts";
import type { KeyLogBody, OwnerRole } from "../../../src/protocol/key-log.ts";
import {
  OWNER_KEY_KEYS,
  OWNER_REMOVE_KEYS,
  RECOVERY_KEY_KEYS,
  RECOVER_KEYS,
  encodeBody,
  tagged,
  toBase64url,
  utf8,
} from "../../../src/protocol/statement-encoding.ts";
import { listChallenge, statementHash } from "../../../src/core/trust/statement-list.ts";
import type { StatementType } from "../../../src/protocol/statement-encoding.ts";
import type { GrantStatement, OwnerKey, SignedByOwner, SignedByRecovery } from "../../../src/protocol/statements.ts";
import { newAuthenticator } from "../../support/fake-authenticator.ts";
import type { Authenticator } from "../../support/fake-authenticator.ts";
import { grantBytes, newDevice } from "../../support/fake-device.ts";
import { TestKeyLog, newLogKey } from "../../support/test-key-log.ts";
import type { LogKey } from "../../support/test-key-log.ts";
import { sha256 } from "../../../src/core/trust/digests.ts";

const NOW = 1_800_000_000_000;
const GATEWAY = "abcdefghijklmnopqrstuvw";
const APPROVE = "http://approve.localhost:8787";
const ACCOUNT = "a".repeat(26);
const HOUR_MS = 3_600_000;
const APPROVER: OwnerRole = { kind: "approver", maxAccess: "chat", maxExpiryMs: HOUR_MS };

let owner: Authenticator;
let second: Authenticator;
let paper: LogKey;
let log: TestKeyLog;

beforeEach(async () => {
  [owner, second, paper] = await Promise.all([newAuthenticator(APPROVE), newAuthenticator(APPROVE), newLogKey()]);
  log = await TestKeyLog.start({ gateway: GATEWAY, owner: owner, approveOrigin: APPROVE, atMs: NOW });
});

const attempt = (body: KeyLogBody) => log.attempt(body, NOW);

async function grant(signer: Authenticator, changes: Partial<GrantStatement> = {}): Promise<KeyLogBody> {
  const bytes = await grantBytes(GATEWAY, (await newDevice()).key, NOW, { head: log.state.head.hash, ...changes });
  return { type: "grant", signed: await signer.sign("grant", bytes) };
}

async function endorse(of: Authenticator, by: Authenticator): Promise<KeyLogBody> {
  const body = encodeBody({ v: 1, account: ACCOUNT, ...of.ownerKey, issuedAtMs: NOW }, OWNER_KEY_KEYS);
  return { type: "owner-add", key: of.ownerKey, authority: { by: "owner", signed: await by.sign("owner-key", body) } };
}

async function remove(of: Authenticator, by: Authenticator, issuedAtMs = NOW): Promise<KeyLogBody> {
  const { credentialId } = of.ownerKey;
  const body = encodeBody({ v: 1, account: ACCOUNT, credentialId, issuedAtMs }, OWNER_REMOVE_KEYS);
  return { type: "owner-remove", credentialId, authority: { by: "owner", signed: await by.sign("owner-remove", body) } };
}

async function pinPaper(by: Authenticator, key = paper.key, issuedAtMs = NOW, account = ACCOUNT): Promise<KeyLogBody> {
  const body = encodeBody({ v: 1, account, key, issuedAtMs }, RECOVERY_KEY_KEYS);
  return { type: "recovery-key", key, authority: { by: "owner", signed: await by.sign("recovery-key", body) } };
}

interface Recovering {
  readonly gone?: readonly Authenticator[];
  readonly signer?: LogKey;
  readonly account?: string;
  readonly type?: StatementType;
}

async function recovery(of: Authenticator, { gone = [], signer = paper, account = ACCOUNT, type = "recover" }: Recovering = {}) {
  const lost = gone.map((each) => each.ownerKey.credentialId);
  const body = encodeBody({ v: 1, account, ...of.ownerKey, remove: lost, issuedAtMs: NOW }, RECOVER_KEYS);
  const signed: SignedByRecovery = { statement: toBase64url(body), signature: await signer.sign(tagged(type, body)) };
  return { type: "recover", signed } as const;
}

const pinned = (of: Authenticator, role: OwnerRole = { kind: "owner" }): Promise<void> =>
  log.widen({ kind: "owner-add", key: of.ownerKey, role }, owner, NOW);
const byHost = { by: "host" } as const;
const names = (): string[] => log.state.ownerKeys.map((key) => key.credentialId);

test("[KL11] a key without a role, in genesis or added, is an owner's: a log from before there were roles verifies to the same", async () => {
  await log.add(await endorse(second, owner), NOW);
  expect(log.lines.join("")).not.toContain('"role"');
  expect(await attempt(await grant(second, { notAfterMs: NOW + 90 * 24 * HOUR_MS }))).toBe(null);
  expect(isFault(await verifyLog(log.lines))).toBe(false);
});

test.each<[string, Partial<GrantStatement>]>([
  ["access", { access: "full" }],
  ["expiry", { access: "chat", notAfterMs: NOW + HOUR_MS + 1 }],
])("[KL11] [case 37] an approver gives no more than its own ceiling: %s", async (_what, wider) => {
  await pinned(second, APPROVER);
  expect(await attempt(await grant(second, wider))).toBe("over-ceiling");
  expect(await attempt(await grant(owner, wider))).toBe(null);
  expect(await attempt(await grant(second, { access: "chat", notAfterMs: NOW + HOUR_MS }))).toBe(null);
});

test("[KL11] [case 37] the gateway's policy bounds an approver, too", async () => {
  await pinned(second, { ...APPROVER, maxAccess: "full" });
  await log.add({ type: "policy", policy: { ...log.state.policy, maxAccess: "look" } }, NOW);
  expect(await attempt(await grant(second, { access: "chat" }))).toBe("over-ceiling");
});

test("[KL11] [case 29] an approver decides about devices, never about keys: it adds nobody, removes nobody, makes no recovery key", async () => {
  const third = await newAuthenticator(APPROVE);
  await pinned(second, APPROVER);
  expect(await attempt(await endorse(third, second))).toBe("over-ceiling");
  expect(await attempt(await pinPaper(second))).toBe("over-ceiling");
  await pinned(third);
  expect(await attempt(await remove(third, second))).toBe("over-ceiling");
});

test("[KL11] [case 29] no signature gives a role: an endorsement that carries one is refused, and an old one does not lift an approver", async () => {
  const endorsement = await endorse(second, owner);
  expect(await attempt({ ...endorsement, role: { kind: "owner" } } as KeyLogBody)).toBe("bad-statement");
  await log.add(endorsement, NOW);
  await log.add({ type: "owner-role", credentialId: second.ownerKey.credentialId, role: APPROVER }, NOW);
  expect(await attempt(endorsement)).toBe("nothing-changes");
  expect(await attempt(await grant(second, { access: "full" }))).toBe("over-ceiling");
  await log.widen({ kind: "owner-role", credentialId: second.ownerKey.credentialId, role: { kind: "owner" } }, owner, NOW);
  expect(await attempt(await grant(second, { access: "full" }))).toBe(null);
  expect(await attempt({ type: "owner-role", credentialId: "nobody", role: APPROVER })).toBe("unknown-owner-key");
});

test("[KL5] [KL11] an owner stays, whoever asks: the last one is neither taken out nor made an approver", async () => {
  await pinned(second, APPROVER);
  const { credentialId } = owner.ownerKey;
  expect(await attempt(await remove(owner, second))).toBe("last-owner-key");
  expect(await attempt({ type: "owner-remove", credentialId, authority: byHost })).toBe("last-owner-key");
  expect(await attempt({ type: "owner-role", credentialId, role: APPROVER })).toBe("last-owner-key");
  expect(await attempt({ type: "owner-remove", credentialId: second.ownerKey.credentialId, authority: byHost })).toBe(null);
});

test("[KL9] [case 29] a passkey that was taken out grants nothing, endorses nobody and makes no recovery key", async () => {
  await log.add(await endorse(second, owner), NOW);
  const before = await grant(owner);
  await log.add(await remove(owner, second), NOW);
  expect(await attempt(before)).toBe("unknown-owner-key");
  expect(await attempt(await grant(owner))).toBe("unknown-owner-key");
  expect(await attempt(await endorse(await newAuthenticator(APPROVE), owner))).toBe("unknown-owner-key");
  expect(await attempt(await pinPaper(owner))).toBe("unknown-owner-key");
  expect(await attempt(await remove(second, owner))).toBe("last-owner-key");
});

test("[KL9] [case 28] an endorsement that the relay held back until after the removal is refused, also where the passkey never came", async () => {
  const heldBack = await endorse(second, owner);
  await log.add(await remove(second, owner), NOW);
  expect(await attempt(heldBack)).toBe("revoked");
  expect(await attempt(await remove(second, owner))).toBe("nothing-changes");
});

test("[KL9] [case 28] a removal that is sent again does not undo the host's word", async () => {
  await log.add(await endorse(second, owner), NOW);
  const removal = await remove(second, owner);
  await log.add(removal, NOW);
  await pinned(second);
  expect(await attempt(removal)).toBe("revoked");
  expect(names()).toContain(second.ownerKey.credentialId);
  expect(await attempt(await remove(second, owner, NOW + 1))).toBe(null);
});

test("[KL10] a recovery key is pinned by an owner of this account, with the tag for it, and never by a word of the host", async () => {
  const stranger = await newAuthenticator(APPROVE);
  expect(await attempt(await pinPaper(stranger))).toBe("unknown-owner-key");
  expect(await attempt(await pinPaper(owner, paper.key, NOW, "b".repeat(26)))).toBe("bad-statement");
  const { key } = await newLogKey();
  expect(await attempt({ ...(await pinPaper(owner)), key } as KeyLogBody)).toBe("bad-statement");
  const weak = { kty: "OKP", crv: "Ed25519", x: "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" } as const;
  expect(await attempt(await pinPaper(owner, weak))).toBe("bad-statement");
  const body = encodeBody({ v: 1, account: ACCOUNT, key, issuedAtMs: NOW }, RECOVERY_KEY_KEYS);
  for (const type of ["login", "owner-key", "grant"] as const)
    expect(await attempt({ type: "recovery-key", key, authority: { by: "owner", signed: await owner.sign(type, body) } })).toBe(
      "bad-signature",
    );
  expect(await attempt({ type: "recovery-key", key, authority: byHost })).toBe("bad-statement");
  expect(await attempt(await pinPaper(owner))).toBe(null);
});

test("[KL10] [case 28] a recovery key that was replaced or taken out never comes back, repeated or held back", async () => {
  const [heldBack, first] = [await pinPaper(owner, (await newLogKey()).key, NOW + 5), await pinPaper(owner)];
  await log.add(first, NOW);
  await log.add(await pinPaper(owner, (await newLogKey()).key, NOW + 10), NOW);
  expect(await attempt(first)).toBe("revoked");
  expect(await attempt(heldBack)).toBe("revoked");
  expect(await attempt(await recovery(second))).toBe("bad-signature");
  expect(await attempt({ type: "recovery-key", key: null, authority: byHost })).toBe(null);
  expect(await attempt(first)).toBe("revoked");
  expect(await attempt(await recovery(second))).toBe("unknown-owner-key");
});

test("[KL10] the recovery key brings one passkey and takes out the lost ones, in one step", async () => {
  expect(await attempt(await recovery(second))).toBe("unknown-owner-key");
  await log.add(await pinPaper(owner), NOW);
  const word = await recovery(second, { gone: [owner] });
  expect(await attempt(word)).toBe(null);
  expect(names()).toEqual([second.ownerKey.credentialId]);
  expect(await attempt(await grant(second))).toBe(null);
  expect(await attempt(await grant(owner))).toBe("unknown-owner-key");
  expect(await attempt(await endorse(owner, second))).toBe("revoked");
  expect(await attempt(word)).toBe("nothing-changes");
  expect(isFault(await verifyLog(log.lines))).toBe(false);
});

test("[KL10] [case 29] nothing but the pinned recovery key recovers, for this account, with its own tag, and not what was taken out", async () => {
  await log.add(await pinPaper(owner), NOW);
  expect(await attempt(await recovery(second, { signer: await newLogKey() }))).toBe("bad-signature");
  expect(await attempt(await recovery(second, { account: "b".repeat(26) }))).toBe("bad-statement");
  for (const type of ["grant", "owner-key", "session", "login"] as const)
    expect(await attempt(await recovery(second, { type }))).toBe("bad-signature");
  expect(await attempt(await recovery(second, { gone: [second] }))).toBe("revoked");
  await log.add(await remove(second, owner), NOW);
  expect(await attempt(await recovery(second))).toBe("revoked");
});

/** Whoever found the paper writes a whole passkey's answer around its signature. */
async function forged(type: StatementType, body: Uint8Array<ArrayBuffer>, credentialId: string): Promise<SignedByOwner> {
  const list = [await statementHash(type, body)];
  const challenge = await listChallenge(list);
  const clientData = utf8(JSON.stringify({ type: "webauthn.get", challenge, origin: APPROVE, crossOrigin: false }));
  const authenticatorData = new Uint8Array(37);
  authenticatorData.set(await sha256(utf8("approve.localhost")));
  authenticatorData[32] = 0x05;
  const covered = new Uint8Array([...authenticatorData, ...(await sha256(clientData))]);
  const assertion = {
    credentialId,
    authenticatorData: toBase64url(authenticatorData),
    clientDataJSON: toBase64url(clientData),
    signature: await paper.sign(covered),
  };
  return { statement: toBase64url(body), list, assertion };
}

test("[KL10] [case 29] the recovery key signs no grant, however its answer is dressed up", async () => {
  await log.add(await pinPaper(owner), NOW);
  const bytes = await grantBytes(GATEWAY, (await newDevice()).key, NOW, { head: log.state.head.hash });
  for (const credentialId of [owner.ownerKey.credentialId, paper.key.x, toBase64url(utf8("recovery"))]) {
    const problem = await attempt({ type: "grant", signed: await forged("grant", bytes, credentialId) });
    expect(problem).toBe(credentialId === owner.ownerKey.credentialId ? "bad-signature" : "unknown-owner-key");
  }
  const body = encodeBody({ v: 1, account: ACCOUNT, ...second.ownerKey, issuedAtMs: NOW }, OWNER_KEY_KEYS);
  const authority = { by: "owner", signed: await forged("owner-key", body, paper.key.x) } as const;
  expect(await attempt({ type: "owner-add", key: second.ownerKey, authority })).toBe("unknown-owner-key");
});

test("[KL10] recovery of a passkey that is there already still takes out the lost ones, and makes an approver an owner", async () => {
  await log.add(await pinPaper(owner), NOW);
  await pinned(second, APPROVER);
  expect(await attempt(await recovery(second, { gone: [owner] }))).toBe(null);
  expect(log.state.ownerKeys).toEqual([second.ownerKey satisfies OwnerKey]);
});
