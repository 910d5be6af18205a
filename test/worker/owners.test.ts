/** Who may decide, over HTTP and in the rooms: signed changes reach every gateway, also one that is away; the page is told how far each came. */
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, expect, test } from "vitest";
import type { OwnersView } from "../../src/protocol/approval-api.ts";
import {
  OWNER_KEY_KEYS,
  OWNER_REMOVE_KEYS,
  RECOVERY_KEY_KEYS,
  RECOVER_KEYS,
  encodeBody,
  tagged,
  toBase64url,
} from "../../src/protocol/statement-encoding.ts";
import type { OwnerKey, SignedByOwner, SignedByRecovery } from "../../src/protocol/statements.ts";
import { sealed } from "../../src/worker/auth/passkey-seal.ts";
import { insertPasskey } from "../../src/worker/db/account-queries.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { newAuthenticator } from "../support/fake-authenticator.ts";
import type { Authenticator } from "../support/fake-authenticator.ts";
import { TestKeyLog, newLogKey } from "../support/test-key-log.ts";
import type { LogKey } from "../support/test-key-log.ts";
import { FakeConnector } from "./fake-connector.ts";
import { ask, askOwner, config, dump, enrol, env, grantFor, newGateway, newPerson } from "./world.ts";
import type { GatewayWorld } from "./world.ts";

const NOW = Date.now();

let world: GatewayWorld;
let account: string;
let first: Authenticator;
let second: Authenticator;
let cookie: string;

beforeEach(async () => {
  world = await newGateway();
  account = world.person.id;
  first = world.person.authenticator;
  second = await register();
  cookie = await world.person.cookie("approve");
});

/** A further passkey of the account, which no gateway has heard of. */
async function register(accountId = account): Promise<Authenticator> {
  const made = await newAuthenticator(config.approveOrigin);
  const { credentialId, key } = made.ownerKey;
  const row = { credentialId, accountId, name: "Passkey 2", coseKey: "AA", jwk: JSON.stringify(key), createdAtMs: 2, lastUsedAtMs: null };
  await insertPasskey(env.DB, await sealed(env, row));
  return made;
}

function endorse(of: OwnerKey, by = first, ofAccount = account): Promise<SignedByOwner> {
  return by.sign("owner-key", encodeBody({ v: 1, account: ofAccount, ...of, issuedAtMs: NOW }, OWNER_KEY_KEYS));
}

function remove(credentialId: string, by: Authenticator, ofAccount = account): Promise<SignedByOwner> {
  return by.sign("owner-remove", encodeBody({ v: 1, account: ofAccount, credentialId, issuedAtMs: NOW }, OWNER_REMOVE_KEYS));
}

function pin(paper: LogKey, by = first, issuedAtMs = NOW): Promise<SignedByOwner> {
  return by.sign("recovery-key", encodeBody({ v: 1, account, key: paper.key, issuedAtMs }, RECOVERY_KEY_KEYS));
}

async function recover(of: OwnerKey, paper: LogKey, lost: readonly string[] = []): Promise<SignedByRecovery> {
  const body = encodeBody({ v: 1, account, ...of, remove: lost, issuedAtMs: NOW }, RECOVER_KEYS);
  return { statement: toBase64url(body), signature: await paper.sign(tagged("recover", body)) };
}

async function post(path: string, body: object, as = cookie): Promise<{ status: number; outcomes: unknown; code: string | null }> {
  const answer = await ask(`${config.approveOrigin}/api/auth/${path}`, { method: "POST", cookie: as, body });
  const json: { gateways?: { name: string; outcome: string }[]; error?: { code: string } } = await answer.json();
  return { status: answer.status, outcomes: json.gateways?.map(({ outcome }) => outcome), code: json.error?.code ?? null };
}

async function view(): Promise<OwnersView> {
  return (await ask(`${config.approveOrigin}/api/auth/owners`, { cookie })).json();
}

const idOf = (of: Authenticator): string => of.ownerKey.credentialId;

async function standing(of: Authenticator): Promise<unknown[]> {
  return (await view()).gateways.map((gateway) => gateway.keys?.find((key) => key.credentialId === idOf(of))?.state ?? null);
}

function inRoom<T>(look: (storage: RoomStorage) => T, of = world): Promise<T> {
  return runInDurableObject(of.room, (_room, state) => look(new RoomStorage(state.storage)));
}

const owed = (of = world): Promise<string[]> => inRoom((storage) => storage.owed().map((message) => message.type), of);

