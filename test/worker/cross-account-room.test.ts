/**
 * Accounts against a room that is not theirs, over every call that it has: a call without a case here fails. Whoever has no part in the gateway
 * hears one answer and changes no row; a person hears exactly what the role allows.
 */
import { blockDevice, newAccount } from "./account-things.ts";
import type { Account } from "./account-things.ts";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { newRowId } from "../../src/worker/routes/auth.ts";
import { mayDo } from "../../src/core/trust/roles.ts";
import type { PersonAction } from "../../src/core/trust/roles.ts";
import { Room } from "../../src/worker/room/room.ts";
import type { RoomRpc } from "../../src/worker/room/rpc.ts";
import { APPROVER, OWNER, VIEWER, confirmedPerson } from "./persons-world.ts";
import type { SignedByOwner } from "../../src/protocol/statements.ts";
import { dump, genesisFor } from "./world.ts";

const RUNS = 100;
/** Many dumps of two rooms: a busy machine needs longer than the suite's own end of what hangs. */
const HANGS_MS = 300_000;

let a: Account;
let b: Account;
/** Of an account that was never made. */
let nobody: string;
/** Of b, about a's gateway and as a's account: as right as b can make it. */
let genesis: SignedByOwner;

beforeAll(async () => {
  [a, b] = [await newAccount(), await newAccount()];
  nobody = newRowId();
  const by = b.world.person.authenticator;
  genesis = await genesisFor({ gateway: a.things.gateway, account: b.things.account, connectorKey: b.world.key, by });
});

type RpcName = Exclude<keyof RoomRpc, "fetch">;

/** What an account that is not the room's own would send, as right as it can be made. A call without an entry does not compile. */
const CALLS: { readonly [Name in RpcName]: () => Omit<Parameters<RoomRpc[Name]>[0], "account"> } = {
  enrol: () => ({ gateway: a.things.gateway, name: "Mine now", genesis }),
  policy: () => ({}),
  rename: () => ({ name: "Mine now" }),
  snapshot: () => ({}),
  request: () => ({ request: a.things.request }),
  checkMatchCode: () => ({ request: a.things.request, code: a.waiting.digits }),
  allow: () => ({ request: a.things.request, code: a.waiting.digits, signed: a.signed }),
  deny: () => ({ request: a.things.request, block: true }),
  ownerGrant: () => ({ signed: a.signed }),
  unblock: () => ({ device: a.things.device }),
  blockForGood: () => ({ device: a.things.device }),
  approveAgainView: () => ({}),
  approveAgain: () => ({ signed: [a.signed] }),
  suspend: () => ({ device: a.things.device, token: null }),
  resume: () => ({ device: a.things.device }),
  renameDevice: () => ({ device: a.things.device, name: "Mine now" }),
  keepDevice: () => ({ device: a.things.device }),
  cut: () => ({ device: a.things.device }),
  receipt: () => ({ device: a.things.device }),
  receiptFile: () => ({ device: a.things.device }),
  mend: () => ({ entry: a.things.entry, what: "remove" }),
  opening: () => ({}),
  standing: () => ({}),
  persons: () => ({}),
  invite: () => ({ id: newRowId(), code: "A".repeat(43), name: "Mallory", role: { kind: "owner" }, expiresAtMs: Date.now() + 60_000 }),
  // The hash of a code is what admits here, whoever asks: this one was never issued.
  lookAtInvitation: () => ({ code: "A".repeat(43) }),
  holdInvitation: () => ({ code: "A".repeat(43) }),
  acceptInvitation: () => ({ code: "A".repeat(43), accountName: "Mallory", passkey: b.world.person.authenticator.ownerKey, proof: null }),
  confirmPerson: () => ({ person: a.things.person, signed: a.owners.add }),
  removePerson: () => ({ person: a.things.person, signed: null }),
  leaving: () => ({}),
  leave: () => ({ signed: a.owners.remove }),
  owners: () => ({}),
  addOwnerKey: () => ({ signed: a.owners.add }),
  removeOwnerKey: () => ({ signed: a.owners.remove }),
  setRecoveryKey: () => ({ signed: a.owners.recoveryKey }),
  recoverOwners: () => ({ signed: a.owners.recover }),
  usage: () => ({}),
  setBudget: () => ({ budget: { microUsd: 0, bytes: 0 } }),
  readBudgetNotice: () => ({}),
  endQuarantine: () => ({}),
  localActs: () => ({}),
  localAct: () => ({ signed: a.owners.add }),
  proposal: () => ({ proposal: a.things.proposal }),
  approveProposal: () => ({ proposal: a.things.proposal, signed: a.widening }),
  cancelProposal: () => ({ proposal: a.things.proposal }),
  keyLog: () => ({ from: 0 }),
  auditLines: () => ({ from: 0, isExport: true }),
  hops: () => ({ step: { do: "ask" } }),
  remove: () => ({}),
};

/** Members of the class that the runtime calls, not a service. */
const RUNTIME = ["constructor", "fetch", "alarm", "webSocketMessage", "webSocketClose", "webSocketError"];

