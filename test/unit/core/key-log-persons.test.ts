/** Persons in the key log: an owner's signature brings one passkey to one gateway in one role, and a relay gains nothing by holding back or repeating. */
import { beforeEach, expect, test } from "vitest";
import { loggedRole } from "../../../src/core/trust/key-log-owners.ts";
import { readOwnerKey } from "../../../src/core/trust/statement.ts";
import { ownerChangeOf } from "../../../src/connector/link/owner-change.ts";
import type { KeyLogBody } from "../../../src/protocol/key-log.ts";
import { OWNER_KEY_KEYS, OWNER_REMOVE_KEYS, encodeBody } from "../../../src/protocol/statement-encoding.ts";
import type { GrantStatement, PersonRole, SignedByOwner } from "../../../src/protocol/statements.ts";
import { newAuthenticator } from "../../support/fake-authenticator.ts";
import type { Authenticator } from "../../support/fake-authenticator.ts";
import { grantBytes, newDevice } from "../../support/fake-device.ts";
import { TestKeyLog } from "../../support/test-key-log.ts";

const NOW = 1_800_000_000_000;
const GATEWAY = "abcdefghijklmnopqrstuvw";
const OTHER_GATEWAY = "bbcdefghijklmnopqrstuvw";
const APPROVE = "http://approve.localhost:8787";
const ACCOUNT = "a".repeat(26);
const HOUR_MS = 3_600_000;
const OWNER: PersonRole = { kind: "owner" };
const APPROVER: PersonRole = { kind: "approver", maxAccess: "chat", maxExpiryMs: HOUR_MS };
const VIEWER: PersonRole = { kind: "viewer" };

let owner: Authenticator;
let ann: Authenticator;
let ben: Authenticator;
let log: TestKeyLog;

beforeEach(async () => {
  [owner, ann, ben] = await Promise.all([newAuthenticator(APPROVE), newAuthenticator(APPROVE), newAuthenticator(APPROVE)]);
  log = await TestKeyLog.start({ gateway: GATEWAY, owner: owner, approveOrigin: APPROVE, atMs: NOW });
});

const attempt = (body: KeyLogBody) => log.attempt(body, NOW);

interface Confirming {
  readonly by?: Authenticator;
  readonly gateway?: string;
  readonly head?: string | null;
}

function confirmed(of: Authenticator, role: PersonRole, { by = owner, gateway = GATEWAY, head = log.state.head.hash }: Confirming = {}) {
  const body = { v: 1, account: ACCOUNT, ...of.ownerKey, issuedAtMs: NOW, person: { gateway, role, head } };
  return by.sign("owner-key", encodeBody(body, OWNER_KEY_KEYS));
}

/** The entry that the connector makes of what came over the link. */
function entryOf(signed: SignedByOwner): KeyLogBody {
  const body = ownerChangeOf({ type: "owner-key", id: "x", signed });
  if (body === null) throw new Error("no entry");
  return body;
}

const confirm = async (...args: Parameters<typeof confirmed>) => attempt(entryOf(await confirmed(...args)));

async function removal(of: Authenticator, by: Authenticator, gateway: string | null = GATEWAY, issuedAtMs = NOW): Promise<KeyLogBody> {
  const { credentialId } = of.ownerKey;
  const bytes = encodeBody({ v: 1, account: ACCOUNT, credentialId, issuedAtMs, gateway: gateway ?? undefined }, OWNER_REMOVE_KEYS);
  return { type: "owner-remove", credentialId, authority: { by: "owner", signed: await by.sign("owner-remove", bytes) } };
}

async function grant(signer: Authenticator, changes: Partial<GrantStatement> = {}): Promise<KeyLogBody> {
  const bytes = await grantBytes(GATEWAY, (await newDevice()).key, NOW, { head: log.state.head.hash, ...changes });
  return { type: "grant", signed: await signer.sign("grant", bytes) };
}

const names = (): string[] => log.state.ownerKeys.map((key) => key.credentialId);

test("[KL13] an owner's signature brings a person as an approver, whose word counts up to the ceiling in it", async () => {
  expect(await confirm(ann, APPROVER)).toBe(null);
  expect(log.state.ownerKeys.at(-1)).toEqual({ ...ann.ownerKey, role: APPROVER });
  expect(await attempt(await grant(ann))).toBe("over-ceiling");
  expect(await attempt(await grant(ann, { access: "chat", notAfterMs: NOW + HOUR_MS + 1 }))).toBe("over-ceiling");
  expect(await attempt(await grant(ann, { access: "chat", notAfterMs: NOW + HOUR_MS }))).toBe(null);
});

