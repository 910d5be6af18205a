/** What the gateway's machine may change by its own word: narrowing at once, widening by an owner or by a day. */
import { beforeEach, expect, test } from "vitest";
import { isFault, verifyLog, writeLine } from "../../../../src/core/trust/key-log.ts";
import { dueAtMs, isWiderRole, roomVerdict } from "../../../../src/core/trust/local-policy.ts";
import type { RoomProposal } from "../../../../src/core/trust/local-policy.ts";
import type { KeyLogBody, OwnerPolicy, OwnerRole, ProposedChange } from "../../../../src/protocol/key-log.ts";
import { MAX_PROPOSALS, PROPOSAL_LIFE_MS, PROPOSAL_WAIT_MS } from "../../../../src/protocol/limits.ts";
import { WIDENING_KEYS, encodeBody } from "../../../../src/protocol/statement-encoding.ts";
import type { SignedByOwner } from "../../../../src/protocol/statements.ts";
import { newAuthenticator } from "../../../support/fake-authenticator.ts";
import type { Authenticator } from "../../../support/fake-authenticator.ts";
import { TestKeyLog, signWidening } from "../../../support/test-key-log.ts";

const NOW = 1_800_000_000_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const GATEWAY = "abcdefghijklmnopqrstuvw";
const APPROVE = "http://approve.localhost:8787";
const WIDE: OwnerPolicy = { maxAccess: "full", maxExpiryMs: 90 * DAY_MS };
const NARROW: OwnerPolicy = { maxAccess: "look", maxExpiryMs: DAY_MS };
const APPROVER: OwnerRole = { kind: "approver", maxAccess: "chat", maxExpiryMs: HOUR_MS };
const RESUME: ProposedChange = { kind: "resume", alarm: "room-rolled-back" };
const POLICY: ProposedChange = { kind: "policy", policy: WIDE };

let owner: Authenticator;
let second: Authenticator;
let log: TestKeyLog;

beforeEach(async () => {
  [owner, second] = [await newAuthenticator(APPROVE), await newAuthenticator(APPROVE)];
  log = await TestKeyLog.start({ gateway: GATEWAY, owner, approveOrigin: APPROVE, atMs: NOW });
  await log.widen({ kind: "owner-add", key: second.ownerKey, role: APPROVER }, owner, NOW);
  await log.add({ type: "policy", policy: NARROW }, NOW);
});

const attempt = (body: KeyLogBody, atMs = NOW) => log.attempt(body, atMs);
const effect = (proposal: string, signed: SignedByOwner | null = null): KeyLogBody => ({ type: "effect", proposal, signed });

async function widenings(): Promise<readonly ProposedChange[]> {
  const third = await newAuthenticator(APPROVE);
  return [
    POLICY,
    RESUME,
    { kind: "owner-add", key: third.ownerKey, role: { kind: "owner" } },
    { kind: "owner-role", credentialId: second.ownerKey.credentialId, role: { kind: "owner" } },
  ];
}

function rights(): unknown {
  const { policy, ownerKeys, resumed } = log.state;
  return { policy, ownerKeys, resumed };
}

test("[LP1] a proposal changes nothing, whatever it asks for", async () => {
  const before = rights();
  for (const change of await widenings()) await log.propose(change, NOW);
  expect(rights()).toEqual(before);
  expect(log.state.proposals.size).toBe(4);
  expect(isFault(await verifyLog(log.lines))).toBe(false);
});

test("[LP1] what widens by the machine's word alone does not verify", async () => {
  const { credentialId } = second.ownerKey;
  expect(await attempt({ type: "policy", policy: { ...NARROW, maxAccess: "chat" } })).toBe("needs-owner");
  expect(await attempt({ type: "policy", policy: { ...NARROW, maxExpiryMs: DAY_MS + 1 } })).toBe("needs-owner");
  expect(await attempt({ type: "owner-role", credentialId, role: { kind: "owner" } })).toBe("needs-owner");
  expect(await attempt({ type: "owner-role", credentialId, role: { ...APPROVER, maxExpiryMs: HOUR_MS + 1 } })).toBe("needs-owner");
  const add = { type: "owner-add", key: (await newAuthenticator(APPROVE)).ownerKey, authority: { by: "host" } };
  const entry = { gateway: GATEWAY, atMs: NOW, body: add as unknown as KeyLogBody };
  const line = await writeLine(log.state, entry, log.signer.sign);
  expect(await verifyLog([...log.lines, line])).toEqual({ seq: log.lines.length, problem: "not-canonical" });
});