test("[case 40] every public member of a room is a call with a case here, or the runtime's", () => {
  const members = Object.getOwnPropertyNames(Room.prototype).filter((name) => !RUNTIME.includes(name));
  expect(members.toSorted()).toEqual(Object.keys(CALLS).toSorted());
});

test("[case 40] whichever account that is not its own calls a room, in whichever order: one answer for all, and no row changes", async () => {
  const names = Object.keys(CALLS) as RpcName[];
  const account = fc.oneof(
    fc.constantFrom(() => b.things.account, () => nobody, () => "", () => a.things.account.toUpperCase(), () => `${a.things.account} `), // prettier-ignore
    fc.string().map((text) => () => text),
  );
  const room = a.world.room as unknown as Readonly<Record<RpcName, (input: object) => Promise<unknown>>>;
  const before = await dump(a.world.room);
  const one = async (name: RpcName, who: string) => {
    if (who === a.things.account) return;
    expect(await room[name]({ ...CALLS[name](), account: who }), `${name} ${who}`).toEqual({ ok: false, failure: "not-found" });
  };
  for (const name of names) for (const who of [b.things.account, nobody, ""]) await one(name, who);
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...names), account, async (name, who) => one(name, who())),
    { numRuns: RUNS },
  );
  // The own account with another gateway's name, too.
  expect(await a.world.room.enrol({ gateway: b.things.gateway, account: a.things.account, name: "x", genesis })).toMatchObject({
    ok: false,
  });
  expect(await dump(a.world.room)).toBe(before);
  expect(await a.world.room.snapshot({ account: a.things.account })).toMatchObject({ ok: true });
});

/** What each call needs, written down a second time. `claimer`: the account that claimed the gateway alone; `code`: whoever has an invitation's. */
const POWERS: Readonly<Record<RpcName, PersonAction | "claimer" | "code">> = {
  enrol: "claimer",
  policy: "manage",
  rename: "manage",
  snapshot: "see",
  request: "decide",
  checkMatchCode: "decide",
  allow: "decide",
  deny: "decide",
  ownerGrant: "decide",
  opening: "decide",
  blockForGood: "block",
  unblock: "block",
  approveAgainView: "decide",
  approveAgain: "decide",
  suspend: "cut",
  resume: "manage",
  renameDevice: "manage",
  keepDevice: "answer",
  cut: "cut",
  receipt: "see",
  receiptFile: "cut",
  mend: "manage",
  owners: "keys",
  addOwnerKey: "keys",
  removeOwnerKey: "keys",
  setRecoveryKey: "keys",
  usage: "manage",
  hops: "manage",
  setBudget: "manage",
  readBudgetNotice: "manage",
  recoverOwners: "keys",
  endQuarantine: "manage",
  localActs: "manage",
  localAct: "manage",
  proposal: "keys",
  approveProposal: "keys",
  cancelProposal: "keys",
  keyLog: "manage",
  auditLines: "manage",
  standing: "see-activity",
  persons: "persons",
  invite: "persons",
  lookAtInvitation: "code",
  holdInvitation: "code",
  acceptInvitation: "code",
  confirmPerson: "persons",
  removePerson: "persons",
  leaving: "leave",
  leave: "leave",
  remove: "end",
};

/** Whether a call was answered as for a gateway that was never made. */
async function isUnknown(name: RpcName, account: string): Promise<boolean> {
  const room = a.world.room as unknown as Readonly<Record<RpcName, (input: object) => Promise<{ ok: boolean; failure?: string }>>>;
  const answer = await room[name]({ ...CALLS[name](), account });
  return !answer.ok && answer.failure === "not-found";
}

test.each(["owner", "approver", "viewer"] as const)(
  "[case 40] [PE1] what a room answers a person who is %s is exactly its row of the table, and what it refuses changes nothing",
  async (role) => {
    const kept = a;
    a = await newAccount();
    const { person } = await confirmedPerson(a.world, { owner: OWNER, approver: APPROVER, viewer: VIEWER }[role]);
    const names = Object.keys(POWERS) as RpcName[];
    const may = (name: RpcName): boolean => {
      const needed = POWERS[name];
      return needed !== "claimer" && needed !== "code" && mayDo(role, needed);
    };
    expect(await a.world.room.cut({ account: a.things.account, device: a.things.device })).toMatchObject({ ok: true });
    await blockDevice(a);
    const before = await dump(a.world.room);
    for (const name of names.filter((each) => !may(each))) expect(await isUnknown(name, person.id), name).toBe(true);
    expect(await dump(a.world.room)).toBe(before);
    // What ends the person or the gateway comes last; a receipt that the machine has not signed is not there for anybody.
    const order = [...names.filter((name) => !["leave", "remove", "receiptFile"].includes(name)), "leave", "remove"] as RpcName[];
    for (const name of order.filter(may)) expect(await isUnknown(name, person.id), name).toBe(false);
    a = kept;
  },
  HANGS_MS,
);
