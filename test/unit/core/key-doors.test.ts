/** Every door of the connector and of the pages that takes a public key, against keys that only look like ones. The Worker's: worker/key-doors.test.ts. */
import { beforeAll, expect, test } from "vitest";
import { belongsTogether, readOwnerTrip } from "../../../src/core/trust/decision-view.ts";
import { deviceId, matchCode, requestId } from "../../../src/core/trust/digests.ts";
import { judgeGrant } from "../../../src/core/trust/judge.ts";
import type { Pinned } from "../../../src/core/trust/judge.ts";
import { followRotations } from "../../../src/core/trust/key-rotation.ts";
import { applyLine, nextInCopy, writeLine } from "../../../src/core/trust/key-log.ts";
import { isSoundKey, verifyTagged } from "../../../src/core/trust/public-key.ts";
import { judgeGenesis } from "../../../src/core/trust/genesis.ts";
import type { KeyLogBody } from "../../../src/protocol/key-log.ts";
import { utf8 } from "../../../src/protocol/statement-encoding.ts";
import { connectorKeySchema, deviceKeySchema } from "../../../src/protocol/statements.ts";
import type { DeviceKey } from "../../../src/protocol/statements.ts";
import { BAD_ED25519, BAD_KEYS, SOUND_KEYS } from "../../support/bad-keys.ts";
import { newAuthenticator } from "../../support/fake-authenticator.ts";
import type { Authenticator } from "../../support/fake-authenticator.ts";
import { signedGenesis } from "../../support/genesis.ts";
import { grantBytes } from "../../support/fake-device.ts";
import { TestKeyLog, newLogKey } from "../../support/test-key-log.ts";

const GATEWAY = "abcdefghijklmnopqrstuvw";
const APPROVE = "http://approve.localhost:8787";
const NOW = 1_800_000_000_000;
const NONCE = "A".repeat(43);
/** Verifies for any message under the identity point when nobody looks at the key: R is the identity, S is 0 (RFC 8032 §5.1.7). */
const CONSTANT_SIGNATURE = `AQ${"A".repeat(84)}`;

let owner: Authenticator;
let log: TestKeyLog;

beforeAll(async () => {
  owner = await newAuthenticator(APPROVE);
  log = await TestKeyLog.start({ gateway: GATEWAY, owner, approveOrigin: APPROVE, atMs: NOW });
});

/** Each takes a key and says whether it was let through. */
const DOORS: readonly (readonly [name: string, takes: (key: DeviceKey) => Promise<boolean>])[] = [
  ["the check itself", (key) => Promise.resolve(isSoundKey(key))],
  [
    "page: the owner's trip to the approval page",
    (key) => {
      const query = new Map([["gateway", GATEWAY], ["state", "s".repeat(20)], ["key", JSON.stringify(key)], ["name", "Phone"]]); // prettier-ignore
      return Promise.resolve(readOwnerTrip({ get: (name) => query.get(name) ?? null }) !== null);
    },
  ],
  [
    "page: the request on the approval page",
    async (key) => {
      const [device, id, digits] = [await deviceId(GATEWAY, key), await requestId(GATEWAY, key, "full", NONCE), await matchCode(GATEWAY, key, NONCE)]; // prettier-ignore
      return belongsTogether(GATEWAY, { id, device, key, roomNonce: NONCE, requestedAccess: "full" }, digits);
    },
  ],
  [
    "connector: a grant's device key",
    async (key) => {
      const signed = await owner.sign("grant", await grantBytes(GATEWAY, key, NOW));
      return (await judgeGrant(log.state satisfies Pinned, signed, NOW)).ok;
    },
  ],
  [
    "connector: the owner's key in a genesis",
    async (key) => {
      const input = { gateway: GATEWAY, account: "a".repeat(26), connectorKey: log.signer.key, approveOrigin: APPROVE };
      // Nobody here holds the private half: a sound key is refused later, for its signature.
      const judged = await judgeGenesis(await signedGenesis(owner, input, { ownerKey: { credentialId: "x", key } }), null);
      return judged !== "bad-statement";
    },
  ],
  [
    "connector: one more owner key",
    async (key) => {
      const change = { kind: "owner-add", key: { credentialId: "another", key }, role: { kind: "owner" } } as const;
      const body: KeyLogBody = { type: "proposal", change };
      const line = await writeLine(log.state, { gateway: GATEWAY, atMs: NOW, body }, (bytes) => log.signer.sign(bytes));
      return typeof (await applyLine(log.state, line)) !== "string";
    },
  ],
];

test.each(BAD_ED25519)("[case 32] a genesis of a machine's bad key is refused: %s", async (_what, connectorKey) => {
  const signed = await signedGenesis(owner, { gateway: GATEWAY, account: "a".repeat(26), connectorKey, approveOrigin: APPROVE });
  expect(await judgeGenesis(signed, null)).toBe("bad-statement");
});

test.each(DOORS)("[case 32] %s: two sound keys pass", async (_name, takes) => {
  for (const key of SOUND_KEYS) expect(await takes(key)).toBe(true);
});

test.each(DOORS.flatMap(([door, takes]) => BAD_KEYS.map(([what, key]) => [`${door}: ${what}`, takes, key] as const)))(
  "[case 32] refused at %s",
  async (_name, takes, key) => {
    // The pattern lets it through: what refuses it is the check.
    expect(deviceKeySchema.safeParse(key).success).toBe(true);
    expect(await takes(key)).toBe(false);
  },
);

test.each(BAD_ED25519)("[case 32] no connector key: %s", async (_what, key) => {
  expect(connectorKeySchema.safeParse(key).success).toBe(true);
  expect(await verifyTagged(key, "link", utf8("anything"), CONSTANT_SIGNATURE)).toBe(false);
  const signer = await newLogKey();
  const own = await TestKeyLog.start({ gateway: GATEWAY, owner, approveOrigin: APPROVE, atMs: NOW, signer });
  const rotate = { type: "rotate", key, proof: CONSTANT_SIGNATURE } as const;
  expect(await own.attempt(rotate, NOW)).toBe("bad-signature");
  const line = await writeLine(own.state, { gateway: GATEWAY, atMs: NOW, body: rotate }, (bytes) => signer.sign(bytes));
  expect(await followRotations(GATEWAY, signer.key, [line])).toEqual(signer.key);
  // A log that such a key "signed" is nobody's.
  const copied = await writeLine(
    own.state,
    { gateway: GATEWAY, atMs: NOW, body: { type: "revoke-all", by: "host" } },
    () => CONSTANT_SIGNATURE,
  );
  expect(await nextInCopy({ gateway: GATEWAY, key, head: own.state.head }, copied)).toBe(null);
});