test("[LP2] an owner's signature over the entry puts each widening in force", async () => {
  for (const change of await widenings()) await log.widen(change, owner, NOW);
  const { policy, ownerKeys, resumed, proposals } = log.state;
  expect(policy).toEqual(WIDE);
  expect(ownerKeys.map((key) => key.role?.kind ?? "owner")).toEqual(["owner", "owner", "owner"]);
  expect(resumed).toEqual({ alarm: "room-rolled-back", atMs: NOW });
  expect(proposals.size).toBe(0);
  expect(isFault(await verifyLog(log.lines))).toBe(false);
});

test("[LP2] a signature for anything else puts nothing in force", async () => {
  const id = await log.propose(POLICY, NOW);
  const other = await log.propose(RESUME, NOW);
  const stranger = await newAuthenticator(APPROVE);
  const body = encodeBody({ v: 1, gateway: GATEWAY, proposal: id, change: POLICY, issuedAtMs: NOW }, WIDENING_KEYS);
  const wrong: readonly (readonly [SignedByOwner, string])[] = [
    [await signWidening(owner, GATEWAY, other, POLICY, NOW), "bad-statement"],
    [await signWidening(owner, GATEWAY, id, { kind: "policy", policy: { ...WIDE, maxAccess: "chat" } }, NOW), "bad-statement"],
    [await signWidening(owner, "z".repeat(23), id, POLICY, NOW), "bad-statement"],
    [await signWidening(stranger, GATEWAY, id, POLICY, NOW), "unknown-owner-key"],
    [await signWidening(second, GATEWAY, id, POLICY, NOW), "over-ceiling"],
    [await owner.sign("login", body), "bad-signature"],
  ];
  for (const [signed, problem] of wrong) expect(await attempt(effect(id, signed))).toBe(problem);
  expect(log.state.policy).toEqual(NARROW);
  const right = await signWidening(owner, GATEWAY, id, POLICY, NOW);
  expect(await attempt(effect(id, right))).toBe(null);
  // Once.
  expect(await attempt(effect(id, right))).toBe("nothing-changes");
});

test("[LP3] neither a signature nor time brings a cancelled one back", async () => {
  const id = await log.propose(POLICY, NOW);
  await log.add({ type: "noticed", proposal: id }, NOW);
  await log.add({ type: "cancel", proposal: id }, NOW);
  expect(await attempt(effect(id), NOW + PROPOSAL_WAIT_MS)).toBe("unknown-proposal");
  expect(await attempt(effect(id, await signWidening(owner, GATEWAY, id, POLICY, NOW)), NOW + PROPOSAL_WAIT_MS)).toBe("unknown-proposal");
  expect(log.state.policy).toEqual(NARROW);
});

test.each([["policy"], ["resume"]])("[LP4] %s: 24 hours after its notice, not one moment earlier", async (kind) => {
  const change = kind === "policy" ? POLICY : RESUME;
  const id = await log.propose(change, NOW);
  // Nobody was told: no time counts.
  expect(await attempt(effect(id), NOW + 5 * PROPOSAL_WAIT_MS)).toBe("too-early");
  await log.add({ type: "noticed", proposal: id }, NOW + HOUR_MS);
  expect(dueAtMs(log.state.proposals.get(id) ?? { change, noticedAtMs: null })).toBe(NOW + HOUR_MS + PROPOSAL_WAIT_MS);
  expect(await attempt(effect(id), NOW + HOUR_MS + PROPOSAL_WAIT_MS - 1)).toBe("too-early");
  expect(await attempt(effect(id), NOW + HOUR_MS + PROPOSAL_WAIT_MS)).toBe(null);
  expect(kind === "policy" ? log.state.policy : log.state.resumed?.alarm).toEqual(kind === "policy" ? WIDE : "room-rolled-back");
});

test("[LP4] who decides never changes by time alone", async () => {
  const before = log.state.ownerKeys;
  for (const change of (await widenings()).slice(2)) {
    const id = await log.propose(change, NOW);
    await log.add({ type: "noticed", proposal: id }, NOW);
    expect(dueAtMs({ change, noticedAtMs: NOW })).toBe(null);
    expect(await attempt(effect(id), NOW + PROPOSAL_WAIT_MS)).toBe("needs-owner");
  }
  expect(log.state.ownerKeys).toEqual(before);
});

test("[LP4] a notice counts once, and a backdated effect does not verify", async () => {
  const id = await log.propose(POLICY, NOW);
  await log.add({ type: "noticed", proposal: id }, NOW + HOUR_MS);
  expect(await attempt({ type: "noticed", proposal: id }, NOW + HOUR_MS)).toBe("nothing-changes");
  expect(await attempt({ type: "noticed", proposal: "A".repeat(43) }, NOW + HOUR_MS)).toBe("unknown-proposal");
  expect(await attempt(effect(id), NOW)).toBe("wrong-order");
  expect(await attempt(effect(id), NOW + PROPOSAL_WAIT_MS)).toBe("too-early");
});

