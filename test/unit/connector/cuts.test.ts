/** Cuts on the gateway's machine: denied and signed for, whatever is away; the same cut once. */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Cuts } from "../../../src/connector/trust/cuts.ts";
import { LogWriteError } from "../../../src/connector/trust/key-log-file.ts";
import { receipt as receiptCommand } from "../../../src/connector/cli/receipt-commands.ts";
import { Terminal } from "../../../src/connector/cli/terminal.ts";
import { checkReceipt } from "../../../src/core/trust/receipt.ts";
import { MAX_KEPT_RECEIPTS } from "../../../src/protocol/limits.ts";
import { toRoomSchema } from "../../../src/protocol/link-messages.ts";
import type { ToConnector, ToRoom } from "../../../src/protocol/link-messages.ts";
import { receiptStatementSchema } from "../../../src/protocol/receipt.ts";
import type { ReceiptFile, SignedReceipt } from "../../../src/protocol/receipt.ts";
import { fromBase64url } from "../../../src/protocol/statement-encoding.ts";
import { ConnectorState } from "../../support/connector-state.ts";
import { StubOpenclaw } from "../../support/local-gateway.ts";

let state: ConnectorState;
let gateway: StubOpenclaw;
let sent: ToRoom[];
let cuts: Cuts;

function newCuts(): Cuts {
  const { admitted, log, identity } = state;
  return new Cuts({ admitted, log, identity, gateway, now: () => state.nowMs, endStreams: () => 2, send: (message) => sent.push(message) });
}

