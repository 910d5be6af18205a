/** What the room asks, when this machine cannot do it: answered, and never done later from memory. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { AuditAnchor } from "../../../src/connector/link/audit-anchor.ts";
import { Cuts } from "../../../src/connector/trust/cuts.ts";
import { DriftWatch } from "../../../src/connector/trust/drift-watch.ts";
import { LogWriteError } from "../../../src/connector/trust/key-log-file.ts";
import { LocalActs } from "../../../src/connector/trust/local-acts.ts";
import { LinkCommands } from "../../../src/connector/link/commands.ts";
import { grantId } from "../../../src/core/trust/digests.ts";
import type { ToConnector, ToRoom } from "../../../src/protocol/link-messages.ts";
import {
  OWNER_KEY_KEYS,
  OWNER_REMOVE_KEYS,
  RECOVERY_KEY_KEYS,
  RECOVER_KEYS,
  encodeBody,
  tagged,
  toBase64url,
} from "../../../src/protocol/statement-encoding.ts";
import { newAuthenticator } from "../../support/fake-authenticator.ts";
import type { Authenticator } from "../../support/fake-authenticator.ts";
import { grantBytes, newDevice } from "../../support/fake-device.ts";
import { ConnectorState, TEST_GATEWAY } from "../../support/connector-state.ts";
import { newLogKey } from "../../support/test-key-log.ts";
import { StubOpenclaw } from "../../support/local-gateway.ts";

let state: ConnectorState;
let sent: ToRoom[];
let commands: LinkCommands;

beforeEach(async () => {
  state = await ConnectorState.create();
  sent = [];
  const { files, admitted, log, identity } = state;
  const gateway = new StubOpenclaw(1);
  const now = (): number => state.nowMs;
  const send = (message: ToRoom): void => void sent.push(message);
  commands = new LinkCommands({
    files,
    identity,
    admitted,
    log,
    gateway,
    now,
    send,
    audit: new AuditAnchor({ files, gateway: TEST_GATEWAY, now, send, onRewound: () => undefined }),
    cuts: new Cuts({ admitted, log, identity, gateway, now, endStreams: () => 0, send }),
    drift: new DriftWatch({ admitted, gateway, now, send }),
    acts: new LocalActs({ files, log, admitted, gateway, now, send }),
    welcomed: () => undefined,
    sayAlarm: () => undefined,
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** The next command finds a state folder that cannot be read. */
function failOnce(): void {
  vi.spyOn(state.files, "read").mockImplementationOnce(() => {
    throw new Error("EIO");
  });
}

function take(message: Parameters<LinkCommands["take"]>[0]): void {
  commands.take(message, () => true);
}

const results = (): unknown[] => sent.flatMap((each) => (each.type === "result" ? [{ id: each.id, ok: each.ok }] : []));

test("[CUT4] [LINK7] a cut that failed here is left to the room to ask again: the owner may have allowed the device anew by then", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { device } = await state.allow();
  const key = state.admitted.grants().at(-1)?.statement.key;
  if (key === undefined) throw new Error("no grant");
  failOnce();
  take({ type: "cut", id: "cut-1", device, cutAtMs: 5, cut: "c".repeat(26), audit: { seq: 1, hash: "A".repeat(43) } });
  await vi.waitFor(() => expect(results()).toEqual([{ id: "cut-1", ok: false }]));
  const bytes = await grantBytes(TEST_GATEWAY, key, state.nowMs, { head: state.log.state.head.hash });
  const grant = await grantId(bytes);
  take({ type: "grant", id: "grant-1", grant, signed: await state.owner.sign("grant", bytes) });
  await vi.waitFor(() => expect(results().at(-1)).toEqual({ id: "grant-1", ok: true }));
  await vi.runAllTimersAsync();
  // One at a time: whatever was to be tried again is over when this is answered.
  take({ type: "nonce-request", id: "after" });
  await vi.waitFor(() => expect(sent.at(-1)).toMatchObject({ type: "nonce", id: "after" }));
  expect(results()).toHaveLength(2);
  expect(state.admitted.grant(grant)?.isRevoked).toBe(false);
});

