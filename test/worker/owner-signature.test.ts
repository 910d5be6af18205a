/** Nothing but the approval page obtains an owner's signature: what a passkey signed elsewhere, or as something else, decides nothing. */
import { beforeAll, expect, test } from "vitest";
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { activationHash } from "../../src/core/trust/digests.ts";
import { LOCAL_ACT_KEYS, OWNER_KEY_KEYS, OWNER_REMOVE_KEYS, RECOVERY_KEY_KEYS, encodeBody } from "../../src/protocol/statement-encoding.ts";
import type { StatementType } from "../../src/protocol/statement-encoding.ts";
import type { SignedByOwner } from "../../src/protocol/statements.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { newAuthenticator } from "../support/fake-authenticator.ts";
import type { Authenticator } from "../support/fake-authenticator.ts";
import { grantBytes } from "../support/fake-device.ts";
import { newLogKey } from "../support/test-key-log.ts";
import { ask, askOwner, config, dump, newGateway } from "./world.ts";
import type { GatewayWorld, WaitingDevice } from "./world.ts";

const rpId = new URL(config.approveOrigin).hostname;
const { host, port, protocol } = new URL(config.approveOrigin);

let world: GatewayWorld;
let waiting: WaitingDevice;
let cookie: string;
let other: Authenticator;

beforeAll(async () => {
  world = await newGateway();
  other = await newAuthenticator(config.approveOrigin);
  await runInDurableObject(world.room, (_room, state) =>
    new RoomStorage(state.storage).put("owner_keys", other.ownerKey.credentialId, other.ownerKey),
  );
  waiting = await askOwner(world);
  cookie = await world.person.cookie("approve");
  await runDurableObjectAlarm(world.room);
});

interface ActOfOwner {
  readonly tag: StatementType;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** @returns whether it was refused as not signed for this */
  readonly refused: (signed: SignedByOwner) => Promise<boolean>;
}

/** Each act that a passkey of the account may decide, with the tag that belongs to it. */
async function acts(): Promise<readonly ActOfOwner[]> {
  const { gateway, person, room } = world;
  const base = `${config.approveOrigin}/api/decisions/${gateway}`;
  const { key } = waiting.device;
  const now = Date.now();
  const second = (await newAuthenticator(config.approveOrigin)).ownerKey;
  const owner = { v: 1, account: person.id, credentialId: second.credentialId };
  const post = async (path: string, body: object): Promise<boolean> =>
    (await ask(base + path, { method: "POST", cookie, body })).status === 422;
  const own = { kind: "owner", request: null, activation: await activationHash("c") } as const;
  return [
    {
      tag: "grant",
      bytes: await grantBytes(gateway, key, now, { request: waiting.request }),
      refused: (signed) => post(`/requests/${waiting.request}/allow`, { signed, code: waiting.digits }),
    },
    { tag: "grant", bytes: await grantBytes(gateway, key, now, own), refused: (signed) => post("/owner", { signed }) },
    {
      tag: "owner-key",
      bytes: encodeBody({ ...owner, key: second.key, issuedAtMs: now }, OWNER_KEY_KEYS),
      refused: async (signed) => !(await room.addOwnerKey({ account: person.id, signed })).ok,
    },
    {
      // A second owner key is there, so only the signature stands between this statement and its effect.
      tag: "owner-remove",
      bytes: encodeBody({ v: 1, account: person.id, credentialId: other.ownerKey.credentialId, issuedAtMs: now }, OWNER_REMOVE_KEYS),
      refused: async (signed) => !(await room.removeOwnerKey({ account: person.id, signed })).ok,
    },
    {
      tag: "recovery-key",
      bytes: encodeBody({ v: 1, account: person.id, key: (await newLogKey()).key, issuedAtMs: now }, RECOVERY_KEY_KEYS),
      refused: async (signed) => !(await room.setRecoveryKey({ account: person.id, signed })).ok,
    },
    {
      // No settings wait: one that is signed as it must be is over, no other answer.
      tag: "local-act",
      bytes: encodeBody({ v: 1, gateway, act: "apply-settings", subject: "s".repeat(43), head: "h".repeat(43), issuedAtMs: now, applyByMs: now + 1_000 }, LOCAL_ACT_KEYS), // prettier-ignore
      refused: async (signed) => {
        const answer = await ask(`${base}/local-acts`, { method: "POST", cookie, body: { signed } });
        const { outcome }: { outcome: string } = await answer.json();
        return outcome !== "over";
      },
    },
  ];
}

