/** Passkeys of an account, and the signed words that let them decide for the gateways, or end that. */
import type { OwnerChangeAt, OwnersView } from "../protocol/approval-api.ts";
import { toBase64url } from "../protocol/statement-encoding.ts";
import type { OwnerKey } from "../protocol/statements.ts";
import { OWNER_TEXTS } from "./owner-texts.ts";
import { Told, call, patientCall, say } from "./page.ts";
import { isHere, registerKnown, signAct } from "./passkey.ts";
import type { Me } from "./me.ts";
import { TEXTS } from "./texts.ts";

/** One more than the highest so far: after a removal, two passkeys never carry the same name. */
function nextNumber(person: Me): number {
  const taken = person.passkeys.map((passkey) => Number(/ (\d+)$/.exec(passkey.name)?.[1] ?? 0));
  return Math.max(person.passkeys.length, ...taken) + 1;
}

export interface Added {
  readonly passkey: OwnerKey;
  /** Asks an earlier passkey for its yes; rejects when there is none at hand, and the new one then only signs in. */
  endorse(): Promise<readonly OwnerChangeAt[]>;
}

/** Registers a passkey on this device. */
export async function addPasskey(person: Me): Promise<Added> {
  const userHandle = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
  const known = person.passkeys.map((passkey) => passkey.credentialId);
  const { made, passkey } = await registerKnown(person.account.name, userHandle, known);
  const passkeyName = TEXTS.newPasskey(nextNumber(person));
  await call("POST", "/api/auth/passkeys", { ...made, name: passkeyName });
  return { passkey, endorse: () => endorse(person, passkey, { passkeyName, isNew: true }) };
}

/** @returns the account's other passkeys */
function others(person: Me, credentialId: string): string[] {
  return person.passkeys.map((each) => each.credentialId).filter((id) => id !== credentialId);
}

/** Another passkey's yes, for every gateway. @param passkey whose public key this page knows by itself */
async function endorse(
  person: Me,
  passkey: OwnerKey,
  called: { readonly passkeyName: string; readonly isNew: boolean },
): Promise<readonly OwnerChangeAt[]> {
  const { credentialId, key } = passkey;
  const body = { v: 1, account: person.account.id, credentialId, key, issuedAtMs: Date.now() } as const;
  const signed = await signAct({ type: "owner-key", body, ...called }, others(person, credentialId));
  return (await call<{ gateways: OwnerChangeAt[] }>("POST", "/api/auth/passkeys/endorse", signed)).gateways;
}

/** @throws Told when the passkey is not at hand with the key that the server names */
export async function mustBeHere(passkey: OwnerKey): Promise<OwnerKey> {
  say(OWNER_TEXTS.proveNew);
  if (!(await isHere(passkey))) throw new Told(OWNER_TEXTS.notThisKey);
  return { credentialId: passkey.credentialId, key: passkey.key };
}

/** Lets a passkey that the account has already decide: first itself, so that its key is known, then another one. */
export async function endorseExisting(person: Me, passkey: OwnerKey & { readonly name: string }): Promise<readonly OwnerChangeAt[]> {
  return endorse(person, await mustBeHere(passkey), { passkeyName: passkey.name, isNew: false });
}

/**
 * Takes a passkey out of the account and out of every gateway, signed by another one.
 *
 * @param passkeyName what the screen calls it
 */
export async function removePasskey(person: Me, credentialId: string, passkeyName: string): Promise<readonly OwnerChangeAt[]> {
  const body = { v: 1, account: person.account.id, credentialId, issuedAtMs: Date.now() } as const;
  const signed = await signAct({ type: "owner-remove", body, passkeyName }, others(person, credentialId));
  return (await call<{ gateways: OwnerChangeAt[] }>("POST", "/api/auth/passkeys/remove", signed)).gateways;
}

/** @returns whom each gateway trusts */
export function owners(): Promise<OwnersView> {
  return patientCall<OwnersView>("GET", "/api/auth/owners");
}