beforeEach(async () => {
  state = await ConnectorState.create();
  gateway = new StubOpenclaw(1);
  sent = [];
  cuts = newCuts();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const AUDIT = { seq: 7, hash: "A".repeat(43) };

function message(device: string, cut = "c".repeat(26)): Extract<ToConnector, { type: "cut" }> {
  return { type: "cut", id: `cut-${device}`, device, cutAtMs: 5, cut, audit: AUDIT };
}

function fileOf(signed: SignedReceipt): ReceiptFile {
  const { statement, signature } = signed;
  return {
    gatehouse: "receipt",
    v: 1,
    statement,
    signature,
    connectorKey: state.identity.publicKey,
    room: { socketsClosed: 1, tookMs: 1 },
  };
}

function said(signed: SignedReceipt) {
  return receiptStatementSchema.parse(JSON.parse(new TextDecoder().decode(fromBase64url(signed.statement) ?? new Uint8Array())));
}

function doneMessages() {
  return sent.filter((each) => each.type === "cut-done");
}

test("[CUT2] [CUT3] a cut: denied, removed, and signed for with what it did; the receipt verifies against this machine's log", async () => {
  const device = await state.allow();
  const answer = await cuts.byOwner(message(device.device));
  expect(answer).toMatchObject({ streamsClosed: 2, removed: 1, done: true });
  expect(state.admitted.admits(device)).toBe("no-session");
  if (answer.receipt === undefined) throw new Error("not signed");
  expect(await checkReceipt(fileOf(answer.receipt), state.log.linesFrom(0))).toMatchObject({
    device: device.device,
    grant: device.grant,
    cut: "c".repeat(26),
    by: "owner",
    cutAtMs: 5,
    audit: AUDIT,
    streamsClosed: 2,
    removed: 1,
    entries: ["e".repeat(64)],
    head: state.log.state.head,
  });
  expect(state.admitted.cuts()).toEqual([]);
});

test("[CUT4] the same cut again does nothing and gets the same receipt, also after a restart; another cut gets its own", async () => {
  const device = await state.allow();
  const first = await cuts.byOwner(message(device.device));
  const head = state.log.state.head;
  const again = await newCuts().byOwner(message(device.device));
  expect(again.receipt).toEqual(first.receipt);
  expect([state.log.state.head, gateway.removed]).toEqual([head, [device.device]]);
  const other = await cuts.byOwner(message(device.device, "o".repeat(26)));
  expect(other.receipt).not.toEqual(first.receipt);
});

test("[CUT2] [case 28] while the gateway is away: denied at once, removed and signed for when it is back, with both times", async () => {
  const device = await state.allow();
  gateway.isAway = true;
  expect(await cuts.byOwner(message(device.device))).toMatchObject({ done: false, removed: 0, streamsClosed: 2 });
  const entries = state.log.state.head.seq;
  expect(await cuts.byOwner(message(device.device))).toMatchObject({ done: false });
  expect(state.log.state.head.seq).toBe(entries);
  const deniedAtMs = state.nowMs;
  state.nowMs += 60_000;
  gateway.isAway = false;
  const restarted = newCuts();
  await restarted.finish();
  await restarted.finish();
  expect(doneMessages()).toHaveLength(1);
  const [done] = doneMessages();
  if (done?.receipt === undefined) throw new Error("not signed");
  expect(said(done.receipt)).toMatchObject({ deniedAtMs, removedAtMs: state.nowMs, cut: "c".repeat(26), streamsClosed: 2 });
});

test("[CUT2] a gateway that takes longer than a moment does not hold up the answer; the rest is told later", async () => {
  const device = await state.allow();
  let finish: () => void = () => undefined;
  const slow = new Promise<void>((resolve) => {
    finish = resolve;
  });
  gateway.removeBound = async () => {
    await slow;
    return { removed: 3, absent: 1, entries: [] };
  };
  vi.useFakeTimers();
  const answering = cuts.byOwner(message(device.device));
  await vi.advanceTimersByTimeAsync(60_000);
  vi.useRealTimers();
  expect(await answering).toMatchObject({ done: false });
  finish();
  await vi.waitFor(() => expect(doneMessages()).toMatchObject([{ removed: 3, by: "owner" }]));
});

test("[CUT4] a receipt is sent at every link until the room has it; a cut on the host, too, with the grant that it ended", async () => {
  const device = await state.allow();
  await cuts.onHost(device.device);
  expect(doneMessages()).toMatchObject([
    { by: "host", grant: device.grant },
    { by: "host", receipt: {} },
  ]);
  const receipt = doneMessages()[1]?.receipt;
  if (receipt === undefined) throw new Error("not signed");
  const { cut } = said(receipt);
  for (let links = 1; links <= 2; links += 1) {
    sent.length = 0;
    cuts.linkUp();
    expect(doneMessages()).toMatchObject([{ by: "host", receipt }]);
  }
  cuts.acked(cut);
  sent.length = 0;
  newCuts().linkUp();
  expect(sent).toEqual([]);
});

test("[CUT4] what a machine keeps of receipts is bounded; those that the room lacks are kept longest", () => {
  const kept = Array.from({ length: MAX_KEPT_RECEIPTS + 5 }, (_, i) => ({
    cut: i
      .toString(32)
      .padStart(26, "a")
      .replace(/[^a-z2-7]/g, "b"),
    device: "d".repeat(26),
    by: "owner" as const,
    removed: i,
    atMs: 1,
    statement: "AA",
    signature: "A".repeat(86),
    isAcked: i % 2 === 1,
  }));
  state.admitted.saveReceipts(kept);
  const left = state.admitted.receipts();
  expect(left).toHaveLength(MAX_KEPT_RECEIPTS);
  expect(kept.filter((each) => !left.some((other) => other.removed === each.removed)).map((each) => each.removed)).toEqual([1, 3, 5, 7, 9]);
});

test.each(["cuts.json", "receipts.json"])(
  "[CUT2] [case 47] a damaged or refused %s: the device is denied all the same, nothing is signed for",
  async (name) => {
    const device = await state.allow();
    mkdirSync(path.join(state.files.dir, name));
    await expect(cuts.byOwner(message(device.device))).rejects.toThrow();
    expect(state.admitted.admits(device)).toBe("no-session");
    expect(state.admitted.grant(device.grant)?.isRevoked).toBe(true);
    expect(sent).toEqual([]);
  },
);

/** A full disk. */
function refuse(): never {
  throw new Error("ENOSPC");
}

test("[CUT4] [LINK7] the owner's cut and the host's own, of the same device while the gateway is away: each gets its receipt", async () => {
  const device = await state.allow();
  gateway.isAway = true;
  await cuts.byOwner(message(device.device));
  await cuts.onHost(device.device);
  await cuts.onHost(device.device);
  sent.length = 0;
  gateway.isAway = false;
  await cuts.finish();
  const receipts = doneMessages().map((each) => each.receipt);
  const [owners, hosts] = receipts.map((each) => (each === undefined ? null : said(each)));
  expect(receipts).toHaveLength(2);
  expect(owners).toMatchObject({ by: "owner", cut: "c".repeat(26), grant: device.grant });
  expect(hosts).toMatchObject({ by: "host", grant: device.grant });
  for (const each of receipts)
    expect(each && (await checkReceipt(fileOf(each), state.log.linesFrom(0)))).toMatchObject({ device: device.device });
  expect(state.admitted.cuts()).toEqual([]);
});

test("[CUT4] [LINK7] a disk that refuses what a removal leaves behind holds up no other cut, and the receipt comes by itself", async () => {
  const [one, two] = [await state.allow(), await state.allow()];
  gateway.isAway = true;
  await cuts.byOwner(message(one.device));
  await cuts.byOwner(message(two.device, "o".repeat(26)));
  gateway.isAway = false;
  vi.useFakeTimers();
  vi.spyOn(state.admitted, "saveReceipts").mockImplementationOnce(refuse);
  await cuts.finish();
  expect(doneMessages()).toMatchObject([{ device: two.device }]);
  await vi.runAllTimersAsync();
  vi.useRealTimers();
  await vi.waitFor(() => expect(doneMessages()).toMatchObject([{ device: two.device }, { device: one.device, removed: 1, receipt: {} }]));
  expect(gateway.removed).toEqual([one.device, two.device]);
});

test("[CUT4] [case 47] a receipt is on disk, but its cut could not be taken off the list: it is, later, and the receipt stays the same", async () => {
  const device = await state.allow();
  vi.spyOn(state.admitted, "dropCut").mockImplementationOnce(refuse);
  await expect(cuts.byOwner(message(device.device))).rejects.toThrow("ENOSPC");
  const [kept] = state.admitted.receipts();
  expect(state.admitted.cuts()).toHaveLength(1);
  await cuts.finish();
  expect(doneMessages()).toMatchObject([{ receipt: { signature: kept?.signature } }]);
  expect([state.admitted.cuts(), gateway.removed]).toEqual([[], [device.device]]);
});

test("[CUT2] [case 47] a disk that is full when a slow gateway is done ends no process; the receipt comes later", async () => {
  const device = await state.allow();
  let finish: () => void = () => undefined;
  const slow = new Promise<void>((resolve) => {
    finish = resolve;
  });
  gateway.removeBound = async () => {
    await slow;
    return { removed: 3, absent: 1, entries: [] };
  };
  expect(await cuts.byOwner(message(device.device))).toMatchObject({ done: false });
  const full = vi.spyOn(state.admitted, "saveReceipts").mockImplementationOnce(refuse);
  finish();
  await vi.waitFor(() => expect(full).toHaveBeenCalled());
  await cuts.finish();
  expect(doneMessages()).toMatchObject([{ removed: 3, by: "owner", receipt: {} }]);
});

test("[CUT4] [FR3] asked for again while a start finishes the same cut: one removal, and an answer that the room can read", async () => {
  const device = await state.allow();
  gateway.isAway = true;
  await cuts.byOwner(message(device.device));
  gateway.isAway = false;
  const restarted = newCuts();
  // As when a link comes up: neither waits for the other.
  const [, cut] = await Promise.all([restarted.finish(), restarted.byOwner(message(device.device))]);
  const [kept] = state.admitted.receipts();
  expect(cut).toMatchObject({ done: true, removed: 1, receipt: { signature: kept?.signature } });
  const answer = toRoomSchema.parse(JSON.parse(JSON.stringify({ type: "result", id: `cut-${device.device}`, ok: true, cut })));
  expect(answer).toMatchObject({ cut });
  expect(doneMessages()).toMatchObject([{ receipt: { signature: kept?.signature } }]);
  expect(gateway.removed).toEqual([device.device]);
});

/** A cut that the disk refused, and what the owner signs for the same device afterwards. */
async function refusedCut(by: "owner" | "host") {
  const device = await state.allow();
  const key = state.admitted.grants().at(-1)?.statement.key;
  if (key === undefined) throw new Error("no grant");
  const disk = vi.spyOn(state.log, "append").mockRejectedValueOnce(new LogWriteError("full"));
  await expect(by === "owner" ? cuts.byOwner(message(device.device)) : cuts.onHost(device.device)).rejects.toThrow(LogWriteError);
  expect(state.admitted.grant(device.grant)?.isRevoked).toBe(true);
  const anew = (): ReturnType<typeof state.newGrant> => state.newGrant({ key, device: device.device, issuedAtMs: state.nowMs + 1 });
  return { device, disk, anew };
}

test("[CUT2] [case 47] the owner allows a device anew whose cut the disk refused: it is in, and what it had before is not", async () => {
  const { device, anew } = await refusedCut("owner");
  const { id, signed } = await anew();
  expect(await state.admitted.keepGrant(signed)).toEqual({ ok: true, value: null });
  const session = "n".repeat(22);
  await state.admitted.keepSession(
    { session, device: device.device, grant: id, expiresAtMs: state.nowMs + 3_600_000 },
    { key: "A".repeat(43) },
  );
  expect(state.admitted.admits({ session, device: device.device })).toMatchObject({ access: "full" });
  expect([state.admitted.grant(device.grant)?.isRevoked, state.admitted.admits(device)]).toEqual([true, "no-session"]);
});

test("[KL3] [CUT2] [case 47] a cut on the host that the disk refused stands before any grant that was signed without knowing it", async () => {
  const { device, disk, anew } = await refusedCut("host");
  const { id, signed } = await anew();
  disk.mockRejectedValueOnce(new LogWriteError("full"));
  await expect(state.admitted.keepGrant(signed)).rejects.toThrow(LogWriteError);
  expect(await state.admitted.keepGrant(signed)).toEqual({ ok: false, refusal: "stale-head" });
  expect([state.admitted.grant(id), state.admitted.grant(device.grant)?.isRevoked]).toEqual([null, true]);
  expect(await state.admitted.keepGrant((await anew()).signed)).toEqual({ ok: true, value: null });
});

test("[CUT2] [case 47] a cut on the host that the disk refused is tried again by itself until it is on disk, and the room hears of it", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { device, disk } = await refusedCut("host");
  disk.mockRejectedValueOnce(new LogWriteError("full"));
  await vi.advanceTimersByTimeAsync(30_000);
  expect([disk.mock.calls.length, sent]).toEqual([2, []]);
  await vi.advanceTimersByTimeAsync(30_000);
  vi.useRealTimers();
  await vi.waitFor(() => expect(doneMessages().at(-1)).toMatchObject({ device: device.device, by: "host", removed: 1, receipt: {} }));
  expect([state.admitted.deniedOnHost(), state.log.state.grants.get(device.grant)?.isRevoked]).toEqual([[], true]);
  expect(gateway.removed).toEqual([device.device]);
});

test("[KL3] [case 47] a cut on the host that came true before a grant is not made once more after it", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { anew } = await refusedCut("host");
  expect(await state.admitted.keepGrant((await anew()).signed)).toEqual({ ok: false, refusal: "stale-head" });
  const later = await anew();
  expect(await state.admitted.keepGrant(later.signed)).toEqual({ ok: true, value: null });
  await vi.advanceTimersByTimeAsync(60_000);
  vi.useRealTimers();
  expect(state.admitted.grant(later.id)?.isRevoked).toBe(false);
});

