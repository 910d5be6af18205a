/** The judge of a genesis: each lie of a control plane, of a page or of a database is one case. */
import { beforeAll, expect, test } from "vitest";
import { checkWords } from "../../../../src/core/trust/check-words.ts";
import { verifyLog } from "../../../../src/core/trust/key-log.ts";
import { ceremonyHash, enrolmentCommitment, genesisBytes } from "../../../../src/core/trust/enrolment.ts";
import type { Transcript } from "../../../../src/core/trust/enrolment.ts";
import { judgeGenesis, judgeOwnGenesis } from "../../../../src/core/trust/genesis.ts";
import { GENESIS_APPLY_MS } from "../../../../src/protocol/limits.ts";
import { toBase64url } from "../../../../src/protocol/statement-encoding.ts";
import type { GenesisStatement } from "../../../../src/protocol/statements.ts";
import { newAuthenticator } from "../../../support/fake-authenticator.ts";
import type { Authenticator } from "../../../support/fake-authenticator.ts";
import { genesisStatement, signedGenesis } from "../../../support/genesis.ts";
import { TestKeyLog, newLogKey } from "../../../support/test-key-log.ts";
import type { LogKey } from "../../../support/test-key-log.ts";

const NOW = 1_800_000_000_000;
const GATEWAY = "abcdefghijklmnopqrstuvw";
const APPROVE = "http://approve.localhost:8787";
const OTHER_HASH = toBase64url(new Uint8Array(32).fill(9));

let owner: Authenticator;
let mallory: Authenticator;
let machine: LogKey;
let input: Parameters<typeof signedGenesis>[1];

beforeAll(async () => {
  owner = await newAuthenticator(APPROVE);
  mallory = await newAuthenticator(APPROVE);
  machine = await newLogKey();
  input = { gateway: GATEWAY, account: "a".repeat(26), connectorKey: machine.key, approveOrigin: APPROVE, atMs: NOW };
});

const expected = (): Uint8Array<ArrayBuffer> => genesisBytes(genesisStatement(owner.ownerKey, input));

test("[EN5] the passkey that signed is the one that is pinned", async () => {
  const judged = await judgeOwnGenesis(await signedGenesis(owner, input), expected(), NOW);
  expect(judged).toMatchObject({ owner: owner.ownerKey, statement: { gateway: GATEWAY } });
});

const LIES: readonly (readonly [string, () => Partial<GenesisStatement>])[] = [
  ["gateway", () => ({ gateway: "zzzzzzzzzzzzzzzzzzzzzzz" })],
  ["gateway origin", () => ({ gatewayOrigin: "http://evil.localhost:8787" })],
  ["app origin", () => ({ appOrigin: "http://evil.localhost:8787" })],
  ["connector key", () => ({ connectorKey: { ...machine.key, x: owner.ownerKey.key.kty === "EC" ? owner.ownerKey.key.x : "" } })],
  ["account", () => ({ account: "b".repeat(26) })],
  ["ceremony", () => ({ ceremony: OTHER_HASH })],
  ["time of issue", () => ({ issuedAtMs: NOW - 1 })],
  ["time to apply", () => ({ applyByMs: NOW + 59_999 })],
];

test.each(LIES)("[EN5] another %s than this machine computed: nothing is pinned", async (_member, change) => {
  const judged = await judgeOwnGenesis(await signedGenesis(owner, input, change()), expected(), NOW);
  expect(["differs", "bad-statement"]).toContain(judged);
});

test("[EN4] [EN5] another passkey signs, or another is named: refused", async () => {
  expect(await judgeOwnGenesis(await signedGenesis(mallory, input), expected(), NOW)).toBe("differs");
  expect(await judgeGenesis(await signedGenesis(mallory, input, { ownerKey: owner.ownerKey }), NOW)).toBe("bad-signature");
  // The victim's credential with Mallory's key under it.
  const mixed = { credentialId: owner.ownerKey.credentialId, key: mallory.ownerKey.key };
  expect(await judgeGenesis(await signedGenesis(owner, input, { ownerKey: mixed }), NOW)).toBe("bad-signature");
});

test("[EN4] a statement with a second key, or any member more, is none", async () => {
  const more = { ...genesisStatement(owner.ownerKey, input), ownerKeys: [owner.ownerKey, mallory.ownerKey] };
  const signed = await owner.sign("genesis", new TextEncoder().encode(JSON.stringify(more)));
  expect(await judgeGenesis(signed, NOW)).toBe("bad-statement");
});