test("[LP4] a week after the notice it is over", async () => {
  const id = await log.propose(POLICY, NOW);
  await log.add({ type: "noticed", proposal: id }, NOW);
  const lateMs = NOW + PROPOSAL_LIFE_MS;
  expect(await attempt(effect(id), lateMs)).toBe("expired");
  expect(await attempt(effect(id, await signWidening(owner, GATEWAY, id, POLICY, NOW)), lateMs)).toBe("expired");
  expect(await attempt(effect(id), lateMs - 1)).toBe(null);
});

test("[LP1] one proposal for each subject, and no more than a few at once", async () => {
  const first = await log.propose(POLICY, NOW);
  expect(await attempt({ type: "proposal", change: POLICY })).toBe("nothing-changes");
  const other = await log.propose({ kind: "policy", policy: { ...WIDE, maxAccess: "chat" } }, NOW);
  expect([...log.state.proposals.keys()]).toEqual([other]);
  expect(await attempt(effect(first, await signWidening(owner, GATEWAY, first, POLICY, NOW)))).toBe("unknown-proposal");
  const add = async (): Promise<ProposedChange> => ({ kind: "owner-add", key: (await newAuthenticator(APPROVE)).ownerKey, role: APPROVER });
  for (let open = 1; open < MAX_PROPOSALS; open += 1) await log.propose(await add(), NOW);
  expect(await attempt({ type: "proposal", change: await add() })).toBe("too-many-proposals");
});

test("[LP1] what widens nothing is no proposal", async () => {
  const { credentialId } = second.ownerKey;
  expect(await attempt({ type: "proposal", change: { kind: "policy", policy: NARROW } })).toBe("nothing-changes");
  expect(await attempt({ type: "proposal", change: { kind: "owner-role", credentialId, role: APPROVER } })).toBe("nothing-changes");
  expect(await attempt({ type: "proposal", change: { kind: "owner-role", credentialId: "nobody", role: APPROVER } })).toBe(
    "unknown-owner-key",
  );
  expect(await attempt({ type: "proposal", change: { kind: "owner-add", key: second.ownerKey, role: APPROVER } })).toBe("nothing-changes");
  expect([isWiderRole(undefined, APPROVER), isWiderRole(APPROVER, APPROVER), isWiderRole(APPROVER, { kind: "owner" })]).toEqual([false, false, true]); // prettier-ignore
});

test("[LP6] a narrowing is in force at once and voids what waited", async () => {
  const { credentialId } = second.ownerKey;
  const policy = await log.propose(POLICY, NOW);
  const role = await log.propose({ kind: "owner-role", credentialId, role: { kind: "owner" } }, NOW);
  await log.add({ type: "policy", policy: { ...NARROW, maxExpiryMs: HOUR_MS } }, NOW);
  await log.add({ type: "owner-role", credentialId, role: { ...APPROVER, maxAccess: "look" } }, NOW);
  for (const id of [policy, role]) expect(log.state.proposals.has(id)).toBe(false);
  const again = await log.propose({ kind: "owner-role", credentialId, role: { kind: "owner" } }, NOW);
  await log.add({ type: "owner-remove", credentialId, authority: { by: "host" } }, NOW);
  expect(log.state.proposals.has(again)).toBe(false);
});

const ROW: RoomProposal = { id: "A".repeat(43), change: POLICY, toldAtMs: NOW, state: "open", isEarly: false, signed: null, dueAtMs: null, wasDue: false }; // prettier-ignore

test("[LP5] a room follows its own clock or an owner's signature", () => {
  const at = (ms: number, changes: Partial<RoomProposal> = {}, isSigned = false) => roomVerdict({ ...ROW, ...changes }, isSigned, NOW + ms);
  expect([at(PROPOSAL_WAIT_MS - 1), at(PROPOSAL_WAIT_MS)]).toEqual(["early", "follow"]);
  expect(at(0, {}, true)).toBe("follow");
  const role: ProposedChange = { kind: "owner-role", credentialId: "x", role: { kind: "owner" } };
  expect([at(PROPOSAL_LIFE_MS, { change: role }), at(0, { change: role }, true)]).toEqual(["early", "follow"]);
  expect([at(PROPOSAL_WAIT_MS, { state: "cancelled" }), at(0, { state: "cancelled" }, true)]).toEqual(["early", "early"]);
  // The Cancel came after the room had said itself that time is over.
  expect(at(PROPOSAL_WAIT_MS, { state: "cancelled", wasDue: true })).toBe("follow");
});
