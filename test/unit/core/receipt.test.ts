/** Receipts offline: what was changed, swapped or belongs elsewhere does not verify. */
import { beforeAll, expect, test } from "vitest";
import { checkReceipt, readReceipt, readReceiptFile, writeReceipt } from "../../../src/core/trust/receipt.ts";
import type { ReceiptProblem } from "../../../src/core/trust/receipt.ts";
import type { ReceiptFile, ReceiptStatement } from "../../../src/protocol/receipt.ts";
import { fromBase64url, tagged, toBase64url, utf8 } from "../../../src/protocol/statement-encoding.ts";
import { newAuthenticator } from "../../support/fake-authenticator.ts";
import { TestKeyLog, newLogKey } from "../../support/test-key-log.ts";
import type { LogKey } from "../../support/test-key-log.ts";

const GATEWAY = "abcdefghijklmnopqrstuvw";
const DEVICE = "d".repeat(26);
const NOW = 1_800_000_000_000;

let key: LogKey;
let log: TestKeyLog;

async function newLog(signer: LogKey, gateway = GATEWAY): Promise<TestKeyLog> {
  const owner = await newAuthenticator("http://approve.localhost:8787");
  const started = await TestKeyLog.start({ gateway, owner: owner, approveOrigin: "http://approve.localhost:8787", atMs: NOW, signer }); // prettier-ignore
  await started.add({ type: "revoke", device: DEVICE, by: "relay" }, NOW);
  return started;
}

beforeAll(async () => {
  key = await newLogKey();
  log = await newLog(key);
});

function body(changes: Partial<ReceiptStatement> = {}): ReceiptStatement {
  const { hashes, head } = log.state;
  return {
    v: 1,
    gateway: GATEWAY,
    device: DEVICE,
    grant: null,
    cut: "c".repeat(26),
    by: "owner",
    cutAtMs: NOW,
    audit: null,
    deniedAtMs: NOW + 5,
    removedAtMs: NOW + 10,
    streamsClosed: 2,
    removed: 1,
    absent: 0,
    entries: ["e".repeat(64)],
    log: hashes[0] ?? "",
    head,
    ...changes,
  };
}

async function file(changes: Partial<ReceiptStatement> = {}, signer = key, named = signer): Promise<ReceiptFile> {
  const signed = await writeReceipt(body(changes), (bytes) => signer.sign(bytes));
  return { gatehouse: "receipt", v: 1, ...signed, connectorKey: named.key, room: { socketsClosed: 1, tookMs: 2 } };
}

test("[CUT5] an honest receipt verifies alone and against its key log, also after the log went on", async () => {
  const receipt = await file();
  expect(await checkReceipt(receipt, null)).toEqual(body());
  expect(await checkReceipt(receipt, log.lines)).toEqual(body());
  const later = await newLogKey();
  const grown = await newLog(key);
  const early = { ...(await file({ log: grown.state.hashes[0] ?? "", head: grown.state.head })) };
  await grown.rotate(later, NOW + 20);
  await grown.add({ type: "revoke-all", by: "host" }, NOW + 30);
  expect(await checkReceipt(early, grown.lines)).toMatchObject({ cut: "c".repeat(26) });
  expect(readReceiptFile(JSON.stringify(receipt))).toEqual(receipt);
});

test.each<[string, ReceiptProblem, () => Promise<ReceiptFile>]>([
  ["another word in it", "bad-signature", async () => ({ ...(await file()), statement: (await file({ removed: 9 })).statement })],
  ["another key named", "bad-signature", async () => file({}, key, await newLogKey())],
  ["a signature for another purpose", "bad-signature", async () => ({ ...(await file()), signature: await key.sign(tagged("link", utf8("x"))) })], // prettier-ignore
  ["a stranger's key, properly signed", "key-not-in-log", async () => file({}, await newLogKey())],
  ["another gateway", "other-gateway", () => file({ gateway: "b".repeat(23) })],
  ["another log", "other-log", () => file({ log: "L".repeat(43) })],
  ["an entry that the log does not have", "entry-missing", () => file({ head: { seq: 1, hash: "H".repeat(43) } })],
  ["an entry beyond the log", "entry-missing", () => file({ head: { ...log.state.head, seq: 9 } })],
  ["an entry that revokes nobody", "not-revoked", () => file({ head: { seq: 0, hash: log.state.hashes[0] ?? "" } })],
  ["another device", "not-revoked", () => file({ device: "f".repeat(26) })],
  ["a grant that the device never held", "not-revoked", () => file({ grant: "g".repeat(26) })],
])("[CUT5] a receipt with %s: %s", async (_what, problem, make) => {
  expect(await checkReceipt(await make(), log.lines)).toBe(problem);
});

test("[CUT5] a key log that was tampered with proves nothing", async () => {
  const lines = log.lines.map((line) => line.replace('"by":"relay"', '"by":"host"'));
  expect(lines).not.toEqual(log.lines);
  expect(await checkReceipt(await file(), lines)).toBe("log-broken");
});

test("[CUT3] one byte form: a second spelling of the same statement is none, although it is signed", async () => {
  const honest = await file();
  const text = new TextDecoder().decode(fromBase64url(honest.statement) ?? new Uint8Array());
  for (const spelling of [text.replace('"v":1', '"v": 1'), text.replace('{"v":1', '{"v":1,"v":1'), `${text} `]) {
    const bytes = utf8(spelling);
    const signed = { statement: toBase64url(bytes), signature: await key.sign(tagged("receipt", bytes)) };
    expect(await readReceipt(signed, key.key)).toBe(null);
  }
  expect(await readReceipt({ statement: honest.statement, signature: honest.signature }, key.key)).toEqual(body());
});

test.each(["", "{}", "[]", "null", "x".repeat(100_000), '{"gatehouse":"receipt","v":2}'])("%#: what is no receipt file is none", (text) => {
  expect(readReceiptFile(text)).toBe(null);
});
