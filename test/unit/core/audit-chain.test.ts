/** The audit chain offline: one byte form, every kind of tampering named by its row, heads that extend and heads that do not. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  auditDigest,
  auditHash,
  auditLine,
  auditStart,
  auditText,
  isAuditFault,
  judgeAuditHead,
  nextAuditEntry,
  readAuditLine,
  verifyAudit,
} from "../../../src/core/trust/audit-chain.ts";
import type { AuditEntry, AuditHead } from "../../../src/protocol/audit.ts";
import { sha256 } from "../../../src/core/trust/digests.ts";
import { fromBase64url, tagged, toBase64url, utf8 } from "../../../src/protocol/statement-encoding.ts";

const GATEWAY = "abcdefghijklmnopqrstuvw";
const DEVICE = "d".repeat(26);

function chain(count: number, gateway = GATEWAY): AuditEntry[] {
  const entries: AuditEntry[] = [];
  for (let i = 0; i < count; i += 1) {
    const facts = { atMs: 1_000 + i, actor: "owner", action: i % 2 === 0 ? "allow" : "cut", device: DEVICE, detail: { tries: i } };
    entries.push(nextAuditEntry(gateway, entries.at(-1) ?? null, facts));
  }
  return entries;
}

function headOf(entries: readonly AuditEntry[]): AuditHead {
  const last = entries.at(-1);
  if (last === undefined) throw new Error("empty");
  return { seq: last.seq, hash: last.hash };
}

const lines = (entries: readonly AuditEntry[]): string[] => entries.map((entry) => auditLine(entry));

/** Hashes a forged list anew from `at` on, as somebody who owns the storage can. */
function rehashed(entries: readonly AuditEntry[]): AuditEntry[] {
  const out: AuditEntry[] = [];
  for (const entry of entries) out.push(nextAuditEntry(GATEWAY, out.at(-1) ?? null, entry));
  return out;
}

test("[AU1] the hash is SHA-256 over the entry before and the digest of the tagged text, as anybody can compute it", async () => {
  const [first, second] = chain(2);
  if (first === undefined || second === undefined) throw new Error("no entries");
  expect(first.prev).toBe(toBase64url(await sha256(tagged("audit", utf8(`start ${GATEWAY}`)))));
  const text = `{"seq":1,"atMs":1001,"actor":"owner","action":"cut","device":"${DEVICE}","detail":{"tries":1}}`;
  const digest = await sha256(tagged("audit", utf8(text)));
  const joined = new Uint8Array([...(fromBase64url(first.hash) ?? []), ...digest]);
  expect(second.hash).toBe(toBase64url(await sha256(joined)));
});

test("[AU1] members of the detail have one order, whoever wrote them, and time never runs backwards", () => {
  const facts = { atMs: 5, actor: "owner", action: "allow", device: null };
  const a = nextAuditEntry(GATEWAY, null, { ...facts, detail: { b: 1, a: "x" } });
  const b = nextAuditEntry(GATEWAY, null, { ...facts, detail: { a: "x", b: 1 } });
  expect(auditLine(a)).toBe(auditLine(b));
  expect(nextAuditEntry(GATEWAY, { ...a, atMs: 9 }, { ...facts, detail: {} }).atMs).toBe(9);
});

test("[AU1] a second spelling of an entry is not an entry", () => {
  const [entry] = chain(1);
  if (entry === undefined) throw new Error("no entry");
  const line = auditLine(entry);
  expect(readAuditLine(line)).toEqual(entry);
  const spellings = [` ${line}`, line.replace('"seq":0', '"seq":0.0'), line.replace("{", '{"more":1,'), line.replace('"detail":{', '"detail":{"tries":0,'), "", "{"];
  for (const other of spellings) expect(readAuditLine(other), other).toBe(null);
}); // prettier-ignore

test("[AU2] tokens and whole addresses never enter the chain", () => {
  const detail = { a: "gthd_0123456789AbCdEfGhIjKlMnOp", b: "from 203.0.113.77", c: "2001:db8:85a3::8a2e:370:7334", d: "plain", e: "x".repeat(500) };
  const entry = nextAuditEntry(GATEWAY, null, { atMs: 1, actor: "device", action: "asked", device: null, detail });
  expect(entry.detail).toEqual({ a: "[secret]", b: "from 203.0.113.0", c: "2001:db8:85a3::", d: "plain", e: "x".repeat(200) });
  expect(auditText("12:30:45")).toBe("12:30:45");
}); // prettier-ignore

test("[AU5] a whole chain verifies, with its gateway and with any head on the way", () => {
  const entries = chain(20);
  expect(verifyAudit(lines(entries), { gateway: GATEWAY })).toEqual(headOf(entries));
  for (let i = 1; i <= 20; i += 1) expect(verifyAudit(lines(entries), { head: headOf(entries.slice(0, i)) })).toEqual(headOf(entries));
  expect(verifyAudit([])).toBe(null);
});

