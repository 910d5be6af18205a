/** Which passkeys a message to the connector is about: for the room, which owes it, and for the connector, whose disk may refuse it. */
import type { ToConnector } from "../protocol/link-messages.ts";
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
