/** The recovery key: made here, shown once, typed in here when every passkey is lost. Its secret never leaves this page. */
import { RECOVERY_BYTES, readRecoveryText, recoverySeed, writeRecoveryText } from "../core/trust/recovery-text.ts";
import type { OwnerChangeAt } from "../protocol/approval-api.ts";
import { RECOVER_KEYS, encodeBody, tagged, toBase64url } from "../protocol/statement-encoding.ts";
import type { OwnerKey, RecoveryKey } from "../protocol/statements.ts";
import { OWNER_TEXTS } from "./owner-texts.ts";
import { Told, call } from "./page.ts";
import { signAct } from "./passkey.ts";
import type { Me } from "./me.ts";

/** PrivateKeyInfo of an Ed25519 seed (RFC 8410 §7), up to the seed. */
const PKCS8_HEAD = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

async function pairOf(secret: Uint8Array<ArrayBuffer>): Promise<{ readonly key: RecoveryKey; readonly privateKey: CryptoKey }> {
  const pkcs8 = Uint8Array.from([...PKCS8_HEAD, ...(await recoverySeed(secret))]);
  try {
    const privateKey = await crypto.subtle.importKey("pkcs8", pkcs8, { name: "Ed25519" }, true, ["sign"]);
    const { x = "" } = await crypto.subtle.exportKey("jwk", privateKey);
    return { key: { kty: "OKP", crv: "Ed25519", x }, privateKey };
  } catch {
    throw new Told(OWNER_TEXTS.noEd25519);
  }
}

/** @returns a new key's public half and what to write down; nothing is kept */
export async function newRecoveryKey(): Promise<{ readonly key: RecoveryKey; readonly text: string }> {
  const secret = crypto.getRandomValues(new Uint8Array(RECOVERY_BYTES));
  return { key: (await pairOf(secret)).key, text: await writeRecoveryText(secret) };
}

/** @throws Told when what was typed is no recovery key, before any passkey is asked for */
export async function mustBeWhole(typed: string): Promise<Uint8Array<ArrayBuffer>> {
  const secret = await readRecoveryText(typed);
  if (secret === null) throw new Told(OWNER_TEXTS.recoveryMistyped);
  return secret;
}

/** Pins a recovery key at every gateway, signed by a passkey. */
export async function pinRecoveryKey(person: Me, key: RecoveryKey): Promise<readonly OwnerChangeAt[]> {
  const body = { v: 1, account: person.account.id, key, issuedAtMs: Date.now() } as const;
  const signed = await signAct({ type: "recovery-key", body }, person.passkeys.map((each) => each.credentialId)); // prettier-ignore
  return (await call<{ gateways: OwnerChangeAt[] }>("POST", "/api/auth/recovery-key", signed)).gateways;
}

/**
 * The recovery key's word for a passkey, and against lost ones.
 *
 * @param typed what is on the paper
 * @param passkey whose public key this page knows by itself
 * @param lost credential ids
 */
export async function recoverWith(
  person: Me,
  typed: string,
  passkey: OwnerKey,
  lost: readonly string[],
): Promise<readonly OwnerChangeAt[]> {
  const { privateKey } = await pairOf(await mustBeWhole(typed));
  const { credentialId, key } = passkey;
  const body = encodeBody({ v: 1, account: person.account.id, credentialId, key, remove: lost, issuedAtMs: Date.now() }, RECOVER_KEYS);
  const signature = toBase64url(new Uint8Array(await crypto.subtle.sign("Ed25519", privateKey, tagged("recover", body))));
  const signed = { statement: toBase64url(body), signature };
  return (await call<{ gateways: OwnerChangeAt[] }>("POST", "/api/auth/recover-gateways", signed)).gateways;
}