test("[KL13] [case 29] an approver adds nobody, whatever the role; an owner who was added so does", async () => {
  expect(await confirm(ann, APPROVER)).toBe(null);
  for (const role of [OWNER, APPROVER]) expect(await confirm(ben, role, { by: ann })).toBe("over-ceiling");
  expect(await confirm(ben, OWNER)).toBe(null);
  expect(await confirm(await newAuthenticator(APPROVE), APPROVER, { by: ben })).toBe(null);
});

test("[KL13] [case 29] a word about a person counts at the gateway that it names, and nowhere else", async () => {
  expect(await confirm(ann, APPROVER, { gateway: OTHER_GATEWAY })).toBe("wrong-gateway");
  expect(names()).toEqual([owner.ownerKey.credentialId]);
});

test("[KL13] [case 29] an entry carries exactly the role that was signed: no other, none, and never a viewer's", async () => {
  const signed = await confirmed(ann, APPROVER);
  const authority = { by: "owner", signed } as const;
  expect(await attempt({ type: "owner-add", key: ann.ownerKey, authority })).toBe("bad-statement");
  const wider = { kind: "approver", maxAccess: "full", maxExpiryMs: HOUR_MS } as const;
  expect(await attempt({ type: "owner-add", key: ann.ownerKey, authority, role: wider })).toBe("bad-statement");
  const viewer = await confirmed(ann, VIEWER);
  expect(ownerChangeOf({ type: "owner-key", id: "x", signed: viewer })).toBe(null);
  expect(loggedRole(readOwnerKey(viewer.statement)?.body ?? ({} as never))).toBe(null);
  expect(await attempt({ type: "owner-add", key: ann.ownerKey, authority: { by: "owner", signed: viewer } })).toBe("bad-statement");
  expect(names()).toEqual([owner.ownerKey.credentialId]);
});

test("[KL13] a ceiling above the policy of the host is refused, in access and in time", async () => {
  await log.add({ type: "policy", policy: { maxAccess: "chat", maxExpiryMs: HOUR_MS } }, NOW);
  expect(await confirm(ann, { kind: "approver", maxAccess: "full", maxExpiryMs: HOUR_MS })).toBe("over-ceiling");
  expect(await confirm(ann, { kind: "approver", maxAccess: "look", maxExpiryMs: HOUR_MS + 1 })).toBe("over-ceiling");
  expect(await confirm(ann, APPROVER)).toBe(null);
});

test("[KL13] [case 29] a confirmation that was held back until after the removal is void; one that was signed knowing of it counts", async () => {
  const early = entryOf(await confirmed(ann, OWNER));
  expect(await confirm(ann, APPROVER)).toBe(null);
  expect(await attempt(await removal(ann, owner))).toBe(null);
  for (const held of [
    early,
    entryOf(await confirmed(ann, OWNER, { head: null })),
    entryOf(await confirmed(ann, OWNER, { head: "A".repeat(43) })),
  ])
    expect(await attempt(held)).toBe("revoked");
  expect(names()).toEqual([owner.ownerKey.credentialId]);
  expect(await confirm(ann, APPROVER)).toBe(null);
  expect(await attempt(early)).toBe("nothing-changes");
  expect(log.state.ownerKeys.at(-1)).toEqual({ ...ann.ownerKey, role: APPROVER });
});

test("[KL13] a removal that names a gateway works there alone, and once", async () => {
  expect(await confirm(ann, APPROVER)).toBe(null);
  expect(await attempt(await removal(ann, owner, OTHER_GATEWAY))).toBe("wrong-gateway");
  const once = await removal(ann, owner);
  expect(await attempt(once)).toBe(null);
  expect(await confirm(ann, APPROVER)).toBe(null);
  expect(await attempt(once)).toBe("revoked");
  expect(names()).toContain(ann.ownerKey.credentialId);
});

test("[KL13] a person's passkey takes itself out of one gateway, and nobody else; the last owner's stays", async () => {
  expect(await confirm(ann, APPROVER)).toBe(null);
  expect(await confirm(ben, OWNER)).toBe(null);
  expect(await attempt(await removal(ben, ann))).toBe("over-ceiling");
  // Without a gateway it is a word about every gateway of the account: none takes itself out by it.
  expect(await attempt(await removal(ann, ann, null))).toBe("unknown-owner-key");
  expect(await attempt(await removal(ann, ann))).toBe(null);
  expect(await attempt(await removal(ben, ben))).toBe(null);
  expect(await attempt(await removal(owner, owner))).toBe("last-owner-key");
  expect(names()).toEqual([owner.ownerKey.credentialId]);
});
