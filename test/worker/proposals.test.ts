/** Widenings of the gateway's machine, in the room: told, approved, cancelled, due; and what the room does not obey, whatever the machine's log says. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { lineHash, writeLine } from "../../src/core/trust/key-log.ts";
import type { Gateway } from "../../src/protocol/api.ts";
import type { KeyLogBody, KeyLogHead, OwnerPolicy, ProposedChange } from "../../src/protocol/key-log.ts";
import { PROPOSAL_LIFE_MS, PROPOSAL_WAIT_MS } from "../../src/protocol/limits.ts";
import type { ToConnector } from "../../src/protocol/link-messages.ts";
import type { ProposalNotice } from "../../src/protocol/proposals-api.ts";
import { OWNER_KEY_KEYS, encodeBody } from "../../src/protocol/statement-encoding.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { newAuthenticator } from "../support/fake-authenticator.ts";
import type { Authenticator } from "../support/fake-authenticator.ts";
import { TestKeyLog, newLogKey, signWidening } from "../support/test-key-log.ts";
import type { LogKey } from "../support/test-key-log.ts";
import { FakeConnector } from "./fake-connector.ts";
import { callAs } from "./persons-world.ts";
import { config, enrol, env, newGateway } from "./world.ts";
import type { GatewayWorld } from "./world.ts";

const DAY_MS = 86_400_000;
const LOOK: OwnerPolicy = { maxAccess: "look", maxExpiryMs: DAY_MS };
const WIDE: OwnerPolicy = { maxAccess: "full", maxExpiryMs: 90 * DAY_MS };
const POLICY: ProposedChange = { kind: "policy", policy: WIDE };

let world: GatewayWorld;
let owner: Authenticator;
let key: LogKey;
let log: TestKeyLog;
let connector: FakeConnector;

beforeEach(async () => {
  world = await newGateway();
  owner = world.person.authenticator;
  key = await newLogKey();
  await enrol(world, key.key);
  log = await TestKeyLog.start({
    gateway: world.gateway,
    account: world.person.id,
    owner,
    approveOrigin: config.approveOrigin,
    atMs: Date.now(),
    signer: key,
  });
  await log.add({ type: "policy", policy: LOOK }, Date.now());
  connector = await FakeConnector.up(env, world.gateway, { key: key.key, sign: (data) => key.sign(data) }, 0);
  await told(log.lines);
});

afterEach(() => {
  vi.useRealTimers();
});

/** The room has taken these lines up. */
async function told(lines: readonly string[]): Promise<void> {
  connector.say({ type: "log", lines: [...lines] });
  for (;;) if ((await next("log-ack")).type === "log-ack") return;
}

async function next<Type extends ToConnector["type"]>(type: Type): Promise<Extract<ToConnector, { type: Type }>> {
  for (;;) {
    const message = await connector.control.next();
    if (message.type === type) return message as Extract<ToConnector, { type: Type }>;
    waiting.push(message);
  }
}

/** Steps that came while something else was waited for. */
let waiting: ToConnector[] = [];
beforeEach(() => {
  waiting = [];
});

/** The next step that the room says of a proposal, answered with yes. */
async function step(): Promise<Extract<ToConnector, { type: "proposal" }>> {
  const early = waiting.findIndex((message) => message.type === "proposal");
  const message = early === -1 ? await next("proposal") : (waiting.splice(early, 1)[0] as Extract<ToConnector, { type: "proposal" }>);
  connector.say({ type: "result", id: message.id, ok: true });
  return message;
}

/** The machine asks, the room tells the owners, and the machine records it. @returns the proposal's id */
async function proposed(change: ProposedChange): Promise<string> {
  const id = await log.propose(change, Date.now());
  await told(log.lines.slice(-1));
  expect(await step()).toMatchObject({ step: "noticed", proposal: id });
  await log.add({ type: "noticed", proposal: id }, Date.now());
  await told(log.lines.slice(-1));
  return id;
}

