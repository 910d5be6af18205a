/** Which keys may prove a link while a connector's key changes (PROTOCOL.md LINK8). Pure. */
import { KEY_OVERLAP_MS } from "../../protocol/limits.ts";
import type { ConnectorKey } from "../../protocol/statements.ts";
import type { PreviousKey } from "./judge.ts";
import { isSignedBy, isSoundRotation, readLine } from "./key-log.ts";

/** The key before the last rotation, as a room keeps it. */
export interface OldKey extends PreviousKey {
  /** Place of the `rotate` entry in the key log. */
  readonly seq: number;
  /** The connector has shown that it has the new one: this one proves no link any more. */
  readonly isAcknowledged: boolean;
}

/**
 * Follows `rotate` entries from a key that somebody pinned: each must be written by the key before it and prove its own.
 *
 * @param lines oldest first; entries from before the pinned key lead nowhere and are passed over
 * @returns the key at the end: the pinned one when no entry leads on
 */
export async function followRotations(gateway: string, pinned: ConnectorKey, lines: readonly string[]): Promise<ConnectorKey> {
  let key = pinned;
  for (const line of lines) {
    const entry = readLine(line);
    if (entry === null || entry.gateway !== gateway || entry.body.type !== "rotate") continue;
    if ((await isSignedBy(key, entry)) && (await isSoundRotation(gateway, entry.body))) ({ key } = entry.body);
  }
  return key;
}

/**
 * The key that a `hello` may be proven with: the one that the room knows, the one that shown rotations lead to, or, until the new one was
 * acknowledged and for a day at most, the one before.
 *
 * @param known what the room knows of the connector
 * @returns the key that was named, if it is one of these
 */
export async function linkKey(
  known: { readonly gateway: string; readonly key: ConnectorKey; readonly previousKey: OldKey | null },
  hello: { readonly key: ConnectorKey; readonly rotations?: readonly string[] | undefined },
  nowMs: number,
): Promise<ConnectorKey | null> {
  const { gateway, key, previousKey } = known;
  const { x } = hello.key;
  if (x === key.x) return key;
  if (previousKey?.key.x === x) {
    const isOver = previousKey.isAcknowledged || nowMs >= previousKey.rotatedAtMs + KEY_OVERLAP_MS;
    return isOver ? null : previousKey.key;
  }
  const end = await followRotations(gateway, key, hello.rotations ?? []);
  return end.x === x ? end : null;
}
