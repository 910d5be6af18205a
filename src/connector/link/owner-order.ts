/**
 * The order of decisions about who may decide, when one of them could not be applied (PROTOCOL.md LINK7): the disk refused it, or an alarm holds it
 * back. What rests on it waits until the room has sent it again. Not on disk: after a restart the room sends everything that it owes, in order.
 */
import { restsOn } from "../../core/trust/owner-passkeys.ts";
import type { ToConnector } from "../../protocol/link-messages.ts";

type Change = Extract<ToConnector, { type: "owner-key" | "owner-remove" | "recovery-key" | "recover" }>;

/** The answers after which a decision stays owed. */
export type Held = "internal" | "alarm";

export class OwnerTurns {
  /** By the message's id, under which the room sends it again; the oldest first, as they were decided. */
  readonly #held = new Map<string, { readonly change: Change; readonly why: Held }>();

  /** @returns with what the message must be answered, because it rests on one that is held; null when it has its turn */
  heldBy(message: ToConnector): Held | null {
    for (const { change, why } of this.#held.values()) {
      // It waits for what was decided before it, never for what came after: so the oldest always has its turn.
      if ("id" in message && message.id === change.id) return null;
      if (restsOn(message, change)) return why;
    }
    return null;
  }

  /** It stays owed: what was decided after it, and rests on it, waits. */
  held(change: Change, why: Held): void {
    this.#held.set(change.id, { change, why });
  }

  /** It is not owed any more, whatever came of it. */
  settled(change: Change): void {
    this.#held.delete(change.id);
  }
}

/** @returns whether the message changes who may decide */
export function isOwnerChange(message: ToConnector): message is Change {
  return message.type === "owner-key" || message.type === "owner-remove" || message.type === "recovery-key" || message.type === "recover";
}