/** Sends one command, as the room does that owes it. @returns its result */
async function settled(message: Extract<ToConnector, { id: string }>): Promise<string> {
  const before = sent.length;
  take(message as Parameters<LinkCommands["take"]>[0]);
  return vi.waitFor(() => {
    const result = sent.slice(before).find((each) => each.type === "result");
    if (result === undefined) throw new Error("not answered yet");
    return result.ok ? "ok" : (result.refusal ?? "refused");
  });
}

const APPROVE = "http://approve.localhost:8787";
const ACCOUNT = "a".repeat(26);

/** An owner's word that this passkey is another owner's of the gateway, made knowing of everything up to now. */
async function endorsement(of: Authenticator, id: string, by = state.owner): Promise<Extract<ToConnector, { type: "owner-key" }>> {
  const person = { gateway: TEST_GATEWAY, role: { kind: "owner" }, head: state.log.state.head.hash };
  const body = encodeBody({ v: 1, account: ACCOUNT, ...of.ownerKey, issuedAtMs: state.nowMs, person }, OWNER_KEY_KEYS);
  return { type: "owner-key", id, signed: await by.sign("owner-key", body) };
}

async function removal(of: Authenticator, id: string, by = state.owner): Promise<Extract<ToConnector, { type: "owner-remove" }>> {
  const { credentialId } = of.ownerKey;
  const body = encodeBody({ v: 1, account: ACCOUNT, credentialId, issuedAtMs: state.nowMs, gateway: TEST_GATEWAY }, OWNER_REMOVE_KEYS);
  return { type: "owner-remove", id, signed: await by.sign("owner-remove", body) };
}

const isTrusted = (of: Authenticator): boolean =>
  state.log.state.ownerKeys.some(({ credentialId }) => credentialId === of.ownerKey.credentialId);

test("[LINK7] [KL13] [case 47] a removal that the disk refused comes before the word that brings the passkey back: nobody is told of a passkey that goes a moment later", async () => {
  const ann = await newAuthenticator(APPROVE);
  expect(await settled(await endorsement(ann, "add-1"))).toBe("ok");
  vi.spyOn(state.log, "append").mockRejectedValueOnce(new LogWriteError("full"));
  const gone = await removal(ann, "gone-1");
  const anew = await endorsement(ann, "add-2");
  expect(await settled(gone)).toBe("internal");
  expect(await settled(anew)).toBe("internal");
  // After the next `ack`, in the order of the decisions: the word did not know of the removal.
  expect(await settled(gone)).toBe("ok");
  expect(await settled(anew)).toBe("revoked");
  expect(isTrusted(ann)).toBe(false);
  expect(await settled(await endorsement(ann, "add-3"))).toBe("ok");
});

test("[LINK7] [KL13] [case 47] and one that knows of the host's removal stands, although an older removal that the disk refused is said again after it", async () => {
  const ann = await newAuthenticator(APPROVE);
  expect(await settled(await endorsement(ann, "add-1"))).toBe("ok");
  vi.spyOn(state.log, "append").mockRejectedValueOnce(new LogWriteError("full"));
  const gone = await removal(ann, "gone-1");
  expect(await settled(gone)).toBe("internal");
  const { credentialId } = ann.ownerKey;
  expect(await state.log.append({ type: "owner-remove", credentialId, authority: { by: "host" } }, state.nowMs)).toBe(null);
  const anew = await endorsement(ann, "add-2");
  expect(await settled(anew)).toBe("internal");
  expect([await settled(gone), await settled(anew), isTrusted(ann)]).toEqual(["ok", "ok", true]);
});

