/** The key log on disk: torn, cut off, missing, swapped, on a full disk. It fails closed, and the command line of the host still works. */
import { createHash } from "node:crypto";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { beforeEach, expect, test, vi } from "vitest";
import { Admitted } from "../../src/connector/trust/admissions.ts";
import { loadIdentity } from "../../src/connector/trust/identity.ts";
import type { Identity } from "../../src/connector/trust/identity.ts";
import { KeyLog, LogWriteError, keyLogPath } from "../../src/connector/trust/key-log-file.ts";
import { DamagedStateError, StateFiles } from "../../src/connector/state/state-files.ts";
import { deviceId, grantId } from "../../src/core/trust/digests.ts";
import { HANDOVER_MS } from "../../src/protocol/limits.ts";
import type { GrantStatement, Handover, SignedByOwner } from "../../src/protocol/statements.ts";
import { fromBase64url } from "../../src/protocol/statement-encoding.ts";
import { newAuthenticator } from "../support/fake-authenticator.ts";
import type { Authenticator } from "../support/fake-authenticator.ts";
import { signedGenesis } from "../support/genesis.ts";
import { grantBytes, newDevice } from "../support/fake-device.ts";
import type { FakeDevice } from "../support/fake-device.ts";

const GATEWAY = "abcdefghijklmnopqrstuvw";
const APPROVE = "http://approve.localhost:8787";
const NOW = 1_800_000_000_000;
/** A page that these tests do not let come. */
const NOBODY = { key: "A".repeat(43) };

let files: StateFiles;
let identity: Identity;
let owner: Authenticator;
let device: FakeDevice;

beforeEach(async () => {
  files = new StateFiles(mkdtempSync(path.join(os.tmpdir(), "gatehouse-log-")));
  identity = loadIdentity(files);
  owner = await newAuthenticator(APPROVE);
  device = await newDevice();
});

async function create(): Promise<KeyLog> {
  const input = { gateway: GATEWAY, account: "a".repeat(26), connectorKey: identity.publicKey, approveOrigin: APPROVE };
  return KeyLog.create(files, identity, {
    gateway: GATEWAY,
    atMs: NOW,
    body: { type: "genesis", signed: await signedGenesis(owner, input) },
  });
}

async function grant(log: KeyLog, changes: Partial<GrantStatement> = {}): Promise<SignedByOwner> {
  return owner.sign("grant", await grantBytes(GATEWAY, device.key, NOW, { head: log.state.head.hash, ...changes }));
}

async function idOf(signed: SignedByOwner): Promise<string> {
  return grantId(fromBase64url(signed.statement) ?? new Uint8Array());
}

test("[KL7] an entry is on disk, the owner's alone, before anything acts on it", async () => {
  const log = await create();
  const signed = await grant(log);
  expect(await log.append({ type: "grant", signed }, NOW)).toBe(null);
  const text = readFileSync(keyLogPath(files), "utf8");
  expect(text.split("\n")).toHaveLength(3);
  expect(statSync(keyLogPath(files)).mode & 0o777).toBe(0o600);
  const again = await KeyLog.open(files, identity);
  expect(again.state.head).toEqual(log.state.head);
  expect(again.state.grants.has(await idOf(signed))).toBe(true);
});

test("[KL7] [case 3] what was torn off while it was written is cut away: the last entry that was acted upon stands", async () => {
  const log = await create();
  const { head } = log.state;
  appendFileSync(keyLogPath(files), '{"v":1,"gateway":"abcdefghij');
  const again = await KeyLog.open(files, identity);
  expect(again.state.head).toEqual(head);
  expect(readFileSync(keyLogPath(files), "utf8")).toMatch(/\}\n$/);
  expect(await again.append({ type: "grant", signed: await grant(again) }, NOW)).toBe(null);
  expect((await KeyLog.open(files, identity)).state.head.seq).toBe(1);
});

test("[KL7] a whole entry whose note was not written yet counts: it is signed", async () => {
  const log = await create();
  const note = readFileSync(path.join(files.dir, "head.json"));
  await log.append({ type: "grant", signed: await grant(log) }, NOW);
  writeFileSync(path.join(files.dir, "head.json"), note);
  expect((await KeyLog.open(files, identity)).state.head).toEqual(log.state.head);
});