test("[AU5] [case 45] a changed, dropped, doubled or moved row is named", () => {
  const good = lines(chain(6));
  const cases: readonly (readonly [string, readonly string[], object])[] = [
    ["changed", good.with(3, (good[3] ?? "").replace('"tries":3', '"tries":4')), { row: 4, seq: 3, problem: "changed" }],
    ["dropped", good.toSpliced(2, 1), { row: 3, seq: 2, problem: "wrong-place" }],
    ["first dropped", good.slice(1), { row: 1, seq: 0, problem: "wrong-place" }],
    ["doubled", good.toSpliced(2, 0, good[1] ?? ""), { row: 3, seq: 2, problem: "wrong-place" }],
    ["moved", good.with(2, good[3] ?? "").with(3, good[2] ?? ""), { row: 3, seq: 2, problem: "wrong-place" }],
    ["not an entry", good.with(5, "{}"), { row: 6, seq: 5, problem: "not-canonical" }],
  ];
  for (const [what, tampered, fault] of cases) expect(verifyAudit(tampered), what).toEqual(fault);
}); // prettier-ignore

test("[AU5] [case 45] a row that was hashed anew breaks at the next one; a tail hashed anew or cut off breaks at the head", () => {
  const entries = chain(6);
  const head = headOf(entries);
  const forged = entries.with(2, { ...(entries[2] ?? entries[0]!), actor: "host" }); // oxlint-disable-line typescript/no-non-null-assertion
  const one = forged.with(2, rehashed(forged)[2] ?? forged[0]!); // oxlint-disable-line typescript/no-non-null-assertion
  expect(verifyAudit(lines(one))).toEqual({ row: 4, seq: 3, problem: "chain-broken" });
  const all = rehashed(forged);
  expect(isAuditFault(verifyAudit(lines(all)))).toBe(false);
  expect(verifyAudit(lines(all), { head })).toEqual({ row: 6, seq: 5, problem: "other-head" });
  expect(verifyAudit(lines(entries.slice(0, 4)), { head })).toEqual({ row: 5, seq: 4, problem: "tail-missing" });
  expect(verifyAudit([], { head })).toEqual({ row: 1, seq: 0, problem: "tail-missing" });
});

test("[AU5] another gateway's chain and one whose clock ran backwards do not verify", () => {
  expect(verifyAudit(lines(chain(2, "z".repeat(23))), { gateway: GATEWAY })).toEqual({ row: 1, seq: 0, problem: "wrong-gateway" });
  const [first] = chain(1);
  if (first === undefined) throw new Error("no entry");
  const facts = { seq: 1, atMs: 1, actor: "owner", action: "cut", device: null, detail: {} };
  const early = { ...facts, prev: first.hash, hash: auditHash(first.hash, auditDigest(facts)) };
  expect(verifyAudit(lines([first, early]))).toEqual({ row: 2, seq: 1, problem: "wrong-order" });
});

test("[AU5] [case 45] whatever one row says instead, the chain stops verifying at that row or the one behind it", () => {
  const entries = chain(8);
  const head = headOf(entries);
  fc.assert(
    fc.property(fc.nat(7), fc.integer({ min: 0, max: 200 }), fc.constantFrom("a", "0", '"', "{", ",", "9"), (at, index, char) => {
      const line = auditLine(entries[at] ?? entries[0]!); // oxlint-disable-line typescript/no-non-null-assertion
      const where = index % line.length;
      const changed = line.slice(0, where) + char + line.slice(where + 1);
      fc.pre(changed !== line);
      const result = verifyAudit(lines(entries).with(at, changed), { head });
      expect(isAuditFault(result) && result.row).toBe(at + 1);
    }),
  );
});

function claim(entries: readonly AuditEntry[], from: number | null) {
  return {
    from,
    digests: entries.slice(from === null ? entries.length : from + 1).map((entry) => auditDigest(entry)),
    head: headOf(entries),
  };
}

test("[AU3] a head is taken when digests lead to it from the anchored one, also when some of them were known", () => {
  const entries = chain(10);
  const anchor = headOf(entries.slice(0, 5));
  expect(judgeAuditHead(null, claim(entries, null))).toBe("extends");
  expect(judgeAuditHead(anchor, claim(entries, 4))).toBe("extends");
  expect(judgeAuditHead(anchor, claim(entries, 2))).toBe("extends");
  expect(judgeAuditHead(anchor, claim(entries.slice(0, 5), 4))).toBe("same");
});

test("[AU3] [case 45] shorter, another entry in a known place, rewritten and grown, or no proof: rewound", () => {
  const entries = chain(10);
  const anchor = headOf(entries.slice(0, 5));
  const other = rehashed(entries.with(3, { ...(entries[3] ?? entries[0]!), actor: "host" })); // oxlint-disable-line typescript/no-non-null-assertion
  const rewound = {
    shorter: claim(entries.slice(0, 3), 2),
    empty: { from: null, digests: [], head: { seq: 0, hash: auditStart("x") } },
    replaced: claim(other.slice(0, 5), 4),
    grown: claim(other, 4),
    unproven: { ...claim(entries, 4), digests: [] },
    gap: claim(entries, 7),
    "too few": { ...claim(entries, 4), digests: claim(entries, 4).digests.slice(1) },
    "without a start": { ...claim(entries, 4), from: null },
    "another digest": { ...claim(entries, 4), digests: claim(entries, 4).digests.with(0, auditStart("y")) },
  };
  for (const [what, each] of Object.entries(rewound)) expect(judgeAuditHead(anchor, each), what).toBe("rewound");
});