test("[CUT5] gatehouse receipt verify: says what it says and which log it belongs to; another machine's log and a changed file do not verify", async () => {
  const device = await state.allow();
  const { receipt } = await cuts.byOwner(message(device.device));
  if (receipt === undefined) throw new Error("not signed");
  const lines: string[] = [];
  vi.spyOn(console, "log").mockImplementation((text) => lines.push(String(text)));
  vi.spyOn(console, "error").mockImplementation((text) => lines.push(String(text)));
  const file = path.join(state.files.dir, "receipt.txt");
  writeFileSync(file, JSON.stringify(fileOf(receipt)));
  const terminal = new Terminal({ json: false });
  const run = async (files = state.files, log?: string): Promise<[number, string]> => {
    lines.length = 0;
    return [await receiptCommand({ terminal, files }, file, log), lines.join("")];
  };
  const [code, text] = await run();
  expect(code).toBe(0);
  for (const part of [device.device, state.log.state.hashes[0] ?? "", "streams ended there: 2", "e".repeat(64), AUDIT.hash]) expect(text).toContain(part); // prettier-ignore
  const elsewhere = await ConnectorState.create();
  expect((await run(elsewhere.files))[0]).toBe(1);
  expect((await run(elsewhere.files, path.join(state.files.dir, "key-log.jsonl")))[0]).toBe(0);
  writeFileSync(
    file,
    JSON.stringify({ ...fileOf(receipt), signature: `${receipt.signature.startsWith("A") ? "B" : "A"}${receipt.signature.slice(1)}` }),
  );
  expect(await run()).toEqual([1, expect.stringContaining("signature") as string]);
  writeFileSync(file, "{}");
  expect((await run())[0]).toBe(1);
});