test.each<[string, (file: string, dir: string) => void]>([
  ["deleted", (file) => rmSync(file)],
  ["empty", (file) => writeFileSync(file, "")],
  ["cut off at its last entry", (file) => writeFileSync(file, `${readFileSync(file, "utf8").split("\n").slice(0, 1).join("\n")}\n`)],
  ["torn inside an entry that was acted upon", (file) => writeFileSync(file, readFileSync(file, "utf8").slice(0, -20))],
  ["changed in one letter", (file) => writeFileSync(file, readFileSync(file, "utf8").replace('"revoke"', '"revokf"'))],
  ["without the note of its end", (_file, dir) => rmSync(path.join(dir, "head.json"))],
])("[KL7] [case 4] a log that was %s admits nobody", async (_what, damage) => {
  const log = await create();
  await log.append({ type: "revoke", device: await deviceId(GATEWAY, device.key), by: "host" }, NOW);
  damage(keyLogPath(files), files.dir);
  await expect(KeyLog.open(files, identity)).rejects.toThrow(DamagedStateError);
});

test("[KL7] another gateway's log under the same note is no log of ours", async () => {
  await create();
  const other = new StateFiles(mkdtempSync(path.join(os.tmpdir(), "gatehouse-log-")));
  const first = files;
  files = other;
  identity = loadIdentity(other);
  await create();
  copyFileSync(keyLogPath(other), keyLogPath(first));
  await expect(KeyLog.open(first, identity)).rejects.toThrow(DamagedStateError);
});

test("[KL7] [case 47] a disk that refuses changes nothing: no new grant, those before stand, and the cut is denied all the same", async () => {
  const log = await create();
  const signed = await grant(log);
  const admitted = new Admitted(files, log, () => NOW);
  expect(await admitted.keepGrant(signed)).toEqual({ ok: true, value: null });
  const file = keyLogPath(files);
  const text = readFileSync(file, "utf8");
  rmSync(file);
  mkdirSync(file);
  const other = await newDevice();
  const second = await owner.sign("grant", await grantBytes(GATEWAY, other.key, NOW, { head: log.state.head.hash }));
  await expect(admitted.keepGrant(second)).rejects.toThrow(LogWriteError);
  expect(admitted.grant(await idOf(second))).toBe(null);
  expect(admitted.grant(await idOf(signed))?.isRevoked).toBe(false);
  await expect(admitted.revokeDevice(await deviceId(GATEWAY, device.key), "relay")).rejects.toThrow(LogWriteError);
  expect(admitted.grant(await idOf(signed))?.isRevoked).toBe(true);
  rmSync(file, { recursive: true });
  writeFileSync(file, text);
  expect(await admitted.keepGrant(second)).toEqual({ ok: true, value: null });
});

test("[SE2] [MA7] [case 47] a session that the disk refuses ends with the process", async () => {
  const log = await create();
  const signed = await grant(log);
  const admitted = new Admitted(files, log, () => NOW);
  await admitted.keepGrant(signed);
  const open = { session: "s".repeat(22), device: await deviceId(GATEWAY, device.key) };
  const session = { ...open, grant: await idOf(signed), expiresAtMs: NOW + 3_600_000 };
  vi.spyOn(files, "write").mockImplementationOnce(() => {
    throw new Error("ENOSPC");
  });
  // Its grant is no owner's own: there is nothing else to write.
  await admitted.keepSession(session, NOBODY);
  expect(admitted.admits(open)).toMatchObject({ access: "full" });
  const restarted = new Admitted(files, log, () => NOW);
  expect([restarted.admits(open), restarted.sessionCount, restarted.mayHandOver(open, "e".repeat(64))]).toEqual(["no-session", 0, false]);
  // The next one that the disk takes brings the earlier one along.
  await admitted.keepSession({ ...session, session: "t".repeat(22) }, NOBODY);
  expect(new Admitted(files, log, () => NOW).admits(open)).toMatchObject({ access: "full" });
});

