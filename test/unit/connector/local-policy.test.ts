/** What the commands of the gateway's machine do by themselves, with nobody at the terminal and no network: they narrow, and they ask. */
import { beforeEach, expect, test } from "vitest";
import { Admitted } from "../../../src/connector/trust/admissions.ts";
import { performOnHost } from "../../../src/connector/trust/host-actions.ts";
import type { HostAction } from "../../../src/connector/trust/host-actions.ts";
import { cut } from "../../../src/connector/cli/device-commands.ts";
import { Dialler } from "../../../src/connector/network/dialler.ts";
import { KeyLog } from "../../../src/connector/trust/key-log-file.ts";
import { accessList, policy } from "../../../src/connector/cli/lock-commands.ts";
import { owners } from "../../../src/connector/cli/owner-commands.ts";
import { takeStep } from "../../../src/connector/trust/proposals.ts";
import { Terminal } from "../../../src/connector/cli/terminal.ts";
import { passkeyWords, writePasskey } from "../../../src/core/trust/passkey-text.ts";
import type { ProposedChange } from "../../../src/protocol/key-log.ts";
import { PROPOSAL_WAIT_MS } from "../../../src/protocol/limits.ts";
import type { ToConnector } from "../../../src/protocol/link-messages.ts";
import type { SignedByOwner } from "../../../src/protocol/statements.ts";
import { ConnectorState, TEST_GATEWAY } from "../../support/connector-state.ts";
import { newAuthenticator } from "../../support/fake-authenticator.ts";
import type { Authenticator } from "../../support/fake-authenticator.ts";
import { signWidening } from "../../support/test-key-log.ts";

const APPROVE = "http://approve.localhost:8787";
const DAY_MS = 86_400_000;
const LOOK = { maxAccess: "look", maxExpiryMs: DAY_MS } as const;
const NO_CEILING = { maxAccess: undefined, maxDays: undefined };

type Step = Extract<ToConnector, { type: "proposal" }>["step"];

/** Nobody sits at it: standard input is /dev/null. */
class QuietTerminal extends Terminal {
  readonly texts: string[] = [];

  constructor() {
    super({ json: true });
  }

  override say(_event: string, text: string): void {
    this.texts.push(text);
  }

  override fail(_event: string, text: string): void {
    this.texts.push(text);
  }
}

let state: ConnectorState;
let second: Authenticator;
let terminal: QuietTerminal;

beforeEach(async () => {
  [state, second, terminal] = [await ConnectorState.create(), await newAuthenticator(APPROVE), new QuietTerminal()];
  // An approver, and a policy with room above it.
  const role = { kind: "approver", maxAccess: "chat", maxExpiryMs: DAY_MS } as const;
  await inForce({ kind: "owner-add", key: second.ownerKey, role });
  await state.log.append({ type: "policy", policy: LOOK }, state.nowMs);
});

function step(proposal: string, what: Step, signed?: SignedByOwner) {
  const message = { type: "proposal", id: "p", proposal, step: what, ...(signed === undefined ? {} : { signed }) } as const;
  return takeStep({ log: state.log, admitted: state.admitted }, message, state.nowMs);
}

const signature = (id: string, change: ProposedChange): Promise<SignedByOwner> =>
  signWidening(state.owner, TEST_GATEWAY, id, change, state.nowMs);

async function inForce(change: ProposedChange): Promise<void> {
  await state.log.append({ type: "proposal", change }, state.nowMs);
  const { hash } = state.log.state.head;
  expect(await step(hash, "signed", await signature(hash, change))).toMatchObject({ ok: true });
}

function host(action: HostAction) {
  return performOnHost(state.log, state.files, action, state.nowMs, () => state.admitted.alarm());
}

function proposalOf(kind: ProposedChange["kind"]): string {
  const found = [...state.log.state.proposals.values()].find(({ change }) => change.kind === kind);
  if (found === undefined) throw new Error(`no ${kind} waits`);
  return found.id;
}

const OK = { ok: true, value: null };
const no = (refusal: string) => ({ ok: false, refusal });

function rights(): unknown {
  const { policy: now, ownerKeys, resumed } = state.log.state;
  return { now, ownerKeys, resumed };
}