/** Lines that no connector of ours writes: whoever has its user's rights can. */
async function forged(...bodies: readonly KeyLogBody[]): Promise<void> {
  let { head }: { head: KeyLogHead } = log.state;
  const lines: string[] = [];
  for (const body of bodies) {
    const line = await writeLine({ head }, { gateway: world.gateway, atMs: Date.now(), body }, (bytes) => key.sign(bytes));
    head = { seq: head.seq + 1, hash: await lineHash(line) };
    lines.push(line);
  }
  await told(lines);
}

function inRoom<T>(look: (storage: RoomStorage) => T): Promise<T> {
  return runInDurableObject(world.room, (_room, state) => look(new RoomStorage(state.storage)));
}

const policy = (): Promise<OwnerPolicy | null> => inRoom((storage) => storage.policy());
const roleOf = (credentialId: string) =>
  inRoom((storage) => storage.ownerKeys().find((each) => each.credentialId === credentialId)?.role?.kind ?? null);

async function later(ms: number): Promise<void> {
  vi.useFakeTimers({ now: Date.now() + ms, toFake: ["Date"] });
  await runDurableObjectAlarm(world.room);
}

async function asked(): Promise<ProposalNotice[]> {
  const { json } = await callAs<{ notices: object[] }>(world.person, "app", "GET", "/api/requests");
  return json.notices.filter((notice): notice is ProposalNotice => "change" in notice);
}

async function alarm(): Promise<Gateway["alarm"]> {
  return (await callAs<{ gateway: Gateway }>(world.person, "app", "GET", `/api/gateways/${world.gateway}`)).json.gateway.alarm;
}

const cancel = (id: string) => callAs(world.person, "app", "POST", `/api/gateways/${world.gateway}/proposals/${id}/cancel`);
const page = (id: string) => `/api/decisions/${world.gateway}/proposals/${id}`;

async function approve(id: string, change: ProposedChange, by = owner) {
  const signed = await signWidening(by, world.gateway, id, change, Date.now());
  return callAs(world.person, "approve", "POST", `${page(id)}/approve`, { signed });
}

test("[LP3] every owner is told at once, and one Cancel ends it", async () => {
  const id = await proposed(POLICY);
  const [notice] = await asked();
  expect(notice).toMatchObject({ id, change: POLICY, policy: LOOK, isEarly: false });
  expect(notice?.effectAtMs).toBeGreaterThan(Date.now() + PROPOSAL_WAIT_MS - 60_000);
  const cancelled = cancel(id);
  expect(await step()).toMatchObject({ step: "cancel", proposal: id });
  expect((await cancelled).json).toEqual({ outcome: "done" });
  expect(await asked()).toEqual([]);
  expect((await cancel(id)).code).toBe("conflict");
  expect((await approve(id, POLICY)).code).toBe("conflict");
  await later(PROPOSAL_WAIT_MS);
  expect(await policy()).toEqual(LOOK);
});

test("[LP3] a Cancel while the machine is away is owed to it", async () => {
  const id = await proposed(POLICY);
  connector.ws.close(1000, "away");
  await expect.poll(async () => (await cancel(id)).code ?? "done").toBe("done");
  expect(await inRoom((storage) => storage.owed())).toMatchObject([{ type: "proposal", step: "cancel", proposal: id }]);
});

test("[LP2] an owner's signature goes to the machine, and the room follows its log", async () => {
  const id = await proposed(POLICY);
  expect((await callAs(world.person, "approve", "GET", page(id))).json).toMatchObject({ change: POLICY, gatewayName: "Home" });
  const answered = approve(id, POLICY);
  const { signed, ...message } = await step();
  expect(message).toMatchObject({ step: "signed", proposal: id });
  expect((await answered).json).toEqual({ outcome: "done" });
  expect(await policy()).toEqual(LOOK);
  await log.add({ type: "effect", proposal: id, signed: signed ?? null }, Date.now());
  await told(log.lines.slice(-1));
  expect(await policy()).toEqual(WIDE);
  expect(await alarm()).toBe(null);
  expect((await callAs(world.person, "approve", "GET", page(id))).status).toBe(404);
});

