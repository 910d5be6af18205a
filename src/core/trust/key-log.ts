/**
 * The gateway's own lock: an append-only, hash-chained log of who may decide and who was let in. The connector is its only writer; anybody
 * can verify a copy (PROTOCOL.md KL; reference: security.md 6). Pure: clock and signing are arguments.
 */
import { keyLogEntrySchema } from "../../protocol/key-log.ts";
import type { KeyLogAlarm, KeyLogBody, KeyLogEntry, KeyLogHead } from "../../protocol/key-log.ts";
import { MAX_KEY_LOG_LINE_CHARS } from "../../protocol/limits.ts";
import { fromBase64url, tagged, toBase64url, utf8 } from "../../protocol/statement-encoding.ts";
import type { ConnectorKey } from "../../protocol/statements.ts";
import { sha256 } from "./digests.ts";
import { isBelow } from "./grant-policy.ts";
import { judgeGrant } from "./judge.ts";
import type { HeldGrant } from "./judge.ts";
import { addOwner, recover, removeOwner, setRecoveryKey } from "./key-log-owners.ts";
import { judgeGenesis } from "./genesis.ts";
import { isSoundKey, verifyRaw } from "./public-key.ts";
import { cancel, narrowPolicy, narrowRole, notice, propose, takeEffect, withoutKey } from "./local-policy.ts";
import { DEFAULT_POLICY } from "./key-log-state.ts";
import type { Change, KeyLogProblem, KeyLogState } from "./key-log-state.ts";

/** Signs bytes with the connector's key. @returns base64url */
type SignBytes = (bytes: Uint8Array<ArrayBuffer>) => string | Promise<string>;

function unsignedBytes(entry: Omit<KeyLogEntry, "sig">): Uint8Array<ArrayBuffer> {
  const { v, gateway, seq, prev, atMs, body } = entry;
  return tagged("key-log", utf8(JSON.stringify({ v, gateway, seq, prev, atMs, body })));
}

/** The bytes that a new connector key signs to prove that somebody holds it. */
export function rotationBytes(gateway: string, key: ConnectorKey): Uint8Array<ArrayBuffer> {
  return tagged("key-log", utf8(`${gateway} ${key.x}`));
}

/** @returns base64url SHA-256 of a line, without its line feed */
export async function lineHash(line: string): Promise<string> {
  return toBase64url(await sha256(utf8(line)));
}

/**
 * Writes the next entry of a log. It is not judged here: `applyLine` does that, for the writer as for everybody else.
 *
 * @param state null for genesis
 * @param sign with the connector's key that the log names
 * @returns the line, without line feed
 */
export async function writeLine(
  state: { readonly head: KeyLogHead } | null,
  entry: { readonly gateway: string; readonly atMs: number; readonly body: KeyLogBody },
  sign: SignBytes,
): Promise<string> {
  const { gateway, atMs, body } = entry;
  const unsigned = {
    v: 1,
    gateway,
    seq: state === null ? 0 : state.head.seq + 1,
    prev: state === null ? null : state.head.hash,
    atMs,
    body,
  } as const;
  return JSON.stringify({ ...unsigned, sig: await sign(unsignedBytes(unsigned)) });
}

/** @returns the entry, or null when the line is not exactly what `writeLine` writes for it */
export function readLine(line: string): KeyLogEntry | null {
  if (line.length > MAX_KEY_LOG_LINE_CHARS) return null;
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  const parsed = keyLogEntrySchema.safeParse(value);
  // Writing it again must give the same text: no second spelling, no duplicate member, no white space.
  return parsed.success && JSON.stringify(parsed.data) === line ? parsed.data : null;
}

/**
 * The one judge of entries: chain, the connector's signature, then whatever authority the entry needs, against the state before it. Times
 * are judged by the entry's own clock, so that an old log verifies as it did when it was written.
 *
 * @param state null when `line` must be genesis
 * @returns the state after the entry, or why there is none
 */
export async function applyLine(state: KeyLogState | null, line: string): Promise<KeyLogState | KeyLogProblem> {
  const entry = readLine(line);
  if (entry === null) return "not-canonical";
  const { body } = entry;
  if (state === null) return genesis(entry, line);
  if (entry.gateway !== state.gateway) return "wrong-gateway";
  if (entry.seq !== state.head.seq + 1) return "wrong-place";
  if (entry.prev !== state.head.hash) return "chain-broken";
  if (entry.atMs < state.lastAtMs) return "wrong-order";
  if (body.type === "genesis") return "bad-genesis";
  if (!(await isSignedBy(state.key, entry))) return "bad-entry-signature";
  const hash = await lineHash(line);
  const change = await changeOf(state, body, { ...entry, hash });
  if (typeof change === "string") return change;
  return { ...state, ...change, head: { seq: entry.seq, hash }, hashes: [...state.hashes, hash], lastAtMs: entry.atMs };
}

/** @returns whether this key wrote the entry; false for a key that is not sound */
export async function isSignedBy(key: ConnectorKey, entry: KeyLogEntry): Promise<boolean> {
  const signature = fromBase64url(entry.sig);
  return signature !== null && isSoundKey(key) && verifyRaw(key, signature, unsignedBytes(entry));
}

