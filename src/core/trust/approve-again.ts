/**
 * Devices of a gateway whose machine was replaced: which of them an owner may approve again, and with what grant (PROTOCOL.md EN12, GR6).
 * No schema, so that a page can ship it.
 */
import { APPLY_BY_MS, APPLY_BY_OFFLINE_MS } from "../../protocol/limits.ts";
import { fromBase64url } from "../../protocol/statement-encoding.ts";
import type { GrantStatement, SignedByOwner } from "../../protocol/statements.ts";
import { ACCESS_LEVELS } from "../../protocol/words.ts";
import type { Access } from "../../protocol/words.ts";
import { verifySigned } from "./assertion.ts";
import type { SignerExpectation } from "./assertion.ts";
import { deviceId, grantId } from "./digests.ts";
import { isWithin } from "./grant-policy.ts";
import { isSoundKey } from "./public-key.ts";

/** A grant of the log before, with its id. */
export interface FormerGrant {
  readonly id: string;
  readonly statement: GrantStatement;
}

/** Highest access, and longest time in milliseconds, that the signer may give here. */
interface Ceiling {
  readonly maxAccess: Access;
  readonly maxExpiryMs: number;
}

/**
 * Whether a device was approved before by one of these passkeys: the room only says so, and could name a device of its own.
 *
 * @param signed the grant of the log before, as the room kept it
 * @param expected the gateway of the page's own address, the approval origin, the account's passkeys, and the page's clock
 * @returns the grant, or null for one that is not theirs, not of this gateway, or over
 */
export async function judgeFormer(
  signed: SignedByOwner,
  expected: SignerExpectation & { readonly gateway: string; readonly nowMs: number },
): Promise<FormerGrant | null> {
  const bytes = fromBase64url(signed.statement);
  if (bytes === null) return null;
  const { gateway, nowMs, ...signers } = expected;
  // From here on the bytes are what an own passkey signed, so the page of that day wrote them.
  if (typeof (await verifySigned(signed, { ...signers, type: "grant", body: bytes })) === "string") return null;
  const statement = JSON.parse(new TextDecoder().decode(bytes)) as GrantStatement;
  if (statement.gateway !== gateway || statement.notAfterMs <= nowMs || !ACCESS_LEVELS.includes(statement.access)) return null;
  if (!isSoundKey(statement.key) || statement.device !== (await deviceId(gateway, statement.key))) return null;
  return { id: await grantId(bytes), statement };
}

/**
 * The grant that lets such a device in again: the same key, no wider access, and no later end.
 *
 * @param terms hash of the new log's last entry, the signer's ceiling, and whether the gateway can apply it right away
 * @param nowMs the owner's clock
 */
export function againBody(
  { id, statement }: FormerGrant,
  terms: { readonly head: string | null; readonly ceiling: Ceiling; readonly isOnline: boolean },
  nowMs: number,
): GrantStatement {
  const { head, ceiling, isOnline } = terms;
  return {
    ...statement,
    access: isWithin(statement.access, ceiling.maxAccess) ? statement.access : ceiling.maxAccess,
    kind: "again",
    request: id,
    activation: null,
    head,
    issuedAtMs: nowMs,
    applyByMs: nowMs + (isOnline ? APPLY_BY_MS : APPLY_BY_OFFLINE_MS),
    notAfterMs: Math.min(statement.notAfterMs, nowMs + ceiling.maxExpiryMs),
  };
}

/** @returns whether a grant is about exactly this device's former one, no wider and no longer (PROTOCOL.md GR6) */
export function isAgainOf(
  body: GrantStatement,
  former: { readonly device: string; readonly grant: string; readonly access: Access; readonly notAfterMs: number },
): boolean {
  const isSame = body.kind === "again" && body.request === former.grant && body.device === former.device;
  return isSame && isWithin(body.access, former.access) && body.notAfterMs <= former.notAfterMs;
}