async function askForAll(): Promise<void> {
  const third = await newAuthenticator(APPROVE);
  state.files.write("alarm", { alarm: "audit-rewound", atMs: state.nowMs });
  const actions: readonly HostAction[] = [
    { do: "policy", maxAccess: "full", maxDays: 90 },
    { do: "owner-add", key: third.ownerKey, role: { kind: "owner" } },
    { do: "owner-role", credentialId: second.ownerKey.credentialId, role: { kind: "owner" } },
    { do: "resume" },
  ];
  for (const action of actions) expect(await host(action)).toMatchObject({ ok: true, data: { waiting: [{}] } });
}

test("[LP1] each widening command alone changes nothing, however long it waits", async () => {
  const before = rights();
  await askForAll();
  state.nowMs += 3 * PROPOSAL_WAIT_MS;
  for (const kind of ["policy", "resume", "owner-add", "owner-role"] as const)
    expect(await step(proposalOf(kind), "due")).toMatchObject({ ok: false });
  expect(rights()).toEqual(before);
  expect(state.admitted.alarm()).toMatchObject({ alarm: "audit-rewound" });
  const after = await KeyLog.open(state.files, state.identity);
  expect(after.state.proposals.size).toBe(4);
});

test("[LP1] a program without a terminal gains nothing by any command", async () => {
  const options = {
    terminal,
    files: state.files,
    dialler: new Dialler(),
    app: undefined,
    yes: true,
    standby: false,
    checkWords: undefined,
  };
  state.files.write("alarm", { alarm: "audit-rewound", atMs: state.nowMs });
  const id = second.ownerKey.credentialId;
  const third = await newAuthenticator(APPROVE);
  expect(await policy(options, { maxAccess: "full", maxDays: "90" })).toBe(0);
  expect(await owners(options, ["role", id, "owner"], NO_CEILING)).toBe(0);
  // What the same command printed a line before is enough to ask, never more.
  const checkWords = await passkeyWords(third.ownerKey);
  expect(await owners({ ...options, checkWords }, ["add", writePasskey(third.ownerKey)], NO_CEILING)).toBe(0);
  expect(await accessList(options, "resume", undefined)).toBe(0);
  const { state: now } = await KeyLog.open(state.files, state.identity);
  expect(now.policy).toEqual(LOOK);
  expect(now.ownerKeys.filter((key) => key.role === undefined || key.role.kind === "owner")).toEqual([state.owner.ownerKey]);
  expect(now.resumed).toBe(null);
  expect(state.files.read("alarm")).not.toBe(null);
});

test("[LP4] policy and resume wait 24 hours after the room's word", async () => {
  await askForAll();
  for (const kind of ["policy", "resume"] as const) expect(await step(proposalOf(kind), "noticed")).toEqual(OK);
  state.nowMs += PROPOSAL_WAIT_MS - 1;
  expect(await step(proposalOf("resume"), "due")).toEqual(no("too-early"));
  state.nowMs += 1;
  // An alarm holds back everything new except the way out of it.
  expect(await step(proposalOf("policy"), "due")).toEqual(no("alarm"));
  const resume = proposalOf("resume");
  expect(await step(resume, "due")).toEqual(OK);
  expect(state.admitted.alarm()).toBe(null);
  expect(await step(proposalOf("policy"), "due")).toEqual(OK);
  expect(state.log.state.policy).toEqual({ maxAccess: "full", maxExpiryMs: 90 * DAY_MS });
  // Said again, because the answer was lost.
  expect(await step(resume, "due")).toEqual(OK);
});

test("[LP4] a new owner and the role owner wait for a signature, whatever the room says", async () => {
  await askForAll();
  state.files.remove("alarm");
  for (const kind of ["owner-add", "owner-role"] as const) {
    const id = proposalOf(kind);
    expect(await step(id, "noticed")).toEqual(OK);
    state.nowMs += PROPOSAL_WAIT_MS;
    expect(await step(id, "due")).toEqual(no("bad-statement"));
    expect(await step(id, "signed")).toEqual(no("bad-statement"));
  }
  expect(state.log.state.ownerKeys).toHaveLength(2);
});