test("[KL7] a new claim never overwrites an older log", async () => {
  await create();
  const before = readFileSync(keyLogPath(files), "utf8");
  await create();
  const kept = readdirSync(files.dir).filter((name) => name.endsWith(".old"));
  expect(kept).toHaveLength(1);
  expect(readFileSync(path.join(files.dir, kept[0] ?? ""), "utf8")).toBe(before);
  expect(existsSync(keyLogPath(files))).toBe(true);
});

test("[KL6] an alarm stops everything new; sessions, cuts and owners who leave go on", async () => {
  const log = await create();
  const admitted = new Admitted(files, log, () => NOW);
  const signed = await grant(log);
  await admitted.keepGrant(signed);
  files.write("alarm", { alarm: "room-rolled-back", atMs: NOW });
  const other = await newDevice();
  const late = await owner.sign("grant", await grantBytes(GATEWAY, other.key, NOW, { head: log.state.head.hash }));
  expect(await admitted.keepGrant(late)).toEqual({ ok: false, refusal: "alarm" });
  expect(await admitted.keepGrant(signed)).toEqual({ ok: true, value: null });
  const add = { type: "owner-add", key: (await newAuthenticator(APPROVE)).ownerKey, authority: { by: "owner", signed } } as const;
  expect(await admitted.changeOwner(add)).toEqual({ ok: false, refusal: "alarm" });
  expect(await admitted.revokeDevice(await deviceId(GATEWAY, device.key), "relay")).toBe(true);
});

test("[CUT2] a cut that is sent again adds nothing; one for a device that nobody allowed here is kept", async () => {
  const log = await create();
  const admitted = new Admitted(files, log, () => NOW);
  const heldBack = await grant(log);
  const id = await deviceId(GATEWAY, device.key);
  expect(await admitted.revokeDevice(id, "relay")).toBe(false);
  await admitted.revokeDevice(id, "relay");
  expect(log.state.head.seq).toBe(1);
  expect(await admitted.keepGrant(heldBack)).toEqual({ ok: false, refusal: "stale-head" });
});

test("[SE2] a stream is admitted only for a session on disk, and [CUT2] a cut outlives a restart", async () => {
  const log = await create();
  const signed = await grant(log, { access: "chat", notAfterMs: NOW + 1_000 });
  const id = await idOf(signed);
  const open = { session: "s".repeat(32), device: await deviceId(GATEWAY, device.key) };
  const at = async (ms: number): Promise<Admitted> => new Admitted(files, await KeyLog.open(files, identity), () => NOW + ms);
  const admitted = new Admitted(files, log, () => NOW + 10);
  expect(admitted.admits(open)).toBe("no-session");
  await admitted.keepGrant(signed);
  await admitted.keepSession({ session: open.session, device: open.device, grant: id, expiresAtMs: NOW + 500 }, NOBODY);
  const restarted = await at(10);
  expect(restarted.admits(open)).toEqual({ access: "chat", expiresAtMs: NOW + 500 });
  expect(restarted.admits({ ...open, device: "e".repeat(26) })).toBe("no-session");
  expect((await at(500)).admits(open)).toBe("no-session");
  await restarted.revokeDevice(open.device, "host");
  const again = await at(10);
  expect(again.grant(id)?.isRevoked).toBe(true);
  expect(await again.keepGrant(signed)).toEqual({ ok: false, refusal: "revoked" });
  expect(again.admits(open)).toBe("no-session");
});

/** A stock page's key: its hash as the door states it, and the name that OpenClaw has for it. */
function pageKey(letter: string): { readonly key: string; readonly openclawDevice: string } {
  const hash = createHash("sha256").update(letter).digest();
  return { key: hash.toString("base64url"), openclawDevice: hash.toString("hex") };
}

/** What a session of the device is handed over to, on a clock that the test moves. */
async function handovers() {
  const log = await create();
  const signed = await grant(log);
  const id = await idOf(signed);
  const clock = { atMs: NOW };
  const admitted = new Admitted(files, log, () => clock.atMs);
  await admitted.keepGrant(signed);
  const open = { session: "s".repeat(32), device: await deviceId(GATEWAY, device.key) };
  const prove = (handover: Handover, session = open.session) =>
    admitted.keepSession({ ...open, session, grant: id, expiresAtMs: NOW + 3_600_000 }, handover);
  return { admitted, clock, open, prove };
}

