/**
 * What differs between a gateway's own pairing list and what Gatehouse allows there (PROTOCOL.md DR). Pure: lists in, differences out.
 */
import { MAX_DIFFERENCES } from "../../protocol/limits.ts";
import { openclawIdSchema } from "../../protocol/drift.ts";
import type { Difference, DifferenceKind } from "../../protocol/drift.ts";
import { ACCESS_SCOPES } from "../../protocol/words.ts";

/** One entry of the gateway's list of paired devices. */
export interface PairedEntry {
  readonly id: string;
  readonly name: string;
  readonly platform: string;
  readonly client: string;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  readonly approvedVia: string;
  readonly approvedAtMs: number | null;
}

/** What Gatehouse has at the gateway for one of its devices: the entries it approved, and whether the device may still come. */
export interface BoundDevice {
  readonly device: string;
  readonly entries: readonly string[];
  readonly isAllowed: boolean;
}

/** What the connector approves for a browser: the six scopes of the stock page, and the seventh that its owner links ask for. */
export const APPROVABLE_SCOPES: ReadonlySet<string> = new Set([...ACCESS_SCOPES.full, "operator.talk.secrets"]);

/** How a gateway approves without asking anybody (openclaw.md 4.4). */
const UNASKED = new Set(["silent", "trusted-cidr", "trusted-proxy", "ssh-verified"]);

/** Worst first: what fits no report is the least of it. */
const ORDER: readonly DifferenceKind[] = ["auto", "wider", "left", "local", "removed"];

/**
 * Compares the two lists.
 *
 * @param paired the gateway's own list
 * @param bound what belongs to devices of Gatehouse, allowed or not any more
 * @returns differences, worst first, each entry once, at most fifty; ids that are none of OpenClaw's are passed over
 */
export function findDrift(paired: readonly PairedEntry[], bound: readonly BoundDevice[]): readonly Difference[] {
  const owners = new Map<string, BoundDevice>();
  // An entry may belong to several: one browser profile with two of our device keys. It stays as long as one of them may come.
  for (const each of bound) for (const entry of each.entries) if (owners.get(entry)?.isAllowed !== true) owners.set(entry, each);
  const found: Difference[] = [];
  const listed = new Set<string>();
  for (const entry of paired) {
    listed.add(entry.id);
    const owner = owners.get(entry.id) ?? null;
    const kind = kindOf(entry, owner);
    if (kind !== null && isOpenclawId(entry.id)) found.push(differenceOf(kind, entry, owner?.device ?? null));
  }
  for (const [id, owner] of owners) {
    if (!owner.isAllowed || listed.has(id) || !isOpenclawId(id)) continue;
    // A page that lost its key pairs anew with another: then nothing is missing.
    if (owner.entries.some((each) => listed.has(each))) continue;
    found.push(differenceOf("removed", { ...NOTHING, id }, owner.device));
  }
  return found.toSorted((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind)).slice(0, MAX_DIFFERENCES);
}

function isOpenclawId(id: string): boolean {
  return openclawIdSchema.safeParse(id).success;
}

const NOTHING = { name: "", platform: "", client: "", roles: [], scopes: [], approvedVia: "", approvedAtMs: null } as const;

function kindOf(entry: PairedEntry, owner: BoundDevice | null): DifferenceKind | null {
  if (UNASKED.has(entry.approvedVia)) return "auto";
  if (owner === null) return "local";
  if (!owner.isAllowed) return "left";
  const isWider = entry.roles.some((role) => role !== "operator") || entry.scopes.some((scope) => !APPROVABLE_SCOPES.has(scope));
  return isWider ? "wider" : null;
}

const MAX_CHARS = 80;
/** Control and direction characters: what a device calls itself is shown to the owner. */
// oxlint-disable-next-line no-control-regex -- they are what it takes out
const UNSHOWN = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

function shown(text: string): string {
  return text.replace(UNSHOWN, " ").slice(0, MAX_CHARS);
}

function differenceOf(kind: DifferenceKind, entry: PairedEntry, device: string | null): Difference {
  const { id, name, platform, client, roles, scopes, approvedVia, approvedAtMs } = entry;
  return {
    kind,
    entry: id,
    device,
    name: shown(name),
    platform: shown(platform),
    client: shown(client),
    roles: roles.slice(0, 10).map(shown),
    scopes: scopes.slice(0, 30).map(shown),
    approvedVia: shown(approvedVia),
    approvedAtMs: approvedAtMs === null ? null : Math.trunc(approvedAtMs),
  };
}

/** @returns what an owner who says that a difference is fine has seen of it: when more comes to be true of it, it is shown again */
export function differenceMark({ kind, entry, roles, scopes, approvedVia }: Difference): string {
  return [kind, entry, [...roles].toSorted().join(" "), [...scopes].toSorted().join(" "), approvedVia].join("|");
}
