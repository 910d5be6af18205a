/** Which key proves a link while a connector's key changes, and when two copies of one connector close the gateway. */
import { beforeEach, expect, test } from "vitest";
import { NO_COPIES, sawCopy } from "../../../src/core/trust/copy-watch.ts";
import { keyThumbprint } from "../../../src/core/trust/digests.ts";
import { isNamed } from "../../../src/core/trust/judge.ts";
import { followRotations, linkKey } from "../../../src/core/trust/key-rotation.ts";
import { COPY_WINDOW_MS, KEY_OVERLAP_MS, NONCE_MS } from "../../../src/protocol/limits.ts";
import { newAuthenticator } from "../../support/fake-authenticator.ts";
import { TestKeyLog, newLogKey } from "../../support/test-key-log.ts";
import type { LogKey } from "../../support/test-key-log.ts";

const GATEWAY = "abcdefghijklmnopqrstuvw";
const APPROVE = "http://approve.localhost:8787";
const NOW = 1_800_000_000_000;

let log: TestKeyLog;
let first: LogKey;
let second: LogKey;
let third: LogKey;
let rotations: string[];

beforeEach(async () => {
  [first, second, third] = [await newLogKey(), await newLogKey(), await newLogKey()];
  const owner = await newAuthenticator(APPROVE);
  log = await TestKeyLog.start({ gateway: GATEWAY, owner, approveOrigin: APPROVE, atMs: NOW, signer: first });
  await log.rotate(second, NOW);
  await log.rotate(third, NOW);
  rotations = log.lines.slice(1);
});

test("[LINK8] rotate entries lead from any older key to the newest, and nowhere from a stranger's", async () => {
  for (const known of [first, second, third]) expect(await followRotations(GATEWAY, known.key, rotations)).toEqual(third.key);
  const stranger = await newLogKey();
  expect(await followRotations(GATEWAY, stranger.key, rotations)).toEqual(stranger.key);
  expect(await followRotations("b".repeat(23), first.key, rotations)).toEqual(first.key);
  expect(await followRotations(GATEWAY, first.key, rotations.toReversed())).toEqual(second.key);
  expect(await followRotations(GATEWAY, first.key, ["", "{}", log.lines[0] ?? ""])).toEqual(first.key);
});

test("[LINK8] an entry by somebody else, or to a key that nobody holds, leads nowhere", async () => {
  const [line = ""] = rotations;
  const entry = JSON.parse(line) as { body: { proof: string }; sig: string };
  const forged = JSON.stringify({ ...entry, sig: "A".repeat(86) });
  expect(await followRotations(GATEWAY, first.key, [forged])).toEqual(first.key);
  const unheld = await TestKeyLog.start({
    gateway: GATEWAY,
    owner: await newAuthenticator(APPROVE),
    approveOrigin: APPROVE,
    atMs: NOW,
    signer: first,
  });
  expect(await unheld.attempt({ type: "rotate", key: third.key, proof: entry.body.proof }, NOW)).toBe("bad-signature");
});

test("[LINK8] the key before proves a link for a day at most, and not at all once the new one was acknowledged", async () => {
  const previousKey = { key: first.key, rotatedAtMs: NOW, seq: 1, isAcknowledged: false };
  const known = { gateway: GATEWAY, key: second.key, previousKey };
  const asOld = (nowMs: number, isAcknowledged = false) =>
    linkKey({ ...known, previousKey: { ...previousKey, isAcknowledged } }, { key: first.key, rotations }, nowMs);
  expect(await asOld(NOW + KEY_OVERLAP_MS - 1)).toEqual(first.key);
  expect(await asOld(NOW + KEY_OVERLAP_MS)).toBe(null);
  expect(await asOld(NOW, true)).toBe(null);
  expect(await linkKey({ ...known, previousKey: null }, { key: first.key, rotations }, NOW)).toBe(null);
  expect(await linkKey(known, { key: third.key, rotations }, NOW)).toEqual(third.key);
  expect(await linkKey(known, { key: third.key }, NOW)).toBe(null);
  expect(await linkKey(known, { key: second.key }, NOW)).toEqual(second.key);
});

test("[SE1] a session that began before a rotation may name the key of that time as long as its nonce lives", async () => {
  const { previousKey, key } = log.state;
  expect(previousKey).toEqual({ key: second.key, rotatedAtMs: NOW });
  const named = await keyThumbprint(second.key);
  expect(await isNamed({ key, previousKey }, named, NOW + NONCE_MS - 1)).toBe(true);
  expect(await isNamed({ key, previousKey }, named, NOW + NONCE_MS)).toBe(false);
  expect(await isNamed({ key, previousKey }, await keyThumbprint(first.key), NOW)).toBe(false);
  expect(await isNamed({ key, previousKey }, await keyThumbprint(key), NOW + 10 * NONCE_MS)).toBe(true);
});

test("[LINK9] [case 8] the third stale copy within ten minutes closes the gateway; three spread out do not", () => {
  const spread = [0, COPY_WINDOW_MS / 2, COPY_WINDOW_MS, 1.5 * COPY_WINDOW_MS].reduce(
    (watch, atMs) => sawCopy(watch, NOW + atMs),
    NO_COPIES,
  );
  expect(spread.quarantinedAtMs).toBe(null);
  const fight = [0, 1, 2].reduce((watch, atMs) => sawCopy(watch, NOW + atMs), NO_COPIES);
  expect(fight.quarantinedAtMs).toBe(NOW + 2);
  expect(sawCopy(fight, NOW + 10 * COPY_WINDOW_MS).quarantinedAtMs).toBe(NOW + 2);
});