test("[LP3] a Cancel of the room ends it, and said twice it is the same", async () => {
  await host({ do: "policy", maxAccess: "full" });
  const id = proposalOf("policy");
  expect([await step(id, "noticed"), await step(id, "cancel"), await step(id, "cancel")]).toEqual([OK, OK, OK]);
  state.nowMs += PROPOSAL_WAIT_MS;
  expect(await step(id, "due")).toEqual(no("bad-statement"));
  const change = { kind: "policy", policy: { maxAccess: "full", maxExpiryMs: DAY_MS } } as const;
  expect(await step(id, "signed", await signature(id, change))).toEqual(no("bad-statement"));
  expect(state.log.state.policy).toEqual(LOOK);
});

test("[LP7] the key log settles an alarm, never a later one", async () => {
  state.files.write("roomHead", { seq: 0, hash: "A".repeat(43) });
  state.files.write("alarm", { alarm: "audit-rewound", atMs: state.nowMs });
  await inForce({ kind: "resume", alarm: "audit-rewound" });
  // The process ended before it took the note away.
  const again = new Admitted(state.files, await KeyLog.open(state.files, state.identity), () => state.nowMs);
  expect(again.alarm()).toBe(null);
  expect([state.files.read("alarm"), state.files.read("roomHead")]).toEqual([null, null]);
  state.files.write("alarm", { alarm: "audit-rewound", atMs: state.nowMs + 1 });
  expect(again.alarm()).toMatchObject({ alarm: "audit-rewound" });
  state.files.write("alarm", { alarm: "fork", atMs: state.nowMs - 1 });
  expect(again.alarm()).toMatchObject({ alarm: "fork" });
});

test("[LP6] every narrowing is in force at once, without any network", async () => {
  const options = {
    terminal,
    files: state.files,
    dialler: new Dialler(),
    app: undefined,
    yes: true,
    standby: false,
    checkWords: undefined,
  };
  const onDisk = async () => (await KeyLog.open(state.files, state.identity)).state;
  const device = await state.allow({ access: "look", notAfterMs: state.nowMs + DAY_MS });
  expect(await policy(options, { maxAccess: undefined, maxDays: "0.5" })).toBe(0);
  expect((await onDisk()).policy).toEqual({ maxAccess: "look", maxExpiryMs: DAY_MS / 2 });
  expect(await cut(options, device.device, false)).toBe(0);
  expect((await onDisk()).grants.get(device.grant)?.isRevoked).toBe(true);
  const id = second.ownerKey.credentialId;
  expect(await owners(options, ["role", id, "approver"], { maxAccess: "look", maxDays: "0.5" })).toBe(0);
  expect((await onDisk()).ownerKeys[1]?.role).toEqual({ kind: "approver", maxAccess: "look", maxExpiryMs: DAY_MS / 2 });
  expect(await owners(options, ["remove", id], NO_CEILING)).toBe(0);
  expect((await onDisk()).ownerKeys).toEqual([state.owner.ownerKey]);
  expect(await cut(options, undefined, true)).toBe(0);
  expect((await onDisk()).subtractedAt.get("*")).toBe((await onDisk()).head.seq);
});

test("[LP8] `policy` prints before, after, and what it waits for", async () => {
  const narrowed = await host({ do: "policy", maxDays: 0.5 });
  expect(narrowed).toMatchObject({ ok: true, text: "Before: look access, 1 day.\nNow:    look access, 0.50 days." });
  const mixed = await host({ do: "policy", maxAccess: "full", maxDays: 0.25 });
  const until = new Date(state.nowMs + PROPOSAL_WAIT_MS).toISOString();
  expect(mixed).toMatchObject({
    ok: true,
    text: `Before: look access, 0.50 days.\nNow:    look access, 0.25 days.\nWanted: full access, 0.25 days.\nIt waits for an owner's passkey, or 24 hours after the owners are asked: ${until} at the earliest.`,
    data: { before: { maxAccess: "look" }, after: { maxAccess: "look" }, waiting: [{ kind: "policy", untilMs: null }] },
  });
  await step(proposalOf("policy"), "noticed");
  const options = { terminal, files: state.files, yes: true };
  await policy(options, { maxAccess: undefined, maxDays: undefined });
  expect(terminal.texts.at(-1)).toContain(`or until ${until}.`);
  // Said again as it is now: what waited is void.
  await host({ do: "policy", maxAccess: "look" });
  expect(state.log.state.proposals.size).toBe(0);
});
