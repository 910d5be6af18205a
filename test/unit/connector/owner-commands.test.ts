/** `gatehouse owners`: the person at the machine takes out by a word, and asks an owner for more; nothing happens by a slip. */
import { beforeEach, expect, test } from "vitest";
import { owners } from "../../../src/connector/cli/owner-commands.ts";
import { Dialler } from "../../../src/connector/network/dialler.ts";
import { reset } from "../../../src/connector/cli/lock-commands.ts";
import { loadIdentity } from "../../../src/connector/trust/identity.ts";
import { KeyLog } from "../../../src/connector/trust/key-log-file.ts";
import { Terminal } from "../../../src/connector/cli/terminal.ts";
import { ownerChangeOf } from "../../../src/connector/link/owner-change.ts";
import { passkeyWords, writePasskey } from "../../../src/core/trust/passkey-text.ts";
import { OWNER_KEY_KEYS, OWNER_REMOVE_KEYS, RECOVERY_KEY_KEYS, RECOVER_KEYS, encodeBody, tagged, toBase64url } from "../../../src/protocol/statement-encoding.ts"; // prettier-ignore
import { ConnectorState, TEST_GATEWAY } from "../../support/connector-state.ts";
import { newAuthenticator } from "../../support/fake-authenticator.ts";
import type { Authenticator } from "../../support/fake-authenticator.ts";
import { newLogKey, signWidening } from "../../support/test-key-log.ts";

const APPROVE = "http://approve.localhost:8787";
const NO_CEILING = { maxAccess: undefined, maxDays: undefined };

/** Remembers instead of printing; nobody sits at it. */
class QuietTerminal extends Terminal {
  readonly events: { readonly event: string; readonly [key: string]: unknown }[] = [];

  constructor() {
    super({ json: true });
  }

  override say(event: string, text: string, data: object = {}): void {
    this.events.push({ event, text, ...data });
  }

  override fail(event: string, text: string, data: object = {}): void {
    this.events.push({ event, error: text, ...data });
  }
}

let state: ConnectorState;
let second: Authenticator;
let terminal: QuietTerminal;

beforeEach(async () => {
  [state, second, terminal] = [await ConnectorState.create(), await newAuthenticator(APPROVE), new QuietTerminal()];
});

function run(words: readonly string[], checkWords?: string, ceiling: Parameters<typeof owners>[2] = NO_CEILING): Promise<number> {
  return owners(
    { terminal, files: state.files, dialler: new Dialler(), app: undefined, checkWords, yes: true, standby: false },
    words,
    ceiling,
  );
}

async function onDisk() {
  return (await KeyLog.open(state.files, state.identity)).state;
}

async function addSecond(...more: readonly string[]): Promise<number> {
  return run(["add", writePasskey(second.ownerKey), ...more], await passkeyWords(second.ownerKey));
}

/** An owner approves the one change that waits. */
async function approved(): Promise<void> {
  const log = await KeyLog.open(state.files, state.identity);
  const [proposal] = log.state.proposals.values();
  if (proposal === undefined) throw new Error("nothing waits");
  const { id, change } = proposal;
  const signed = await signWidening(state.owner, TEST_GATEWAY, id, change, Date.now());
  expect(await log.append({ type: "effect", proposal: id, signed }, Date.now())).toBe(null);
}

async function pinSecond(): Promise<void> {
  await addSecond();
  await approved();
}

test("[KL12] a passkey is asked for only after its twelve words were confirmed; a yes to everything is not that", async () => {
  const before = await onDisk();
  expect(await run(["add", writePasskey(second.ownerKey)])).toBe(3);
  expect(await run(["add", writePasskey(second.ownerKey)], await passkeyWords(state.owner.ownerKey))).toBe(1);
  expect(await run(["add", "passkey-AAAA"], "anchor")).toBe(2);
  expect((await onDisk()).head).toEqual(before.head);
  expect(await addSecond()).toBe(0);
  expect((await onDisk()).ownerKeys).toEqual([state.owner.ownerKey]);
  expect(await addSecond()).toBe(1);
  terminal.events.length = 0;
  await run([]);
  expect(terminal.events.at(-1)).toMatchObject({ waiting: [{ kind: "owner-add", role: { kind: "owner" }, untilMs: null }] });
  await approved();
  expect((await onDisk()).ownerKeys).toEqual([state.owner.ownerKey, second.ownerKey]);
});

