/** Every door of the Worker and the room that takes a public key, against keys that only look like ones. The others: unit/core/key-doors.test.ts. */
import { runInDurableObject } from "cloudflare:test";
import { beforeAll, expect, test } from "vitest";
import { deviceId } from "../../src/core/trust/digests.ts";
import { writeLine } from "../../src/core/trust/key-log.ts";
import { isSoundKey, verifyRaw } from "../../src/core/trust/public-key.ts";
import {
  OWNER_KEY_KEYS,
  RECOVERY_KEY_KEYS,
  RECOVER_KEYS,
  encodeBody,
  tagged,
  toBase64url,
  utf8,
} from "../../src/protocol/statement-encoding.ts";
import type { KeyLogBody } from "../../src/protocol/key-log.ts";
import type { ConnectorKey, DeviceKey, SignedByOwner } from "../../src/protocol/statements.ts";
import { handle } from "../../src/worker/app.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { BAD_ED25519, BAD_KEYS, SOUND_KEYS } from "../support/bad-keys.ts";
import { TestKeyLog, newLogKey } from "../support/test-key-log.ts";
import type { LogKey } from "../support/test-key-log.ts";
import { FakeConnector } from "./fake-connector.ts";
import { ask, askOwner, config, enrol, env, grantFor, newGateway, randomAddress, randomId } from "./world.ts";
import type { GatewayWorld } from "./world.ts";

const NOW = Date.now();
const HASH = "A".repeat(43);

let world: GatewayWorld;
let signer: LogKey;
/** The recovery key of the account. */
let paper: LogKey;

beforeAll(async () => {
  world = await newGateway();
  [signer, paper] = [await newLogKey(), await newLogKey()];
  await enrol(world, signer.key);
});

/** As a connector sends it: no browser, so no `Origin`. */
async function enrolmentStatus(path: string, key: ConnectorKey, more: object = {}): Promise<number> {
  const body = JSON.stringify({ key, commitment: HASH, machine: { name: "m", platform: "p" }, version: "0.0.0", ...more });
  const headers = { "content-type": "application/json", "cf-connecting-ip": randomAddress() };
  return (await handle(new Request(`${config.appOrigin}/api/connector/${path}`, { method: "POST", headers, body }), env)).status;
}

/** Tells the room of an entry, which the machine wrote. @returns what the room keeps then */
async function viaLog<T>(body: KeyLogBody, look: (storage: RoomStorage) => T): Promise<T> {
  const own = await newGateway(world.person);
  await enrol(own, signer.key);
  await own.room.setRecoveryKey({ account: world.person.id, signed: await recoveryKeyOf(paper.key) });
  const log = await TestKeyLog.start({
    gateway: own.gateway,
    owner: world.person.authenticator,
    approveOrigin: config.approveOrigin,
    atMs: NOW,
    signer,
  });
  const connector = await FakeConnector.up(env, own.gateway, { key: signer.key, sign: (data) => signer.sign(data) });
  const line = await writeLine(log.state, { gateway: own.gateway, atMs: NOW, body }, (bytes) => signer.sign(bytes));
  connector.say({ type: "log", lines: [...log.lines] });
  connector.say({ type: "log", lines: [line] });
  connector.say({ type: "log", lines: [...log.lines] });
  for (let acks = 0; acks < 2;) if ((await connector.control.next()).type === "log-ack") acks += 1;
  return runInDurableObject(own.room, (_room, state) => look(new RoomStorage(state.storage)));
}

const ANOTHER = toBase64url(utf8("another"));
const hasAnother = (storage: RoomStorage): boolean => storage.ownerKeys().some((owner) => owner.credentialId === ANOTHER);

/** The recovery key's word for this key. */
async function recoverEntry(key: DeviceKey): Promise<KeyLogBody> {
  const body = encodeBody({ v: 1, account: world.person.id, credentialId: ANOTHER, key, remove: [], issuedAtMs: NOW }, RECOVER_KEYS);
  return { type: "recover", signed: { statement: toBase64url(body), signature: await paper.sign(tagged("recover", body)) } };
}

/** An owner's word for this key. */
async function ownerEntry(key: DeviceKey): Promise<KeyLogBody> {
  const body = encodeBody({ v: 1, account: world.person.id, credentialId: ANOTHER, key, issuedAtMs: NOW }, OWNER_KEY_KEYS);
  const signed = await world.person.authenticator.sign("owner-key", body);
  return { type: "owner-add", key: { credentialId: ANOTHER, key }, authority: { by: "owner", signed } };
}