/** Whether the room takes this passkey's yes. */
async function decides(with_: Authenticator, changes: Parameters<typeof grantFor>[2] = {}): Promise<boolean> {
  const waiting = await askOwner(world);
  const { bytes } = await grantFor(world, waiting, changes);
  const signed = await with_.sign("grant", bytes);
  return (await world.room.allow({ account, request: waiting.request, code: waiting.digits, signed })).ok;
}

test("[KL9] [LINK7] a passkey is added at every gateway, also at one that is away: it is told when it comes", async () => {
  const away = await newGateway(world.person);
  const here = await world.connect();
  expect(await post("passkeys/endorse", await endorse(second.ownerKey))).toMatchObject({ status: 200, outcomes: ["done", "waiting"] });
  await here.next("owner-key");
  expect(await standing(second)).toEqual(["trusted", "adding"]);
  const back = await away.connect();
  await back.next("owner-key");
  await expect.poll(() => standing(second)).toEqual(["trusted", "trusted"]);
});

test("[KL9] [case 29] a removed passkey decides nothing from that moment, at every gateway, and its connector is owed the removal", async () => {
  const away = await newGateway(world.person);
  await post("passkeys/endorse", await endorse(second.ownerKey));
  expect(await decides(second)).toBe(true);
  expect(await post("passkeys/remove", await remove(idOf(second), first))).toMatchObject({ status: 200, outcomes: ["waiting", "waiting"] });
  expect(await decides(second)).toBe(false);
  expect(await decides(first)).toBe(true);
  expect(await standing(second)).toEqual(["removing", "removing"]);
  expect(await owed(away)).toEqual(["owner-key", "owner-remove"]);
  const me: { passkeys: unknown[] } = await (await ask(`${config.approveOrigin}/api/auth/me`, { cookie })).json();
  expect(me.passkeys).toHaveLength(1);
  const connector = await away.connect({ answer: false });
  const added = await connector.next("owner-key");
  connector.send({ type: "result", id: added.id, ok: true });
  const gone = await connector.next("owner-remove");
  expect(await owed(away)).toContain("owner-remove");
  connector.send({ type: "result", id: gone.id, ok: true });
  await expect.poll(() => owed(away)).toEqual([]);
  expect(await standing(second)).toEqual(["removing", null]);
});

test("[KL5] [KL9] nobody removes a passkey without another one of the account: not itself, not the last, not another account's, not a sign-in", async () => {
  const stranger = await newPerson();
  const before = await dump(world.room);
  const body = encodeBody({ v: 1, account, credentialId: idOf(second), issuedAtMs: NOW }, OWNER_REMOVE_KEYS);
  for (const signed of [
    await remove(idOf(second), second),
    await remove(idOf(second), stranger.authenticator),
    await remove(idOf(second), first, stranger.id),
    await first.sign("login", body),
    await first.sign("owner-key", body),
  ])
    expect(await post("passkeys/remove", signed)).toMatchObject({ status: 422, code: "grant-refused" });
  const own = await remove(idOf(stranger.authenticator), stranger.authenticator, stranger.id);
  const theirs = await stranger.cookie("approve");
  expect(await post("passkeys/remove", own, theirs)).toMatchObject({ status: 409, code: "conflict" });
  expect(await post("passkeys/remove", await remove(idOf(second), first), theirs)).toMatchObject({ status: 422 });
  expect((await ask(`${config.approveOrigin}/api/auth/passkeys/${idOf(second)}`, { method: "DELETE", cookie })).status).toBe(404);
  expect(withoutSessions(await dump(world.room))).toBe(withoutSessions(before));
});

/** Signing in to ask adds a session. */
function withoutSessions(text: string): string {
  const [tables, stored] = JSON.parse(text) as [unknown[], unknown];
  const at = tables.indexOf("account_sessions");
  return JSON.stringify([tables.toSpliced(at, 2), stored]);
}

test("[KL9] a passkey from a recovery code removes the lost one from the account; a gateway that does not trust it says so, and keeps its own word", async () => {
  expect(await post("passkeys/remove", await remove(idOf(first), second))).toMatchObject({ status: 200, outcomes: ["refused"] });
  expect(await standing(first)).toEqual(["trusted"]);
  expect(await standing(second)).toEqual([null]);
  expect(await owed()).toEqual([]);
});