test("[LP2] the room takes no other signature for it", async () => {
  const approver = await newAuthenticator(config.approveOrigin);
  const role = { kind: "approver", maxAccess: "full", maxExpiryMs: DAY_MS } as const;
  await log.widen({ kind: "owner-add", key: approver.ownerKey, role }, owner, Date.now());
  await told(log.lines.slice(-2));
  expect(await step()).toMatchObject({ step: "noticed" });
  const id = await proposed(POLICY);
  const other: ProposedChange = { kind: "policy", policy: { ...WIDE, maxAccess: "chat" } };
  expect((await approve(id, other)).code).toBe("grant-refused");
  expect((await approve(id, POLICY, approver)).code).toBe("grant-refused");
  expect((await approve(id, POLICY, await newAuthenticator(config.approveOrigin))).code).toBe("grant-refused");
  expect(await inRoom((storage) => storage.owed())).toEqual([]);
});

test("[LP4] after 24 hours the machine hears that time is over", async () => {
  const id = await proposed(POLICY);
  await later(PROPOSAL_WAIT_MS - 60_000);
  expect(await inRoom((storage) => storage.owed())).toEqual([]);
  await later(60_000);
  expect(await step()).toMatchObject({ step: "due", proposal: id });
  await log.add({ type: "effect", proposal: id, signed: null }, Date.now());
  await told(log.lines.slice(-1));
  expect(await policy()).toEqual(WIDE);
  expect(await alarm()).toBe(null);
  expect(await asked()).toEqual([]);
});

test("[LP4] a lagging machine is asked again; owners are never due", async () => {
  const change: ProposedChange = {
    kind: "owner-add",
    key: (await newAuthenticator(config.approveOrigin)).ownerKey,
    role: { kind: "owner" },
  };
  await proposed(change);
  await proposed(POLICY);
  expect((await asked()).map((notice) => notice.effectAtMs === null)).toEqual([false, true]);
  await later(PROPOSAL_WAIT_MS);
  const due = await next("proposal");
  expect(due.step).toBe("due");
  connector.say({ type: "result", id: due.id, ok: false, refusal: "too-early" });
  await expect.poll(() => inRoom((storage) => storage.owed())).toEqual([]);
  await later(3_600_000);
  expect((await step()).step).toBe("due");
  await later(PROPOSAL_LIFE_MS);
  expect(await inRoom((storage) => storage.all<{ change: ProposedChange }>("proposals").map((row) => row.change.kind))).toEqual(["policy"]);
});

test("[LP5] an early effect is an alarm and not obeyed", async () => {
  const id = await proposed(POLICY);
  await later(PROPOSAL_WAIT_MS - 60_000);
  await forged({ type: "effect", proposal: id, signed: null });
  expect(await policy()).toEqual(LOOK);
  expect((await alarm())?.kind).toBe("early-effect");
  expect(await asked()).toMatchObject([{ id, isEarly: true }]);
  await later(60_000);
  expect(await policy()).toEqual(WIDE);
  expect(await alarm()).toBe(null);
});

test("[LP5] after a Cancel no time makes a forged effect count", async () => {
  const id = await proposed(POLICY);
  await forged({ type: "effect", proposal: id, signed: null });
  expect((await cancel(id)).json).toEqual({ outcome: "done" });
  await later(PROPOSAL_LIFE_MS);
  expect(await policy()).toEqual(LOOK);
  expect((await alarm())?.kind).toBe("early-effect");
});

