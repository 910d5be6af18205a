/** One more passkey of an account, and the yes of an earlier one that lets it decide for the gateways. */
import { toBase64url } from "../protocol/statement-encoding.ts";
import type { OwnerKey } from "../protocol/statements.ts";
import { call } from "./page.ts";
import { register, signAct } from "./passkey.ts";
import type { Me } from "./sign-in.ts";
import { TEXTS } from "./texts.ts";

/** One more than the highest so far: after a removal, two passkeys never carry the same name. */
function nextNumber(person: Me): number {
  const taken = person.passkeys.map((passkey) => Number(/ (\d+)$/.exec(passkey.name)?.[1] ?? 0));
  return Math.max(person.passkeys.length, ...taken) + 1;
}

/**
 * Registers a passkey on this device.
 *
 * @returns asks an earlier passkey for its yes; rejects when there is none at hand, and the new one then only signs in
 */
export async function addPasskey(person: Me): Promise<() => Promise<void>> {
  const userHandle = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
  const known = person.passkeys.map((passkey) => passkey.credentialId);
  const made = await register(person.account.name, userHandle, known);
  const passkeyName = TEXTS.newPasskey(nextNumber(person));
  const { credentialId, key } = await call<OwnerKey>("POST", "/api/auth/passkeys", { ...made, name: passkeyName });
  return async () => {
    const body = { v: 1, account: person.account.id, credentialId, key, issuedAtMs: Date.now() } as const;
    await call("POST", "/api/auth/passkeys/endorse", await signAct({ type: "owner-key", body, passkeyName }, known));
  };
}