test("[KL9] what the connector refused does not stand in the room, and the owner finds it in the activity", async () => {
  const connector = await world.connect({ answer: false });
  const asked = post("passkeys/endorse", await endorse(second.ownerKey));
  connector.send({ type: "result", id: (await connector.next("owner-key")).id, ok: false, refusal: "revoked" });
  expect(await asked).toMatchObject({ outcomes: ["refused"] });
  expect(await standing(second)).toEqual([null]);
  expect(await decides(second)).toBe(false);
  const actions = await inRoom((storage) =>
    storage.outbox(1000).flatMap(({ event }) => (event.kind === "audit" ? [event.row.action] : [])),
  );
  expect(actions).toContain("owner-key-refused");
});

test("[KL9] [KL6] a removal that the connector refuses leaves the passkey its say; one refused for an alarm stays owed until the alarm is over", async () => {
  await inRoom((storage) => storage.put("owner_keys", idOf(second), second.ownerKey));
  const connector = await world.connect({ answer: false });
  const asked = world.room.removeOwnerKey({ account, signed: await remove(idOf(second), first) });
  connector.send({ type: "result", id: (await connector.next("owner-remove")).id, ok: false, refusal: "last-owner-key" });
  expect(await asked).toEqual({ ok: true, value: "refused" });
  expect(await standing(second)).toEqual(["trusted"]);
  const third = await register();
  const added = world.room.addOwnerKey({ account, signed: await endorse(third.ownerKey) });
  connector.send({ type: "result", id: (await connector.next("owner-key")).id, ok: false, refusal: "alarm" });
  expect(await added).toEqual({ ok: true, value: "waiting" });
  expect(await owed()).toEqual(["owner-key"]);
  connector.send({ type: "alarm", alarm: "fork", atMs: NOW });
  connector.send({ type: "alarm-over" });
  connector.send({ type: "result", id: (await connector.next("owner-key")).id, ok: true });
  await expect.poll(() => owed()).toEqual([]);
});

test("[LINK7] [KL9] between a link's welcome and its acknowledgement: what a passkey says goes behind the word that brings it, which was owed already", async () => {
  const key = await newLogKey();
  await enrol(world, key.key);
  expect(await world.room.addOwnerKey({ account, signed: await endorse(second.ownerKey) })).toEqual({ ok: true, value: "waiting" });
  const connector = await FakeConnector.dial(env, world.gateway);
  await connector.hello(world.gateway, { key: key.key, sign: (data) => key.sign(data) });
  expect((await connector.control.next()).type).toBe("welcome");
  const removed = world.room.removeOwnerKey({ account, signed: await remove(idOf(first), second) });
  const sent = [await connector.control.next(), await connector.control.next()];
  expect(sent.map((message) => message.type)).toEqual(["owner-key", "owner-remove"]);
  for (const message of sent) if ("id" in message) connector.say({ type: "result", id: message.id, ok: true });
  expect(await removed).toEqual({ ok: true, value: "done" });
  expect(await owed()).toEqual([]);
});

test("[KL10] a recovery key is signed by a passkey of the account, known to every gateway, and to those that are added later", async () => {
  const [paper, stranger] = [await newLogKey(), await newPerson()];
  for (const signed of [
    await pin(paper, stranger.authenticator),
    await first.sign("login", encodeBody({ v: 1, account, key: paper.key, issuedAtMs: NOW }, RECOVERY_KEY_KEYS)),
    await endorse(second.ownerKey),
  ])
    expect(await post("recovery-key", signed)).toMatchObject({ status: 422, code: "grant-refused" });
  expect((await view()).recoveryKey).toBe(null);
  expect(await post("recovery-key", await pin(paper))).toMatchObject({ status: 200, outcomes: ["waiting"] });
  expect(await view()).toMatchObject({ recoveryKey: paper.key, gateways: [{ recovery: { key: paper.key, state: "adding" } }] });
  const connector = await world.connect({ answer: false });
  const message = await connector.next("recovery-key");
  connector.send({ type: "result", id: message.id, ok: true });
  await expect.poll(async () => (await view()).gateways[0]?.recovery?.state).toBe("trusted");
  const later = await newGateway(world.person);
  await enrol(later, later.key, { recovery: message.signed });
  expect(await owed(later)).toEqual(["recovery-key"]);
});

