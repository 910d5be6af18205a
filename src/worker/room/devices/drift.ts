/** What the gateway's own pairing list has that the grants do not, as its connector reported it, and mending it (PROTOCOL.md DR). */
import { differenceMark } from "../../../core/trust/drift.ts";
import type { Difference } from "../../../protocol/drift.ts";
import { MAX_KEPT_DIFFERENCES } from "../../../protocol/limits.ts";
import { toBase32 } from "../../../core/trust/digests.ts";
import type { Admission } from "../context.ts";
import type { RoomResult } from "../rpc.ts";

interface Kept {
  /** Marks of differences that the owner said are fine, oldest first. */
  readonly marks: readonly string[];
}

export interface Drift {
  readonly atMs: number;
  readonly differences: readonly Difference[];
}

function keptMarks(admission: Admission): readonly string[] {
  return admission.storage.get<Kept>("meta", "drift-kept")?.marks ?? [];
}

/** @returns what differs and the owner has not said is fine; null before the connector compared */
export function driftView(admission: Admission): Drift | null {
  const drift = admission.storage.get<Drift>("meta", "drift");
  if (drift === null) return null;
  const kept = new Set(keptMarks(admission));
  return { atMs: drift.atMs, differences: drift.differences.filter((each) => !kept.has(differenceMark(each))) };
}

/** A report of the connector: the whole picture. What is new in it is recorded. */
export function takeDrift(admission: Admission, drift: Drift): void {
  const { storage } = admission;
  const before = new Set((storage.get<Drift>("meta", "drift")?.differences ?? []).map(differenceMark));
  const after = new Set(drift.differences.map(differenceMark));
  const added = drift.differences.filter((each) => !before.has(differenceMark(each)));
  storage.transaction(() => {
    storage.put("meta", "drift", drift);
    for (const { kind, entry, device, approvedVia } of added)
      admission.auditMachine("gateway", "difference-found", device, { kind, entry: entry.slice(0, 16), approvedVia });
  });
  if (added.length > 0 || before.size !== after.size) admission.tellInbox();
}

/** `remove`: the connector takes the entry out of the gateway's list. `keep`: the owner knows it; more of it is shown again. */
export async function mend(
  admission: Admission,
  input: { readonly entry: string; readonly what: "remove" | "keep" },
): Promise<RoomResult<null>> {
  const { storage, relay } = admission;
  const found = driftView(admission)?.differences.filter((each) => each.entry === input.entry) ?? [];
  const [first] = found;
  if (first === undefined) return { ok: false, failure: "not-found" };
  if (input.what === "keep") {
    storage.transaction(() => {
      const marks = [...keptMarks(admission), ...found.map(differenceMark)].slice(-MAX_KEPT_DIFFERENCES);
      storage.put("meta", "drift-kept", { marks } satisfies Kept);
      admission.audit("owner", "difference-kept", first.device, { kind: first.kind, entry: first.entry.slice(0, 16) });
    });
    admission.tellInbox();
    return { ok: true, value: null };
  }
  admission.audit("owner", "difference-removed", first.device, { kind: first.kind, entry: first.entry.slice(0, 16) });
  const id = `entry-${toBase32(admission.options.random(16))}`;
  const result = await relay.command({ type: "remove-entry", id, entry: input.entry });
  if (result === null || result.refusal === "not-serving") return { ok: false, failure: "gateway-away" };
  if (!result.ok) return { ok: false, failure: "conflict" };
  // Gone at once; the connector's next comparison is the truth.
  const drift = storage.get<Drift>("meta", "drift");
  if (drift !== null)
    storage.put("meta", "drift", { ...drift, differences: drift.differences.filter((each) => each.entry !== input.entry) });
  admission.tellInbox();
  return { ok: true, value: null };
}
