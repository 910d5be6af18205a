/** Which passkeys a message to the connector is about, and in whose word: for the room, which owes it, and for the connector, whose disk may refuse it. */
import type { ToConnector } from "../../protocol/link-messages.ts";
import { readOwnerKey, readOwnerRemoval, readRecover } from "./statement.ts";

/**
 * Reads a message of the room for the passkeys in it; nothing is verified.
 *
 * @returns credential ids of the passkey that it brings, and of those that it takes away; nothing for a message that is about neither
 */
export function passkeysIn(message: ToConnector): { readonly adds: string | null; readonly removes: readonly string[] } {
  switch (message.type) {
    case "owner-key":
      return { adds: readOwnerKey(message.signed.statement)?.body.credentialId ?? null, removes: [] };
    case "owner-remove": {
      const body = readOwnerRemoval(message.signed.statement)?.body;
      return { adds: null, removes: body === undefined ? [] : [body.credentialId] };
    }
    case "recover": {
      const body = readRecover(message.signed.statement)?.body;
      return { adds: body?.credentialId ?? null, removes: body?.remove ?? [] };
    }
    default:
      return { adds: null, removes: [] };
  }
}

/** In the place of a credential id: the recovery key is one per account. */
const RECOVERY = "recovery-key";

/**
 * Whether a message has another outcome before an earlier one than after it (PROTOCOL.md LINK7).
 *
 * @returns true when it brings a passkey back that the earlier one takes away, which would then go once more, or is the word of a key that the earlier
 * one brings, without which it is void
 */
export function restsOn(message: ToConnector, earlier: ToConnector): boolean {
  const { adds } = passkeysIn(message);
  const before = passkeysIn(earlier);
  if (adds !== null && before.removes.includes(adds)) return true;
  const brought = earlier.type === "recovery-key" ? RECOVERY : before.adds;
  return brought !== null && brought === signerOf(message);
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
    case "proposal":
      return message.signed?.assertion.credentialId ?? null;
    default:
      return null;
  }
}