function recoveryKeyOf(key: ConnectorKey): Promise<SignedByOwner> {
  const body = { v: 1, account: world.person.id, key, issuedAtMs: NOW };
  return world.person.authenticator.sign("recovery-key", encodeBody(body, RECOVERY_KEY_KEYS));
}

/** Each takes a key and says whether it was let through. */
const DOORS: readonly (readonly [name: string, takes: (key: DeviceKey) => Promise<boolean>])[] = [
  ["the check itself, in workerd", (key) => Promise.resolve(isSoundKey(key))],
  [
    "the door's challenge",
    async (key) => (await ask(`${world.origin}/.gatehouse/api/challenge`, { method: "POST", body: { key } })).status === 200,
  ],
  [
    "a grant's device key",
    async (key) => {
      const waiting = await askOwner(world);
      const { signed } = await grantFor(world, waiting, { key, device: await deviceId(world.gateway, key), kind: "owner", request: null, activation: HASH }); // prettier-ignore
      const answer = await world.room.ownerGrant({ account: world.person.id, signed });
      await world.room.deny({ account: world.person.id, request: waiting.request, block: false });
      return answer.ok;
    },
  ],
  [
    "an endorsed owner key",
    async (key) => {
      const body = { v: 1, account: world.person.id, credentialId: toBase64url(utf8(randomId())), key, issuedAtMs: NOW };
      const signed = await world.person.authenticator.sign("owner-key", encodeBody(body, OWNER_KEY_KEYS));
      return (await world.room.addOwnerKey({ account: world.person.id, signed })).ok;
    },
  ],
  [
    "an owner key that the recovery key lets in",
    async (key) => {
      const [own, paper] = [await newGateway(world.person), await newLogKey()];
      expect(await own.room.setRecoveryKey({ account: world.person.id, signed: await recoveryKeyOf(paper.key) })).toMatchObject({
        ok: true,
      });
      const body = { v: 1, account: world.person.id, credentialId: ANOTHER, key, remove: [], issuedAtMs: NOW };
      const bytes = encodeBody(body, RECOVER_KEYS);
      const signed = { statement: toBase64url(bytes), signature: await paper.sign(tagged("recover", bytes)) };
      return (await own.room.recoverOwners({ account: world.person.id, signed })).ok;
    },
  ],
  ["an owner key in the log's copy", async (key) => viaLog(await ownerEntry(key), hasAnother)],
  ["an owner key that the recovery key let in, in the log's copy", async (key) => viaLog(await recoverEntry(key), hasAnother)],
];

test.each(DOORS)("[case 32] %s: two sound keys pass", async (_name, takes) => {
  for (const key of SOUND_KEYS) expect(await takes(key)).toBe(true);
});

test.each(DOORS.flatMap(([door, takes]) => BAD_KEYS.map(([what, key]) => [`${door}: ${what}`, takes, key] as const)))(
  "[case 32] refused at %s",
  async (_name, takes, key) => {
    expect(await takes(key)).toBe(false);
  },
);

test.each(BAD_ED25519)("[case 32] no connector key, neither by claim link nor by code nor on the link: %s", async (_what, key) => {
  expect(await enrolmentStatus("claims", key)).toBe(400);
  expect(await enrolmentStatus("redeem", key, { code: "gthc_x" })).toBe(400);
  const connector = await FakeConnector.dial(env, world.gateway, randomAddress());
  await connector.hello(world.gateway, { key, sign: () => Promise.resolve(`AQ${"A".repeat(84)}`) });
  expect((await connector.closed).code).toBe(4410);
  expect(await verifyRaw(key, new Uint8Array(64), utf8("x"))).toBe(false);
});

test("[case 32] no recovery key, neither signed by an owner nor in the log's copy: small order, not canonical, off the curve", async () => {
  const kept = async (key: ConnectorKey): Promise<[boolean, boolean]> => {
    const signed = await recoveryKeyOf(key);
    const own = await newGateway(world.person);
    const told = await own.room.setRecoveryKey({ account: world.person.id, signed });
    const entry = { type: "recovery-key", key, authority: { by: "owner", signed } } as const;
    return [told.ok, await viaLog(entry, (storage) => storage.recoveryKey()?.key.x === key.x)];
  };
  for (const [what, key] of BAD_ED25519) expect(await kept(key), what).toEqual([false, false]);
  expect(await kept((await newLogKey()).key)).toEqual([true, true]);
});

test("[case 32] a sound connector key passes these doors", async () => {
  expect(await enrolmentStatus("claims", signer.key)).toBe(200);
});
