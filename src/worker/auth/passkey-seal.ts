/** Whose passkey a row is: sealed when it was registered, so that nobody who only writes to D1 makes or moves one. */
import { joined, toBase64url } from "../../protocol/statement-encoding.ts";
import { passkeyByCredential, passkeysOf } from "../db/account-queries.ts";
import type { Passkey } from "../db/account-queries.ts";
import { ownerKeySchema } from "../../protocol/statements.ts";
import type { OwnerKey } from "../../protocol/statements.ts";
import type { Env } from "../env.ts";
import { mac, signingKey, verifyingKeys } from "./mac-keys.ts";
import type { MacKey } from "./mac-keys.ts";
import { isSameText } from "./session-cookie.ts";

type Sealed = Pick<Passkey, "credentialId" | "accountId" | "coseKey" | "jwk">;

async function sealUnder(key: MacKey, row: Sealed): Promise<string> {
  return toBase64url(await mac(key, joined([row.credentialId, row.accountId, row.coseKey, row.jwk])));
}

/** @returns the row with its seal, as D1 keeps it */
export async function sealed<T extends Sealed>(env: Env, row: T): Promise<T & { readonly seal: string }> {
  return { ...row, seal: await sealUnder(await signingKey(env, "passkey-seal"), row) };
}

async function isSealed(env: Env, row: Passkey): Promise<boolean> {
  for (const key of await verifyingKeys(env, "passkey-seal")) if (isSameText(row.seal, await sealUnder(key, row))) return true;
  return false;
}

/** @returns the passkeys that were registered for this account, oldest first; rows without a sound seal are left out */
export async function ownPasskeys(env: Env, account: string): Promise<Passkey[]> {
  const rows = await passkeysOf(env.DB, account);
  const sound = await Promise.all(rows.map((row) => isSealed(env, row)));
  return rows.filter((_row, at) => sound[at]);
}

/** @returns the passkey, or null when there is none or its row was not sealed here */
export async function knownPasskey(env: Env, credentialId: string): Promise<Passkey | null> {
  const row = await passkeyByCredential(env.DB, credentialId);
  return row !== null && (await isSealed(env, row)) ? row : null;
}

/** @returns the account's own passkeys as owner statements name them */
export async function ownerKeysNow(env: Env, account: string): Promise<OwnerKey[]> {
  return (await ownPasskeys(env, account)).map((row) => ownerKeySchema.parse({ credentialId: row.credentialId, key: JSON.parse(row.jwk) }));
}
