/** Whose recovery key a row names: sealed when its statement was checked, so that nobody who only writes to D1 makes, moves or brings back one. */
import { joined, toBase64url } from "../../protocol/statement-encoding.ts";
import type { SignedByOwner } from "../../protocol/statements.ts";
import { recoveryKeyOf, saveRecoveryKey } from "../db/account-queries.ts";
import type { Env } from "../env.ts";
import { mac, signingKey, verifyingKeys } from "./mac-keys.ts";
import type { MacKey } from "./mac-keys.ts";
import { isSameText } from "./session-cookie.ts";

async function sealUnder(key: MacKey, account: string, { statement, list, assertion }: SignedByOwner): Promise<string> {
  return toBase64url(await mac(key, joined([account, statement, JSON.stringify(list), JSON.stringify(assertion)])));
}

/** The account's recovery key from here on; gateways that are added later are told it. @param signed checked by the caller */
export async function keepRecoveryKey(env: Env, account: string, signed: SignedByOwner, nowMs: number): Promise<void> {
  const seal = await sealUnder(await signingKey(env, "recovery-key-seal"), account, signed);
  await saveRecoveryKey(env.DB, account, signed, seal, nowMs);
}

/** @returns the statement that names the account's recovery key, or null when there is none or its row was not sealed here */
export async function ownRecoveryKey(env: Env, account: string): Promise<SignedByOwner | null> {
  const row = await recoveryKeyOf(env.DB, account);
  if (row === null) return null;
  for (const key of await verifyingKeys(env, "recovery-key-seal"))
    if (isSameText(row.seal, await sealUnder(key, account, row.signed))) return row.signed;
  return null;
}
