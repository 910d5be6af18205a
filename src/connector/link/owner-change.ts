/** From a message about owners to the entry of the key log that it asks for; the log judges it. */
import { loggedRole } from "../../core/trust/key-log-owners.ts";
import { readOwnerKey, readOwnerRemoval, readRecoveryKey } from "../../core/trust/statement.ts";
import type { KeyLogBody } from "../../protocol/key-log.ts";
import type { ToConnector } from "../../protocol/link-messages.ts";

type OwnerMessage = Extract<ToConnector, { type: "owner-key" | "owner-remove" | "recovery-key" | "recover" }>;
type OwnerEntry = Extract<KeyLogBody, { type: "owner-add" | "owner-remove" | "recovery-key" | "recover" }>;

/** @returns the entry, or null when the statement is not one */
export function ownerChangeOf(message: OwnerMessage): OwnerEntry | null {
  if (message.type === "recover") return { type: "recover", signed: message.signed };
  const authority = { by: "owner", signed: message.signed } as const;
  switch (message.type) {
    case "owner-key": {
      const body = readOwnerKey(message.signed.statement)?.body;
      const role = body === undefined ? null : loggedRole(body);
      if (body === undefined || role === null) return null;
      const key = { credentialId: body.credentialId, key: body.key };
      return { type: "owner-add", key, authority, ...(role === undefined ? {} : { role }) };
    }
    case "owner-remove": {
      const body = readOwnerRemoval(message.signed.statement)?.body;
      return body === undefined ? null : { type: "owner-remove", credentialId: body.credentialId, authority };
    }
    case "recovery-key": {
      const body = readRecoveryKey(message.signed.statement)?.body;
      return body === undefined ? null : { type: "recovery-key", key: body.key, authority };
    }
  }
}