test("[R8] [SE3] [case 48] only the key that the device named is handed over, whoever comes first", async () => {
  const { admitted, clock, open, prove } = await handovers();
  const [own, thief] = [pageKey("own"), pageKey("thief")];
  expect(admitted.mayHandOver(open, own.openclawDevice)).toBe(false);
  await prove({ key: own.key });
  // Who copied the cookie comes before the device's own page, and again after it.
  const order = [thief, own, thief, own];
  expect(order.map((each) => admitted.mayHandOver(open, each.openclawDevice))).toEqual([false, true, false, true]);
  admitted.bind(open.device, own.openclawDevice);
  clock.atMs += HANDOVER_MS + 1;
  expect(order.map((each) => admitted.mayHandOver(open, each.openclawDevice))).toEqual([false, true, false, true]);
  expect(admitted.mayHandOver({ ...open, device: "e".repeat(26) }, own.openclawDevice)).toBe(false);
  // Another proof at the door, another new key: the page forgot its own.
  const [renewed, fresh] = [{ ...open, session: "t".repeat(32) }, pageKey("fresh")];
  await prove({ key: fresh.key }, renewed.session);
  expect([open, renewed].map((each) => admitted.mayHandOver(each, fresh.openclawDevice))).toEqual([false, true]);
  const restarted = new Admitted(files, await KeyLog.open(files, identity), () => clock.atMs);
  expect([fresh, own].map((each) => restarted.mayHandOver(renewed, each.openclawDevice))).toEqual([false, true]);
});

test("[R8] [case 48] two minutes after the proof a named key is handed nothing over", async () => {
  const { admitted, clock, open, prove } = await handovers();
  await prove({ key: pageKey("own").key });
  clock.atMs += HANDOVER_MS + 1;
  expect(admitted.mayHandOver(open, pageKey("own").openclawDevice)).toBe(false);
});

test("[R18] the page that a proof named is asked to come back once, within two minutes, under its own key", async () => {
  const { admitted, clock, open, prove } = await handovers();
  const [own, thief] = [pageKey("own"), pageKey("thief")];
  expect(admitted.takeHandover(open, own.openclawDevice)).toBe(false);
  await prove({ key: own.key });
  expect([thief, own, own].map((each) => admitted.takeHandover(open, each.openclawDevice))).toEqual([false, true, false]);
  await prove({ key: own.key });
  expect(admitted.takeHandover({ session: "t".repeat(32) }, own.openclawDevice)).toBe(false);
  // Bound, so that it may still be paired.
  admitted.bind(open.device, own.openclawDevice);
  clock.atMs += HANDOVER_MS + 1;
  expect([admitted.mayHandOver(open, own.openclawDevice), admitted.takeHandover(open, own.openclawDevice)]).toEqual([true, false]);
});

test("[R18] a page that came by the one-time cookie is asked to come back under the key that it brought", async () => {
  const { admitted, open, prove } = await handovers();
  const own = pageKey("own").openclawDevice;
  await prove({ once: pageKey("cookie").key });
  expect(admitted.takeHandover(open, own)).toBe(false);
  admitted.mayHandOver({ ...open, once: "cookie" }, own);
  expect([admitted.takeHandover(open, pageKey("thief").openclawDevice), admitted.takeHandover(open, own)]).toEqual([false, true]);
});

test("[R8] [SE3] [case 48] without a readable key the one-time cookie decides, for one key", async () => {
  const { admitted, open, prove } = await handovers();
  const [own, thief] = [pageKey("own").openclawDevice, pageKey("thief").openclawDevice];
  await prove({ once: pageKey("cookie").key });
  expect(admitted.mayHandOver(open, thief)).toBe(false);
  expect(admitted.mayHandOver({ ...open, once: "guess" }, thief)).toBe(false);
  expect(admitted.mayHandOver({ ...open, once: "cookie" }, own)).toBe(true);
  // Used up: the same cookie brings no second key.
  expect(admitted.mayHandOver({ ...open, once: "cookie" }, thief)).toBe(false);
  expect(admitted.mayHandOver(open, own)).toBe(true);
});
