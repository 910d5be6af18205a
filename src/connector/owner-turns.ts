/**
 * The order of decisions about who may decide, when one of them could not be applied (PROTOCOL.md LINK7): the disk refused it, or an alarm holds it
 * back. What rests on it waits until the room has sent it again. Not on disk: after a restart the room sends everything that it owes, in order.
 */
import { passkeysIn } from "../core/owner-passkeys.ts";
import type { ToConnector } from "../protocol/link-messages.ts";

/** The answers after which a decision stays owed. */
export type Held = "internal" | "alarm";

interface HeldBack {
  readonly why: Held;
  readonly brings: string | null;
  readonly removes: readonly string[];
}

/** In the place of a credential id: the recovery key is one per account. */
const RECOVERY = "recovery-key";

export class OwnerTurns {
  /** By the message's id, under which the room sends it again; the oldest first, as they were decided. */
  readonly #held = new Map<string, HeldBack>();

  /**
   * @returns with what the message must be answered: it brings a passkey back whose removal is held, which would then take it out once more, or
   * rests on the word of a key whose coming is held, which would make it void; null for any other
   */
  heldBy(message: ToConnector): Held | null {
    const { adds } = passkeysIn(message);
    const signer = signerOf(message);
    for (const [id, { brings, removes, why }] of this.#held) {
      // It waits for what was decided before it, never for what came after: so the oldest always has its turn.
      if ("id" in message && message.id === id) return null;
      if ((adds !== null && removes.includes(adds)) || (signer !== null && signer === brings)) return why;
    }
    return null;
  }

  /** It stays owed: what was decided after it, and rests on it, waits. */
  held(message: ToConnector, why: Held): void {
    const { adds, removes } = passkeysIn(message);
    const brings = message.type === "recovery-key" ? RECOVERY : adds;
    if ("id" in message && (brings !== null || removes.length > 0)) this.#held.set(message.id, { why, brings, removes });
  }

  /** It is not owed any more, whatever came of it. */
  settled(message: ToConnector): void {
    if ("id" in message) this.#held.delete(message.id);
  }
}

/** @returns whose word the message is: a credential id; null when it is no owner's */
function signerOf(message: ToConnector): string | null {
  switch (message.type) {
    case "grant":
    case "owner-key":
    case "owner-remove":
    case "recovery-key":
      return message.signed.assertion.credentialId;
    case "recover":
      return RECOVERY;
    default:
      return null;
  }
}