test("[KL11] [KL12] roles are said on the machine, an approver's ceiling whole; the list shows them", async () => {
  const ceiling = { maxAccess: "chat", maxDays: "7" };
  const id = second.ownerKey.credentialId;
  expect(await run(["role", id, "approver"], undefined, ceiling)).toBe(1);
  await pinSecond();
  for (const partial of [
    NO_CEILING,
    { maxAccess: "chat", maxDays: undefined },
    { maxAccess: undefined, maxDays: "7" },
    { maxAccess: "all", maxDays: "7" },
    { maxAccess: "chat", maxDays: "91" },
    { maxAccess: "chat", maxDays: "0" },
  ])
    // prettier-ignore
    expect(await run(["role", id, "approver"], undefined, partial)).toBe(2);
  expect(await run(["role", id], undefined, ceiling)).toBe(2);
  expect(await run(["role", id, "owner"], undefined, ceiling)).toBe(2);
  expect(await run(["role", id.slice(0, 12), "approver"], undefined, ceiling)).toBe(0);
  const role = { kind: "approver", maxAccess: "chat", maxExpiryMs: 7 * 86_400_000 };
  terminal.events.length = 0;
  expect(await run([])).toBe(0);
  expect(terminal.events).toMatchObject([
    {
      event: "owners",
      owners: [
        { credentialId: state.owner.ownerKey.credentialId, role: { kind: "owner" } },
        { credentialId: id, role },
      ],
      recoveryKey: null,
    },
  ]);
  expect(await run(["role", id, "owner"])).toBe(0);
  expect((await onDisk()).ownerKeys[1]?.role).toEqual(role);
  await approved();
  expect((await onDisk()).ownerKeys[1]?.role).toEqual({ kind: "owner" });
});

test("[KL5] [KL12] the machine takes passkeys out by the beginning of their id, never the last owner's, never one it does not know", async () => {
  await pinSecond();
  expect(await run(["remove", "nobody"])).toBe(1);
  expect(await run(["remove", ""])).toBe(1);
  expect((await onDisk()).head.seq).toBe(2);
  expect(await run(["remove", state.owner.ownerKey.credentialId.slice(0, 12)])).toBe(0);
  expect(await run(["remove", second.ownerKey.credentialId])).toBe(1);
  expect((await onDisk()).ownerKeys).toEqual([second.ownerKey]);
});

test("[KL10] [KL12] the machine takes the recovery key out: its paper does nothing any more", async () => {
  const paper = await newLogKey();
  const account = state.log.state.account;
  const body = encodeBody({ v: 1, account, key: paper.key, issuedAtMs: state.nowMs }, RECOVERY_KEY_KEYS);
  const pinned = ownerChangeOf({ type: "recovery-key", id: "1", signed: await state.owner.sign("recovery-key", body) });
  if (pinned === null) throw new Error("no statement");
  expect(await run(["remove", "recovery-key"])).toBe(1);
  expect(await state.admitted.changeOwner(pinned)).toEqual({ ok: true, value: null });
  expect(await run(["remove", "recovery-key"])).toBe(0);
  const again = await KeyLog.open(state.files, state.identity);
  const word = encodeBody({ v: 1, account, ...second.ownerKey, remove: [], issuedAtMs: state.nowMs }, RECOVER_KEYS);
  const signed = { statement: toBase64url(word), signature: await paper.sign(tagged("recover", word)) };
  expect(await again.append({ type: "recover", signed }, Date.now())).toBe("unknown-owner-key");
});

test("[LINK7] what the room sends twice is taken once, and an alarm lets owners leave, but nobody come", async () => {
  const account = state.log.state.account;
  const { credentialId } = second.ownerKey;
  const endorsed = await state.owner.sign("owner-key", encodeBody({ v: 1, account, ...second.ownerKey, issuedAtMs: 1 }, OWNER_KEY_KEYS));
  const removed = await state.owner.sign("owner-remove", encodeBody({ v: 1, account, credentialId, issuedAtMs: 1 }, OWNER_REMOVE_KEYS));
  const add = ownerChangeOf({ type: "owner-key", id: "1", signed: endorsed });
  const remove = ownerChangeOf({ type: "owner-remove", id: "1", signed: removed });
  if (add === null || remove === null) throw new Error("no statement");
  const ok = { ok: true, value: null };
  for (const change of [add, add, remove, remove]) expect(await state.admitted.changeOwner(change)).toEqual(ok);
  expect(state.log.state.head.seq).toBe(2);
  state.files.write("alarm", { alarm: "fork", atMs: 1 });
  const third = await newAuthenticator(APPROVE);
  const word = encodeBody({ v: 1, account, ...third.ownerKey, remove: [], issuedAtMs: 1 }, RECOVER_KEYS);
  const signed = { statement: toBase64url(word), signature: "A".repeat(86) };
  expect(await state.admitted.changeOwner({ type: "recover", signed })).toEqual({ ok: false, refusal: "alarm" });
  expect(await state.admitted.changeOwner(remove)).toEqual(ok);
  expect(ownerChangeOf({ type: "owner-key", id: "1", signed: removed })).toBe(null);
});

test("[KL12] reset forgets log, owners and key: whoever claims next starts with nothing of the old owner's", async () => {
  await pinSecond();
  const { x } = state.identity.publicKey;
  expect(await reset({ terminal, files: state.files, yes: false })).toBe(3);
  expect(await onDisk()).toMatchObject({ ownerKeys: [state.owner.ownerKey, second.ownerKey] });
  expect(await reset({ terminal, files: state.files, yes: true })).toBe(0);
  await expect(onDisk()).rejects.toThrow("is missing");
  expect(loadIdentity(state.files).publicKey.x).not.toBe(x);
});