test("[LP5] a forged log gives nobody a say in the room", async () => {
  const approver = await newAuthenticator(config.approveOrigin);
  const stranger = await newAuthenticator(config.approveOrigin);
  const { credentialId } = approver.ownerKey;
  const role = { kind: "approver", maxAccess: "look", maxExpiryMs: DAY_MS } as const;
  await log.widen({ kind: "owner-add", key: approver.ownerKey, role }, owner, Date.now());
  await told(log.lines.slice(-2));
  expect(await step()).toMatchObject({ step: "noticed" });
  const lift: ProposedChange = { kind: "owner-role", credentialId, role: { kind: "owner" } };
  const id = await proposed(lift);
  const statement = encodeBody({ v: 1, account: world.person.id, ...stranger.ownerKey, issuedAtMs: Date.now() }, OWNER_KEY_KEYS);
  const endorsed = { by: "owner", signed: await stranger.sign("owner-key", statement) } as const;
  await forged(
    { type: "effect", proposal: id, signed: await signWidening(approver, world.gateway, id, lift, Date.now()) },
    { type: "owner-role", credentialId, role: { kind: "owner" } },
    { type: "owner-add", key: stranger.ownerKey, authority: endorsed },
    { type: "policy", policy: WIDE },
  );
  expect(await roleOf(credentialId)).toBe("approver");
  expect(await roleOf(stranger.ownerKey.credentialId)).toBe(null);
  expect(await inRoom((storage) => storage.ownerKeys())).toHaveLength(2);
  expect(await policy()).toEqual(LOOK);
  expect((await alarm())?.kind).toBe("early-effect");
  await later(PROPOSAL_LIFE_MS);
  expect(await roleOf(credentialId)).toBe("approver");
});

test("[LP5] [case 46] a room restored from an old copy counts again", async () => {
  const [atMs, second] = [Date.now(), await newAuthenticator(config.approveOrigin)];
  const id = await log.propose(POLICY, atMs);
  await log.add({ type: "noticed", proposal: id }, atMs);
  await log.add({ type: "effect", proposal: id, signed: null }, atMs + PROPOSAL_WAIT_MS);
  await log.widen({ kind: "owner-add", key: second.ownerKey, role: { kind: "owner" } }, owner, atMs + PROPOSAL_WAIT_MS);
  // The room's copy ends before all of this, and its owners were never told of it.
  await told(log.lines.slice(2));
  expect(await roleOf(second.ownerKey.credentialId)).toBe(null);
  expect(await inRoom((storage) => storage.ownerKeys())).toContainEqual(second.ownerKey);
  expect(await policy()).toEqual(LOOK);
  expect(await asked()).toMatchObject([{ id, isEarly: true }]);
  await later(PROPOSAL_WAIT_MS);
  expect(await policy()).toEqual(WIDE);
});

test("[LP7] an alarm ends with a resume that the room obeys", async () => {
  connector.say({ type: "alarm", alarm: "audit-rewound", atMs: 5 });
  await expect.poll(alarm).toEqual({ kind: "audit-rewound", atMs: 5 });
  const change: ProposedChange = { kind: "resume", alarm: "audit-rewound" };
  const id = await proposed(change);
  const answered = approve(id, change);
  const { signed } = await step();
  await answered;
  await log.add({ type: "effect", proposal: id, signed: signed ?? null }, Date.now());
  connector.say({ type: "log", lines: log.lines.slice(-1) });
  // It overtakes no entry that came before it.
  connector.say({ type: "alarm-over" });
  await expect.poll(alarm).toBe(null);
});

test("[LP6] a narrowing is followed at once and voids what waited", async () => {
  await proposed(POLICY);
  await log.add({ type: "policy", policy: { ...LOOK, maxExpiryMs: 3_600_000 } }, Date.now());
  await told(log.lines.slice(-1));
  expect(await policy()).toEqual({ maxAccess: "look", maxExpiryMs: 3_600_000 });
  expect(await asked()).toEqual([]);
});
