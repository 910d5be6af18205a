/**
 * The audit chain of one gateway: what happened, in order, each entry bound to the one before. The room writes it, the connector keeps its head,
 * anybody verifies an export (PROTOCOL.md AU; reference: security.md 13). Pure and synchronous: an entry is hashed inside the storage
 * transaction that records what it is about, where nothing may wait.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { auditEntrySchema } from "../../protocol/audit.ts";
import type { AuditDetail, AuditEntry, AuditHead } from "../../protocol/audit.ts";
import { fromBase64url, tagged, toBase64url, utf8 } from "../../protocol/statement-encoding.ts";

/** What an entry says, before it has a place. */
export interface AuditFacts {
  readonly atMs: number;
  readonly actor: string;
  readonly action: string;
  readonly device: string | null;
  readonly detail: AuditDetail;
}

const MAX_FACT_CHARS = 200;
const SECRET = /gth[a-z]_[0-9A-Za-z]{8,}/g;
const IPV4 = /\b(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}\b/g;
const IPV6 = /\b((?:[0-9a-f]{1,4}:){3})[0-9a-f:]*[0-9a-f]\b/gi;

/** @returns the text as an entry may carry it: no token of ours, addresses cut to their network (/24, /48), at most 200 characters */
export function auditText(text: string): string {
  return text.replace(SECRET, "[secret]").replace(IPV4, "$1.0").replace(IPV6, "$1:").slice(0, MAX_FACT_CHARS);
}

/** @returns `prev` of the first entry: a chain belongs to one gateway */
export function auditStart(gateway: string): string {
  return toBase64url(sha256(tagged("audit", utf8(`start ${gateway}`))));
}

/** @returns base64url SHA-256 over the tagged byte form of an entry without `prev` and `hash` */
export function auditDigest(entry: AuditFacts & { readonly seq: number }): string {
  const { seq, atMs, actor, action, device, detail } = entry;
  const text = JSON.stringify({ seq, atMs, actor, action, device, detail: inOrder(detail) });
  return toBase64url(sha256(tagged("audit", utf8(text))));
}

/**
 * @param prev base64url, 32 bytes
 * @param digest base64url, 32 bytes
 * @returns base64url SHA-256(prev || digest): who knows digests can follow a chain without reading it
 */
export function auditHash(prev: string, digest: string): string {
  const bytes = new Uint8Array(64);
  bytes.set(fromBase64url(prev)?.subarray(0, 32) ?? new Uint8Array(0));
  bytes.set(fromBase64url(digest)?.subarray(0, 32) ?? new Uint8Array(0), 32);
  return toBase64url(sha256(bytes));
}