test.each([
  ["another origin", { origin: "http://localhost:8787" }],
  ["another rpId", { rpId: "localhost" }],
  ["user not verified", { flags: 0x01 }],
  ["user not present", { flags: 0x04 }],
  ["cross origin", { clientData: { crossOrigin: true } }],
] as const)("[EN4] refused: %s", async (_what, overrides) => {
  expect(await judgeGenesis(await owner.sign("genesis", expected(), overrides), NOW)).toBe("bad-signature");
});

test("[EN4] an approval origin and an rpId that do not belong together are no statement", async () => {
  for (const change of [{ rpId: "localhost" }, { approveOrigin: "http://localhost:8787" }, { approveOrigin: `${APPROVE}/` }])
    expect(await judgeGenesis(await signedGenesis(owner, input, change), NOW)).toBe("bad-statement");
});

test("[EN4] it stands first in its list; a sign-in or another tag is none", async () => {
  expect(typeof (await judgeGenesis(await owner.sign("genesis", expected(), { list: (hash) => [hash, OTHER_HASH] }), NOW))).toBe("object");
  expect(await judgeGenesis(await owner.sign("genesis", expected(), { list: (hash) => [OTHER_HASH, hash] }), NOW)).toBe("bad-signature");
  for (const tag of ["login", "grant", "owner-key"] as const)
    expect(await judgeGenesis(await owner.sign(tag, expected()), NOW)).toBe("bad-signature");
});

test("[EN4] an older genesis comes too late, and none may live longer than ten minutes", async () => {
  const signed = await signedGenesis(owner, input, { applyByMs: NOW + GENESIS_APPLY_MS });
  expect(typeof (await judgeGenesis(signed, NOW + GENESIS_APPLY_MS))).toBe("object");
  expect(await judgeGenesis(signed, NOW + GENESIS_APPLY_MS + 1)).toBe("too-late");
  expect(await judgeGenesis(await signedGenesis(owner, input, { applyByMs: NOW + GENESIS_APPLY_MS + 1 }), NOW)).toBe("bad-statement");
  expect(await judgeGenesis(await signedGenesis(owner, input, { applyByMs: NOW - 1 }), NOW)).toBe("bad-statement");
});

test("[EN5] [KL1] the log proves offline who began it", async () => {
  const log = await TestKeyLog.start({ gateway: GATEWAY, owner, approveOrigin: APPROVE, atMs: NOW, signer: machine });
  expect(log.state.ownerKeys).toEqual([owner.ownerKey]);
  const other = (log.lines[0] ?? "").replace(owner.ownerKey.credentialId, mallory.ownerKey.credentialId);
  expect(await verifyLog([other])).toMatchObject({ seq: 0 });
  const elsewhere = new TestKeyLog("zzzzzzzzzzzzzzzzzzzzzzz", machine);
  expect(await elsewhere.attempt({ type: "genesis", signed: await signedGenesis(owner, input) }, NOW)).toBe("bad-genesis");
});

const TRANSCRIPT: Transcript = {
  enrolment: "e".repeat(20),
  commitment: OTHER_HASH,
  connectorNonce: toBase64url(new Uint8Array(32).fill(1)),
  pageNonce: toBase64url(new Uint8Array(32).fill(2)),
  gatewayName: "Home",
  accountName: "Ada",
  machineName: "nas",
};

test.each(Object.keys(TRANSCRIPT) as (keyof Transcript)[])("[EN8] [case 30] another %s gives other words on both sides", async (member) => {
  const hash = await ceremonyHash(TRANSCRIPT);
  const changed = await ceremonyHash({ ...TRANSCRIPT, [member]: `${TRANSCRIPT[member]}x` });
  expect(changed).not.toBe(hash);
  const words = async (ceremony: string): Promise<string> =>
    checkWords(genesisBytes(genesisStatement(owner.ownerKey, input, { ceremony })));
  expect(await words(hash)).toMatch(/^[a-z]+ [a-z]+ [a-z]+ [a-z]+$/);
  expect(await words(changed)).not.toBe(await words(hash));
});

test("[EN2] the commitment fixes key and nonce", async () => {
  const nonce = TRANSCRIPT.connectorNonce;
  const commitment = await enrolmentCommitment(machine.key, nonce);
  expect(await enrolmentCommitment((await newLogKey()).key, nonce)).not.toBe(commitment);
  expect(await enrolmentCommitment(machine.key, TRANSCRIPT.pageNonce)).not.toBe(commitment);
});
