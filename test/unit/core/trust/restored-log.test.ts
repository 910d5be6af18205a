/** What a machine from a backup takes over of the room's copy of its key log. */
import { beforeEach, expect, test } from "vitest";
import { readLine } from "../../../../src/core/trust/key-log.ts";
import { judgeRestore } from "../../../../src/core/trust/restored-log.ts";
import { newAuthenticator } from "../../../support/fake-authenticator.ts";
import type { Authenticator } from "../../../support/fake-authenticator.ts";
import { grantBytes, newDevice } from "../../../support/fake-device.ts";
import { TestKeyLog, newLogKey } from "../../../support/test-key-log.ts";

const ORIGIN = "http://approve.localhost:8787";
const GATEWAY = "abcdefghijklmnopqrstuvw";
const NOW = 1_800_000_000_000;

let owner: Authenticator;
let log: TestKeyLog;

beforeEach(async () => {
  owner = await newAuthenticator(ORIGIN);
  log = await TestKeyLog.start({ gateway: GATEWAY, owner, approveOrigin: ORIGIN, atMs: NOW });
});

async function grant(): Promise<void> {
  const bytes = await grantBytes(GATEWAY, (await newDevice()).key, NOW + 1, {});
  await log.add({ type: "grant", signed: await owner.sign("grant", bytes) }, NOW + 1);
}

test("[KL14] what follows the own last entry is taken over, line by line as it stands", async () => {
  await grant();
  const own = log.state;
  await grant();
  await log.add({ type: "policy", policy: { maxAccess: "chat", maxExpiryMs: 3_600_000 } }, NOW + 2);
  const judged = await judgeRestore(own, log.lines);
  expect(judged).toMatchObject({
    lines: log.lines.slice(2),
    entries: [
      { seq: 2, body: { type: "grant" } },
      { seq: 3, body: { type: "policy" } },
    ],
  });
  expect("state" in judged && judged.state.grants.size).toBe(2);
});

test("[KL14] nothing is taken from a log that is changed, torn, another gateway's, a fork, no longer than the own one, or under another key", async () => {
  await grant();
  const own = log.state;
  const genesis = readLine(log.lines[0] ?? "")?.body;
  if (genesis?.type !== "genesis") throw new Error("no genesis");
  const fork = new TestKeyLog(GATEWAY, log.signer);
  await fork.add(genesis, NOW);
  for (const device of ["a", "b"]) await fork.add({ type: "revoke", device: device.repeat(26), by: "host" }, NOW + 1);
  const foreign = await TestKeyLog.start({ gateway: "zzzzzzzzzzzzzzzzzzzzzzz", owner, approveOrigin: ORIGIN, atMs: NOW });
  expect(await judgeRestore(own, log.lines)).toEqual({ problem: "nothing-new" });
  expect(await judgeRestore(own, log.lines.slice(0, 1))).toEqual({ problem: "nothing-new" });
  expect(await judgeRestore(own, fork.lines)).toEqual({ problem: "fork" });
  expect(await judgeRestore(own, foreign.lines)).toEqual({ problem: "other-gateway" });
  await grant();
  const [, , last = ""] = log.lines;
  const wrongs = [
    [...log.lines.slice(0, 2), last.replace('"seq":2', '"seq":3')],
    [...log.lines.slice(0, 2), last.slice(0, -9)],
    [],
    log.lines.slice(1),
  ];
  for (const lines of wrongs) expect(await judgeRestore(own, lines)).toMatchObject({ problem: "fault" });
  await log.rotate(await newLogKey(), NOW + 2);
  expect(await judgeRestore(own, log.lines)).toEqual({ problem: "rotated" });
});