test("[KL10] [case 29] the recovery key brings a passkey of the account and takes out lost ones; a stranger's paper, an older one or another passkey do nothing", async () => {
  const [old, paper] = [await newLogKey(), await newLogKey()];
  await post("recovery-key", await pin(old, first, NOW - 5));
  await post("recovery-key", await pin(paper));
  expect(await world.room.setRecoveryKey({ account, signed: await pin(old, first, NOW - 5) })).toEqual({
    ok: false,
    failure: "grant-refused",
  });
  const notMine = await newAuthenticator(config.approveOrigin);
  expect(await post("recover-gateways", await recover(notMine.ownerKey, paper))).toMatchObject({ status: 422 });
  for (const wrong of [old, await newLogKey()])
    expect(await post("recover-gateways", await recover(second.ownerKey, wrong, [idOf(first)]))).toMatchObject({ outcomes: ["refused"] });
  expect(await decides(second)).toBe(false);
  expect(await post("recover-gateways", await recover(second.ownerKey, paper, [idOf(first)]))).toMatchObject({ outcomes: ["waiting"] });
  expect([await decides(second), await decides(first)]).toEqual([true, false]);
  expect(await standing(first)).toEqual(["removing"]);
  const connector = await world.connect({ answer: false });
  connector.send({ type: "result", id: (await connector.next("recovery-key")).id, ok: true });
  connector.send({ type: "result", id: (await connector.next("recover")).id, ok: true });
  await expect.poll(() => standing(first)).toEqual([null]);
  const me: { passkeys: { id: string }[] } = await (await ask(`${config.approveOrigin}/api/auth/me`, { cookie })).json();
  expect(me.passkeys.map(({ id }) => id)).toEqual([idOf(second)]);
});

test("[KL10] [case 40] a recovery key's row that was moved, rewritten or brought back in D1 is nobody's: not shown, and no new machine is told it", async () => {
  const [old, paper] = [await newLogKey(), await newLogKey()];
  const row = async () => env.DB.prepare("SELECT statement, assertion, seal FROM recovery_keys WHERE account_id = ?").bind(account).first<Record<string, string>>(); // prettier-ignore
  const write = async (values: Record<string, string> | null): Promise<void> => {
    const { statement = "", assertion = "", seal = "" } = values ?? {};
    await env.DB.prepare("UPDATE recovery_keys SET statement = ?, assertion = ?, seal = ? WHERE account_id = ?").bind(statement, assertion, seal, account).run(); // prettier-ignore
  };
  await post("recovery-key", await pin(old, first, NOW - 5));
  const before = await row();
  await post("recovery-key", await pin(paper));
  const now = await row();
  expect((await view()).recoveryKey).toEqual(paper.key);
  // Another key, signed by another account's passkey, or by nobody; an older statement under the seal of the newer one; no seal at all.
  const stranger = await newPerson();
  const theirs = await pin(await newLogKey(), stranger.authenticator);
  for (const forged of [
    { ...now, statement: theirs.statement, assertion: JSON.stringify({ list: theirs.list, assertion: theirs.assertion }) },
    { ...now, statement: before?.["statement"] ?? "" },
    { ...before, seal: now?.["seal"] ?? "" },
    { ...now, seal: "" },
    { ...now, assertion: "{" },
  ]) {
    await write(forged);
    expect((await view()).recoveryKey).toBe(null);
  }
  await write(now);
  expect((await view()).recoveryKey).toEqual(paper.key);
  // The whole row, at another account.
  const cookies = await stranger.cookie("approve");
  await env.DB.prepare("UPDATE recovery_keys SET account_id = ? WHERE account_id = ?").bind(stranger.id, account).run();
  const seen = await ask(`${config.approveOrigin}/api/auth/owners`, { cookie: cookies });
  expect(await seen.json()).toEqual({ gateways: [], recoveryKey: null });
  await env.DB.prepare("UPDATE recovery_keys SET account_id = ? WHERE account_id = ?").bind(account, stranger.id).run();
});

test("[KL10] a machine that is connected anew and does not take the account's recovery key is not passed over: the activity says so", async () => {
  const paper = await newLogKey();
  const later = await newGateway(world.person);
  const actions = async (): Promise<string[]> => {
    const lines = await later.room.auditLines({ account, from: 0, isExport: false });
    return lines.ok ? lines.value.map((line) => (JSON.parse(line) as { action: string }).action) : [];
  };
  // Signed by a passkey that this machine does not pin: the room's own no.
  await enrol(later, later.key, { recovery: await pin(paper, second) });
  expect(await actions()).toContain("recovery-key-not-taken");
  expect(await owed(later)).toEqual([]);
  // And the connector's.
  await enrol(later, later.key, { recovery: await pin(paper) });
  const connector = await later.connect({ answer: false });
  connector.send({ type: "result", id: (await connector.next("recovery-key")).id, ok: false, refusal: "unknown-owner-key" });
  await expect.poll(actions).toContain("recovery-key-refused");
  expect((await actions()).filter((action) => action === "recovery-key-not-taken")).toHaveLength(1);
});