async function genesis(entry: KeyLogEntry, line: string): Promise<KeyLogState | KeyLogProblem> {
  const { body, gateway, seq, prev } = entry;
  if (body.type !== "genesis" || seq !== 0 || prev !== null) return "bad-genesis";
  const judged = await judgeGenesis(body.signed, null);
  if (typeof judged === "string" || judged.statement.gateway !== gateway) return "bad-genesis";
  const { account, gatewayOrigin: origin, approveOrigin, rpId, connectorKey: key } = judged.statement;
  if (!(await isSignedBy(key, entry))) return "bad-entry-signature";
  const hash = await lineHash(line);
  return {
    gateway,
    account,
    origin,
    approveOrigin,
    rpId,
    key,
    previousKey: null,
    ownerKeys: [judged.owner],
    policy: DEFAULT_POLICY,
    grants: new Map(),
    removedOwners: new Map(),
    spentRemovals: new Set(),
    recovery: { key: null, issuedAtMs: 0 },
    subtractedAt: new Map(),
    proposals: new Map(),
    effects: new Set(),
    resumed: null,
    head: { seq: 0, hash },
    hashes: [hash],
    lastAtMs: entry.atMs,
  };
}

async function changeOf(
  state: KeyLogState,
  body: Exclude<KeyLogBody, { type: "genesis" }>,
  entry: KeyLogEntry & { readonly hash: string },
): Promise<Change | KeyLogProblem> {
  switch (body.type) {
    case "grant":
      return addGrant(state, body, entry.atMs);
    case "activate": {
      const held = state.grants.get(body.grant);
      if (held === undefined) return "unknown-grant";
      if (held.isRevoked) return "revoked";
      return { grants: new Map(state.grants).set(held.id, { ...held, isActivated: true }) };
    }
    case "revoke":
      return {
        grants: revoked(state.grants, (grant) => grant.statement.device === body.device),
        subtractedAt: new Map(state.subtractedAt).set(body.device, entry.seq),
      };
    case "revoke-all":
      return { grants: revoked(state.grants, () => true), subtractedAt: new Map(state.subtractedAt).set("*", entry.seq) };
    case "policy":
      return narrowPolicy(state, body);
    case "proposal":
      return propose(state, body, { id: entry.hash, atMs: entry.atMs });
    case "noticed":
      return notice(state, body, entry.atMs);
    case "cancel":
      return cancel(state, body);
    case "effect":
      return takeEffect(state, body, entry.atMs);
    case "owner-add":
      return addOwner(state, body);
    case "owner-remove": {
      const change = await removeOwner(state, body);
      return typeof change === "string" ? change : { ...change, proposals: withoutKey(state.proposals, [body.credentialId]) };
    }
    case "owner-role":
      return narrowRole(state, body);
    case "recovery-key":
      return setRecoveryKey(state, body);
    case "recover": {
      const change = await recover(state, body);
      // Whoever held the lost passkeys may have asked for what waits.
      return typeof change === "string" ? change : { ...change, proposals: new Map() };
    }
    case "rotate": {
      if (body.key.x === state.key.x) return "nothing-changes";
      if (!(await isSoundRotation(state.gateway, body))) return "bad-signature";
      return { key: body.key, previousKey: { key: state.key, rotatedAtMs: entry.atMs } };
    }
  }
}

/** @returns whether somebody holds the key that a `rotate` entry brings; who wrote the entry is another question */
export async function isSoundRotation(gateway: string, body: Extract<KeyLogBody, { type: "rotate" }>): Promise<boolean> {
  const proof = fromBase64url(body.proof);
  return proof !== null && isSoundKey(body.key) && verifyRaw(body.key, proof, rotationBytes(gateway, body.key));
}

function revoked(grants: ReadonlyMap<string, HeldGrant>, isHit: (grant: HeldGrant) => boolean): ReadonlyMap<string, HeldGrant> {
  return new Map([...grants].map(([id, grant]) => [id, isHit(grant) ? { ...grant, isRevoked: true } : grant]));
}

async function addGrant(state: KeyLogState, body: Extract<KeyLogBody, { type: "grant" }>, atMs: number): Promise<Change | KeyLogProblem> {
  const judged = await judgeGrant(state, body.signed, atMs);
  if (!judged.ok) return problemOf(judged.refusal);
  const { id, statement } = judged.value;
  const known = state.grants.get(id);
  if (known !== undefined) return known.isRevoked ? "revoked" : "nothing-changes";
  if (!isBelow(statement, state.policy)) return "over-ceiling";
  if (isStale(state, statement.device, statement.head)) return "stale-head";
  // A device has one live grant: a new one takes the place of the old.
  const grants = new Map(revoked(state.grants, (grant) => grant.statement.device === statement.device));
  return { grants: grants.set(id, judged.value) };
}

/**
 * Whether something was taken from the device after the head that its owner saw: then the owner decided on an old picture, and a relay that
 * held a grant back until after a cut gains nothing.
 */