test("[LINK7] [KL9] [case 47] what a passkey says whose coming the disk refused waits for it: its first word is the one that takes the stolen passkey out", async () => {
  const [ann, stolen] = await Promise.all([newAuthenticator(APPROVE), newAuthenticator(APPROVE)]);
  expect(await settled(await endorsement(stolen, "add-stolen"))).toBe("ok");
  vi.spyOn(state.log, "append").mockRejectedValueOnce(new LogWriteError("full"));
  const coming = await endorsement(ann, "add-ann");
  const { key } = await newDevice();
  const bytes = await grantBytes(TEST_GATEWAY, key, state.nowMs, { head: state.log.state.head.hash });
  const grant = { type: "grant", id: "grant-1", grant: await grantId(bytes), signed: await ann.sign("grant", bytes) } as const;
  const owed = [coming, grant, await removal(stolen, "gone-stolen", ann)];
  for (const message of owed) expect(await settled(message)).toBe("internal");
  for (const message of owed) expect(await settled(message)).toBe("ok");
  expect([isTrusted(ann), isTrusted(stolen), state.admitted.grant(grant.grant)?.isRevoked]).toEqual([true, false, false]);
});

test("[LINK7] [case 47] whatever waits for what, the oldest has its turn: nothing waits for good", async () => {
  const [ann, ben] = await Promise.all([newAuthenticator(APPROVE), newAuthenticator(APPROVE)]);
  expect(await settled(await endorsement(ann, "add-ann"))).toBe("ok");
  vi.spyOn(state.log, "append").mockRejectedValueOnce(new LogWriteError("full"));
  // Ann brings Ben, who takes Ann out, who is brought back.
  const owed = [await endorsement(ben, "add-ben", ann), await removal(ann, "gone-ann", ben), await endorsement(ann, "add-ann")];
  for (const message of owed) expect(await settled(message)).toBe("internal");
  const results: string[] = [];
  for (const message of owed) results.push(await settled(message));
  expect(results).toEqual(["ok", "ok", "revoked"]);
});

test("[KL6] [LINK7] under an alarm the word of a passkey whose coming the alarm holds back is held back, too; its first word stands when the alarm is over", async () => {
  const [ann, stolen] = await Promise.all([newAuthenticator(APPROVE), newAuthenticator(APPROVE)]);
  expect(await settled(await endorsement(stolen, "add-stolen"))).toBe("ok");
  const owed = [await endorsement(ann, "add-ann"), await removal(stolen, "gone-stolen", ann)];
  state.files.write("alarm", { alarm: "fork", atMs: 1 });
  for (const message of owed) expect(await settled(message)).toBe("alarm");
  state.files.remove("alarm");
  for (const message of owed) expect(await settled(message)).toBe("ok");
  expect([isTrusted(ann), isTrusted(stolen)]).toEqual([true, false]);
  // Owners leave under an alarm, too.
  state.files.write("alarm", { alarm: "fork", atMs: 1 });
  expect([await settled(await removal(ann, "gone-ann")), isTrusted(ann)]).toEqual(["ok", false]);
});

test("[LINK7] [KL10] [case 47] the word of a recovery key that the disk refused waits for the key", async () => {
  const [ann, paper] = await Promise.all([newAuthenticator(APPROVE), newLogKey()]);
  vi.spyOn(state.log, "append").mockRejectedValueOnce(new LogWriteError("full"));
  const about = { v: 1, account: ACCOUNT, issuedAtMs: state.nowMs };
  const pinned = await state.owner.sign("recovery-key", encodeBody({ ...about, key: paper.key }, RECOVERY_KEY_KEYS));
  const body = encodeBody({ ...about, ...ann.ownerKey, remove: [state.owner.ownerKey.credentialId] }, RECOVER_KEYS);
  const recover = { statement: toBase64url(body), signature: await paper.sign(tagged("recover", body)) };
  const owed = [
    { type: "recovery-key", id: "recovery-key", signed: pinned },
    { type: "recover", id: "recover-ann", signed: recover },
  ] as const;
  for (const message of owed) expect(await settled(message)).toBe("internal");
  for (const message of owed) expect(await settled(message)).toBe("ok");
  expect([isTrusted(ann), isTrusted(state.owner)]).toEqual([true, false]);
});
