/** Accounts with one of everything that somebody else could name. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { newBlock } from "../../src/core/trust/blocks.ts";
import type { RoomProposal } from "../../src/core/trust/local-policy.ts";
import type { Difference } from "../../src/protocol/drift.ts";
import {
  OWNER_KEY_KEYS,
  OWNER_REMOVE_KEYS,
  RECOVERY_KEY_KEYS,
  RECOVER_KEYS,
  encodeBody,
  tagged,
  toBase64url,
} from "../../src/protocol/statement-encoding.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { makeApiToken } from "../../src/worker/auth/api-token.ts";
import { newAuthenticator } from "../support/fake-authenticator.ts";
import type { Authenticator } from "../support/fake-authenticator.ts";
import { newLogKey, signWidening } from "../support/test-key-log.ts";
import { invitedPerson } from "./persons-world.ts";
import { allowedDevice, ask, askOwner, config, env, grantFor, newGateway, openSession } from "./world.ts";

/** Everything of an account that somebody else could name. */
export interface Things {
  readonly account: string;
  readonly gateway: string;
  readonly device: string;
  readonly request: string;
  readonly enrolment: string;
  readonly passkey: string;
  /** Selector of an API token. */
  readonly token: string;
  /** On its gateway, as the connector named it. */
  readonly entry: string;
  /** A change that its machine asks for. */
  readonly proposal: string;
  /** Somebody who accepted an invitation to it. */
  readonly person: string;
}

/** @returns lower case, two digits a byte */
export function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** An entry that the gateway's own pairing list has and Gatehouse never made. */
function differenceOf(entry: string): Difference {
  const about = { name: "Laptop", platform: "linux", client: "cli", roles: ["operator"], scopes: ["operator.read"], approvedVia: "cli" };
  return { kind: "local", entry, device: null, ...about, approvedAtMs: null };
}

/** Changes of the account's owners, each signed as it would be by the account itself. */
async function ownerChangesOf(account: string, authenticator: Authenticator) {
  const other = (await newAuthenticator(config.approveOrigin)).ownerKey;
  const [about, paper] = [{ v: 1, account, issuedAtMs: Date.now() }, await newLogKey()];
  const recover = encodeBody({ ...about, ...other, remove: [authenticator.ownerKey.credentialId] }, RECOVER_KEYS);
  return {
    add: await authenticator.sign("owner-key", encodeBody({ ...about, ...other }, OWNER_KEY_KEYS)),
    remove: await authenticator.sign("owner-remove", encodeBody({ ...about, credentialId: other.credentialId }, OWNER_REMOVE_KEYS)),
    recoveryKey: await authenticator.sign("recovery-key", encodeBody({ ...about, key: paper.key }, RECOVERY_KEY_KEYS)),
    recover: { statement: toBase64url(recover), signature: await paper.sign(tagged("recover", recover)) },
  };
}

/** An account with one of everything: gateway, linked connector, allowed device, waiting request, enrolment, token, invited person. */
export async function newAccount() {
  const world = await newGateway();
  const connector = await world.connect();
  const entry = hex(crypto.getRandomValues(new Uint8Array(32)));
  connector.send({ type: "drift", atMs: Date.now(), differences: [differenceOf(entry)] });
  const device = await allowedDevice(world);
  await openSession(world, device);
  const waiting = await askOwner(world);
  const cookies = { app: await world.person.cookie("app"), approve: await world.person.cookie("approve") };
  const enrolled: { enrolment: string; code: string } = await (await ask(`${config.appOrigin}/api/gateways/${world.gateway}/enrolment`, { method: "POST", cookie: cookies.app })).json(); // prettier-ignore
  const { signed } = await grantFor(world, waiting);
  await runDurableObjectAlarm(world.room);
  const { id: account, authenticator } = world.person;
  const things: Things = {
    account,
    gateway: world.gateway,
    device: device.id,
    request: waiting.request,
    enrolment: enrolled.enrolment,
    passkey: authenticator.ownerKey.credentialId,
    token: (await makeApiToken(env, account, "Script", Date.now() + 60_000)).row.selector,
    entry,
    proposal: toBase64url(crypto.getRandomValues(new Uint8Array(32))),
    person: (await invitedPerson(world)).id,
  };
  const change = { kind: "resume", alarm: "fork" } as const;
  await runInDurableObject(world.room, (_room, state) => {
    const row = { id: things.proposal, change, toldAtMs: Date.now(), state: "open", isEarly: false, signed: null, dueAtMs: null, wasDue: false } as const; // prettier-ignore
    new RoomStorage(state.storage).put("proposals", row.id, row satisfies RoomProposal);
  });
  const widening = await signWidening(authenticator, world.gateway, things.proposal, change, Date.now());
  const owners = await ownerChangesOf(account, authenticator);
  return { world, things, cookies, waiting, signed, widening, owners, code: enrolled.code };
}

export type Account = Awaited<ReturnType<typeof newAccount>>;

/** Keeps the account's device from asking. */
export async function blockDevice({ world, things }: Account): Promise<void> {
  await runInDurableObject(world.room, (_room, state) => {
    new RoomStorage(state.storage).put("blocks", things.device, newBlock({ device: things.device, name: "Phone" }, null, Date.now()));
  });
}