function inOrder(detail: AuditDetail): AuditDetail {
  return Object.fromEntries(Object.entries(detail).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Gives facts their place behind the last entry.
 *
 * @param last the entry before with its time, or null in an empty chain
 */
export function nextAuditEntry(gateway: string, last: (AuditHead & { readonly atMs: number }) | null, facts: AuditFacts): AuditEntry {
  const detail: Record<string, AuditDetail[string]> = {};
  for (const [name, value] of Object.entries(inOrder(facts.detail))) detail[name] = typeof value === "string" ? auditText(value) : value;
  const placed = {
    seq: last === null ? 0 : last.seq + 1,
    atMs: Math.max(facts.atMs, last?.atMs ?? 0),
    actor: facts.actor,
    action: facts.action,
    device: facts.device,
    detail,
  };
  const prev = last === null ? auditStart(gateway) : last.hash;
  return { ...placed, prev, hash: auditHash(prev, auditDigest(placed)) };
}

/** @returns the one text of an entry, without line feed */
export function auditLine(entry: AuditEntry): string {
  const { seq, atMs, actor, action, device, detail, prev, hash } = entry;
  return JSON.stringify({ seq, atMs, actor, action, device, detail: inOrder(detail), prev, hash });
}

/** @returns the entry, or null when the line is not exactly what `auditLine` writes for it */
export function readAuditLine(line: string): AuditEntry | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  const parsed = auditEntrySchema.safeParse(value);
  return parsed.success && auditLine(parsed.data) === line ? parsed.data : null;
}

/** `changed`: what the row says is not what was hashed. `wrong-place`: one before it was dropped, added or moved. */
export type AuditProblem = "not-canonical" | "wrong-place" | "chain-broken" | "changed" | "wrong-gateway" | "wrong-order" | "tail-missing" | "other-head"; // prettier-ignore

/** The first row that does not belong. `row` counts from 1, as an editor counts lines; `seq` is the place that was expected there. */
export interface AuditFault {
  readonly row: number;
  readonly seq: number;
  readonly problem: AuditProblem;
}

export interface AuditExpectation {
  /** Given: the chain must be this gateway's. */
  readonly gateway?: string | undefined;
  /** Given: the chain must reach this head and have this entry there; what came later is fine. */
  readonly head?: AuditHead | undefined;
}

/**
 * Verifies an exported chain from its first entry on, offline.
 *
 * @param lines without line feeds, in order
 * @returns the head, null for an empty chain, or the first row that was changed, dropped, added or moved
 */
export function verifyAudit(lines: Iterable<string>, expected: AuditExpectation = {}): AuditHead | AuditFault | null {
  let last: AuditEntry | null = null;
  let row = 0;
  for (const line of lines) {
    row += 1;
    const seq = row - 1;
    const entry = readAuditLine(line);
    const problem = entry === null ? "not-canonical" : problemOf(entry, last, seq, expected);
    if (problem !== null) return { row, seq, problem };
    last = entry;
  }
  const { head } = expected;
  if (head !== undefined && head.seq > (last?.seq ?? -1)) return { row: row + 1, seq: row, problem: "tail-missing" };
  return last === null ? null : { seq: last.seq, hash: last.hash };
}

function problemOf(entry: AuditEntry, last: AuditEntry | null, seq: number, { gateway, head }: AuditExpectation): AuditProblem | null {
  if (entry.seq !== seq) return "wrong-place";
  if (last !== null && entry.prev !== last.hash) return "chain-broken";
  if (entry.hash !== auditHash(entry.prev, auditDigest(entry))) return "changed";
  if (last === null && gateway !== undefined && entry.prev !== auditStart(gateway)) return "wrong-gateway";
  if (last !== null && entry.atMs < last.atMs) return "wrong-order";
  if (head !== undefined && head.seq === seq && head.hash !== entry.hash) return "other-head";
  return null;
}

/** @returns whether a verification ended in a fault */
export function isAuditFault(result: AuditHead | AuditFault | null): result is AuditFault {
  return result !== null && "problem" in result;
}

/** A head with what leads to it: the digests of the entries after place `from`, up to the head's own. */
export interface AuditClaim {
  readonly from: number | null;
  readonly digests: readonly string[];
  readonly head: AuditHead;
}

/**
 * Judges a head against the one that is anchored: it must be the same or provably lie behind it (PROTOCOL.md AU3).
 *
 * @param anchor the newest head that was accepted; null takes any as the beginning
 * @returns `rewound`: the chain is shorter, has another entry in a known place, or does not show that it goes on from there
 */
export function judgeAuditHead(anchor: AuditHead | null, claim: AuditClaim): "same" | "extends" | "rewound" {
  const { from, digests, head } = claim;
  if (anchor === null) return "extends";
  if (head.seq <= anchor.seq) return head.seq === anchor.seq && head.hash === anchor.hash ? "same" : "rewound";
  if (from === null || from > anchor.seq || digests.length !== head.seq - from) return "rewound";
  let hash = anchor.hash;
  for (const digest of digests.slice(anchor.seq - from)) hash = auditHash(hash, digest);
  return hash === head.hash ? "extends" : "rewound";
}