function isStale(state: KeyLogState, device: string, head: string | null): boolean {
  const seen = head === null ? 0 : state.hashes.indexOf(head);
  const subtracted = Math.max(state.subtractedAt.get(device) ?? 0, state.subtractedAt.get("*") ?? 0);
  return seen === -1 || seen < subtracted;
}

function problemOf(refusal: string): KeyLogProblem {
  switch (refusal) {
    case "bad-signature":
    case "wrong-gateway":
    case "unknown-owner-key":
    case "expired":
    case "too-late":
    case "over-ceiling":
      return refusal;
    default:
      return "bad-statement";
  }
}

/** What is wrong with a log, and where. */
export interface KeyLogFault {
  readonly seq: number;
  readonly problem: KeyLogProblem;
}

/**
 * Verifies a whole log, offline: every hash, every signature, every authority.
 *
 * @param lines without line feeds, genesis first
 * @returns the state at its end, or the first entry that does not belong
 */
export async function verifyLog(lines: readonly string[]): Promise<KeyLogState | KeyLogFault> {
  let state: KeyLogState | null = null;
  for (const [seq, line] of lines.entries()) {
    const next: KeyLogState | KeyLogProblem = await applyLine(state, line);
    if (typeof next === "string") return { seq, problem: next };
    state = next;
  }
  return state ?? { seq: 0, problem: "bad-genesis" };
}

/** @returns whether a verification ended in a fault */
export function isFault(result: KeyLogState | KeyLogFault): result is KeyLogFault {
  return "problem" in result;
}

export type HeadRelation = "same" | "behind" | "ahead" | "fork";

/**
 * Where somebody else's head stands, seen from this log.
 *
 * @returns `behind`: the other one lacks entries of ours; `ahead`: it knows entries that we do not have; `fork`: it knows another entry in a place of ours
 */
export function relationOf(state: { readonly head: KeyLogHead; readonly hashes: readonly string[] }, other: KeyLogHead): HeadRelation {
  if (other.seq > state.head.seq) return "ahead";
  if (state.hashes[other.seq] !== other.hash) return "fork";
  return other.seq === state.head.seq ? "same" : "behind";
}

/**
 * What the room's copy says about the room, when a link comes up (PROTOCOL.md KL6).
 *
 * @param room the last entry that the room knows; null when it has none
 * @param acknowledged the last entry that the room once said it has; null when it never did
 * @returns the alarm, if one is due, and the place of the first entry that the room lacks; null when sending more would not help
 */
export function compareHeads(
  state: { readonly head: KeyLogHead; readonly hashes: readonly string[] },
  room: KeyLogHead | null,
  acknowledged: KeyLogHead | null,
): { readonly alarm: KeyLogAlarm | null; readonly sendFrom: number | null } {
  const relation = room === null ? "behind" : relationOf(state, room);
  if (relation === "ahead") return { alarm: "log-rolled-back", sendFrom: null };
  if (relation === "fork") return { alarm: "fork", sendFrom: null };
  const known = room === null ? -1 : room.seq;
  const hasForgotten = acknowledged !== null && known < acknowledged.seq;
  return { alarm: hasForgotten ? "room-rolled-back" : null, sendFrom: relation === "same" ? null : known + 1 };
}

/** What a connector signs to prove itself on a link (PROTOCOL.md LINK1), without the tag. */
export function linkProofFields(proof: {
  readonly gateway: string;
  readonly roomNonce: string;
  readonly connectorNonce: string;
  readonly generation: number;
  readonly protocol: number;
  readonly head: KeyLogHead | undefined;
}): readonly string[] {
  const { gateway, roomNonce, connectorNonce, generation, protocol, head } = proof;
  const first = [gateway, roomNonce, connectorNonce, String(generation), String(protocol)];
  return protocol < 2 || head === undefined ? first : [...first, String(head.seq), head.hash];
}

/**
 * Checks one line for somebody who only keeps a copy: canonical form, place, chain, and the connector's signature. Authority is the writer's
 * business, and a verifier's.
 *
 * @param copy gateway, the connector's current key, and the end of the copy
 * @returns the entry; `known` when the copy has this place already and nothing says otherwise; null when the line does not belong
 */
export async function nextInCopy(
  copy: { readonly gateway: string; readonly key: ConnectorKey; readonly head: KeyLogHead | null },
  line: string,
): Promise<KeyLogEntry | "known" | null> {
  const entry = readLine(line);
  if (entry === null || entry.gateway !== copy.gateway) return null;
  const { head } = copy;
  // What is there already may be signed by a key that was rotated since.
  if (head !== null && entry.seq < head.seq) return "known";
  if (head !== null && entry.seq === head.seq) return (await lineHash(line)) === head.hash ? "known" : null;
  if (!(await isSignedBy(copy.key, entry))) return null;
  const isNext = head === null ? entry.seq === 0 && entry.prev === null : entry.seq === head.seq + 1 && entry.prev === head.hash;
  return isNext ? entry : null;
}