test("[KL11] [case 37] the room holds an approver to its ceiling, and takes no word of it about keys", async () => {
  const role = { kind: "approver", maxAccess: "chat", maxExpiryMs: 3_600_000 } as const;
  await inRoom((storage) => storage.put("owner_keys", idOf(second), { ...second.ownerKey, role }));
  expect(await decides(second, { access: "full" })).toBe(false);
  expect(await decides(second, { access: "chat", notAfterMs: Date.now() + 2 * 3_600_000 })).toBe(false);
  const third = await register();
  expect(await world.room.addOwnerKey({ account, signed: await endorse(third.ownerKey, second) })).toMatchObject({ ok: false });
  expect(await world.room.removeOwnerKey({ account, signed: await remove(idOf(first), second) })).toMatchObject({ ok: false });
  expect(await world.room.setRecoveryKey({ account, signed: await pin(await newLogKey(), second) })).toMatchObject({ ok: false });
  const issuedAtMs = Date.now();
  expect(await decides(second, { access: "chat", issuedAtMs, notAfterMs: issuedAtMs + 3_600_000 })).toBe(true);
});

test("[KL6] [KL11] what the machine says about roles and the recovery key counts in the room", async () => {
  const key = await newLogKey();
  await enrol(world, key.key);
  const log = await TestKeyLog.start({ gateway: world.gateway, owner: world.person.authenticator, approveOrigin: config.approveOrigin, atMs: NOW, signer: key, account }); // prettier-ignore
  const role = { kind: "approver", maxAccess: "look", maxExpiryMs: 3_600_000 } as const;
  const [paper, third] = [await newLogKey(), await register()];
  const byHost = { by: "host" } as const;
  await log.widen({ kind: "owner-add", key: second.ownerKey, role }, first, NOW);
  await log.add({ type: "recovery-key", key: paper.key, authority: { by: "owner", signed: await pin(paper) } }, NOW);
  await log.add({ type: "recover", signed: await recover(third.ownerKey, paper, [idOf(first)]) }, NOW);
  const connector = await FakeConnector.up(env, world.gateway, { key: key.key, sign: (data) => key.sign(data) });
  const taken = async (): Promise<void> => {
    for (;;) if ((await connector.control.next()).type === "log-ack") return;
  };
  connector.say({ type: "log", lines: log.lines });
  await taken();
  expect((await view()).gateways[0]?.keys?.map(({ credentialId, role: said }) => [credentialId, said.kind])).toEqual([[idOf(second), "approver"], [idOf(third), "owner"]]); // prettier-ignore
  expect((await view()).gateways[0]?.recovery).toEqual({ key: paper.key, state: "trusted" });
  const lines = await world.room.auditLines({ account, from: 0, isExport: false });
  expect(lines.ok ? lines.value.filter((line) => line.includes('"log-recover"')) : []).toHaveLength(1);
  await log.widen({ kind: "owner-role", credentialId: idOf(second), role: { kind: "owner" } }, third, NOW);
  await log.add({ type: "recovery-key", key: null, authority: byHost }, NOW);
  connector.say({ type: "log", lines: log.lines.slice(-3) });
  await taken();
  expect((await view()).gateways[0]).toMatchObject({ keys: [{ role: { kind: "owner" } }, { role: { kind: "owner" } }], recovery: null });
});

test("[case 40] another account's gateways are told nothing and show nothing", async () => {
  const stranger = await newPerson();
  const refused = { ok: false, failure: "not-found" };
  const signed = await endorse(second.ownerKey);
  const before = await dump(world.room);
  expect(await world.room.owners({ account: stranger.id })).toEqual(refused);
  expect(await world.room.setRecoveryKey({ account: stranger.id, signed })).toEqual(refused);
  expect(await world.room.recoverOwners({ account: stranger.id, signed: await recover(second.ownerKey, await newLogKey()) })).toEqual(
    refused,
  );
  expect(await dump(world.room)).toBe(before);
  const seen = await ask(`${config.approveOrigin}/api/auth/owners`, { cookie: await stranger.cookie("approve") });
  expect(await seen.json()).toEqual({ gateways: [], recoveryKey: null });
});