type Changes = NonNullable<Parameters<GatewayWorld["person"]["authenticator"]["sign"]>[2]>;

const elsewhere: readonly (readonly [string, () => Changes])[] = [
  ["the app origin, with its own rpId", () => ({ origin: config.appOrigin, rpId: "localhost" })],
  ["the app origin, under our rpId", () => ({ origin: config.appOrigin })],
  ["a gateway's own origin", () => ({ origin: world.origin, rpId: new URL(world.origin).hostname })],
  ["a gateway's own origin, under our rpId", () => ({ origin: world.origin })],
  ["a subdomain of the approval host, where browsers allow our rpId", () => ({ origin: `${protocol}//x.${host}` })],
  ["the approval host on another port", () => ({ origin: `${protocol}//${rpId}:${Number(port || 80) + 1}` })],
  ["the approval host by another scheme", () => ({ origin: config.approveOrigin.replace(/^http:/, "https:") })],
  ["a parent's rpId", () => ({ rpId: "localhost" })],
  ["an opaque origin", () => ({ origin: "null" })],
  ["a frame in another origin's page", () => ({ clientData: { crossOrigin: true, topOrigin: config.appOrigin } })],
];

test.each(elsewhere)("[PG3] [OS1] [case 29] an assertion made at %s decides nothing", async (_where, changes) => {
  const before = await dump(world.room);
  for (const { tag, bytes, refused } of await acts())
    expect(await refused(await world.person.authenticator.sign(tag, bytes, changes())), tag).toBe(true);
  expect(await dump(world.room)).toBe(before);
});

const TAGS: readonly StatementType[] = ["login", "register", "session", "ask", "key-log", "audit", "grant", "owner-key", "owner-remove", "recovery-key", "recover", "local-act"]; // prettier-ignore

test.each(TAGS)("[PG3] [OS1] [case 29] a signature under the tag %s is no other act's", async (tag) => {
  const before = await dump(world.room);
  for (const act of await acts())
    if (act.tag !== tag) expect(await act.refused(await world.person.authenticator.sign(tag, act.bytes)), act.tag).toBe(true);
  expect(await dump(world.room)).toBe(before);
});

test("[PG3] decisions are taken at the approval origin alone, with its own cookie; each act done right is taken", async () => {
  const path = `/api/decisions/${world.gateway}/requests/${waiting.request}/allow`;
  const each = await acts();
  const [allow] = each;
  if (allow === undefined) throw new Error("an act is missing");
  const sign = (act: ActOfOwner): Promise<SignedByOwner> => world.person.authenticator.sign(act.tag, act.bytes);
  const appCookie = await world.person.cookie("app");
  const before = await dump(world.room);
  const body = { signed: await sign(allow), code: waiting.digits };
  for (const origin of [config.appOrigin, world.origin, `${protocol}//x.${host}`, "null"])
    expect((await ask(config.approveOrigin + path, { method: "POST", cookie, body, headers: { origin } })).status, origin).toBe(403);
  expect((await ask(config.approveOrigin + path, { method: "POST", cookie: appCookie, body })).status).toBe(401);
  for (const at of [config.appOrigin, `${protocol}//x.${host}`])
    expect((await ask(at + path, { method: "POST", cookie, body })).status, at).toBe(404);
  expect(await dump(world.room)).toBe(before);
  // Nothing above was refused for another reason.
  for (const act of each) expect(await act.refused(await sign(act)), act.tag).toBe(false);
});
