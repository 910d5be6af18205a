/** A machine that came back from a backup: whether the room's copy of the key log goes on where its own ends (PROTOCOL.md KL14). Pure. */
import { isFault, readLine, relationOf, verifyLog } from "./key-log.ts";
import type { KeyLogProblem, KeyLogState } from "./key-log-state.ts";
import type { KeyLogEntry } from "../../protocol/key-log.ts";

export type RestoreProblem =
  /** The file does not verify. */
  | { readonly problem: "fault"; readonly seq: number; readonly why: KeyLogProblem }
  | { readonly problem: "other-gateway" }
  /** Another entry stands in a place of the own log: nobody can tell here which history is the right one. */
  | { readonly problem: "fork" }
  /** It ends where the own log does, or before. */
  | { readonly problem: "nothing-new" }
  /** The connector's key was changed after the backup, which does not have the new one. */
  | { readonly problem: "rotated" };

/** What the own log lacks. */
export interface Restorable {
  /** Lines to append, as they stand in the file. */
  readonly lines: readonly string[];
  readonly entries: readonly KeyLogEntry[];
  /** After the last of them. */
  readonly state: KeyLogState;
}

/**
 * Verifies an exported log whole, and that it extends the own one under the same connector key.
 *
 * @param own state of the log on this machine's disk
 * @param lines of the export, without line feeds, genesis first
 */
export async function judgeRestore(
  own: Pick<KeyLogState, "gateway" | "head" | "key">,
  lines: readonly string[],
): Promise<Restorable | RestoreProblem> {
  const state = await verifyLog(lines);
  if (isFault(state)) return { problem: "fault", seq: state.seq, why: state.problem };
  if (state.gateway !== own.gateway) return { problem: "other-gateway" };
  const relation = relationOf(state, own.head);
  if (relation === "fork") return { problem: "fork" };
  if (relation !== "behind") return { problem: "nothing-new" };
  const added = lines.slice(own.head.seq + 1);
  const entries = added.flatMap((line) => readLine(line) ?? []);
  if (state.key.x !== own.key.x || entries.some(({ body }) => body.type === "rotate")) return { problem: "rotated" };
  return { lines: added, entries, state };
}
