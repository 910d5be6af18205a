/** What a grant must say, whoever asks: the room checks it, the connector checks it again by itself (PROTOCOL.md GR). */
import { APPLY_BY_OFFLINE_MS } from "../../protocol/limits.ts";
import type { OwnerRole } from "../../protocol/key-log.ts";
import type { GrantStatement, PersonRole } from "../../protocol/statements.ts";
import { EXPIRY_CHOICES_MS } from "../../protocol/words.ts";
import type { Access } from "../../protocol/words.ts";
import { deviceId } from "./digests.ts";
import { isSoundKey } from "./public-key.ts";

/** Clocks of three machines differ; nobody is refused for less. */
export const CLOCK_SKEW_MS = 10 * 60_000;

const RANK: Readonly<Record<Access, number>> = { look: 0, chat: 1, full: 2 };

/** @returns whether `granted` is no wider than `asked` */
export function isWithin(granted: Access, asked: Access): boolean {
  return RANK[granted] <= RANK[asked];
}

/**
 * Whether a grant stays below a ceiling: of the gateway's policy, or of the passkey that signed it (PROTOCOL.md KL4, KL10).
 *
 * @param ceiling highest access, and longest time from signing to end in milliseconds
 */
export function isBelow(
  statement: Pick<GrantStatement, "access" | "issuedAtMs" | "notAfterMs">,
  ceiling: { readonly maxAccess: Access; readonly maxExpiryMs: number },
): boolean {
  return isWithin(statement.access, ceiling.maxAccess) && statement.notAfterMs - statement.issuedAtMs <= ceiling.maxExpiryMs;
}

/** @returns whether a role gives nothing that the gateway's policy does not: an owner's ceiling is the policy itself */
export function isRoleBelow(role: PersonRole, policy: { readonly maxAccess: Access; readonly maxExpiryMs: number }): boolean {
  return role.kind !== "approver" || (isWithin(role.maxAccess, policy.maxAccess) && role.maxExpiryMs <= policy.maxExpiryMs);
}

/** A passkey's own ceiling: an owner's is the gateway's policy alone (PROTOCOL.md KL10). @returns whether its holder may sign this grant */
export function isWithinRole(
  role: OwnerRole | undefined,
  statement: Pick<GrantStatement, "access" | "issuedAtMs" | "notAfterMs">,
): boolean {
  return role?.kind !== "approver" || isBelow(statement, role);
}

export type GrantProblem = "wrong-gateway" | "wrong-device" | "wrong-kind" | "expired" | "too-late";

/**
 * Checks everything in a grant that needs no signature and no request.
 *
 * @param statement a body that passed its strict schema
 * @param expected the verifier's own gateway id and clock
 * @returns the problem, or null
 */
export async function grantProblem(
  statement: GrantStatement,
  expected: { readonly gateway: string; readonly nowMs: number },
): Promise<GrantProblem | null> {
  const { gateway, nowMs } = expected;
  if (statement.gateway !== gateway) return "wrong-gateway";
  if (!isSoundKey(statement.key) || statement.device !== (await deviceId(gateway, statement.key))) return "wrong-device";
  const isOwn = statement.kind === "owner";
  if (isOwn !== (statement.request === null) || isOwn !== (statement.activation !== null)) return "wrong-kind";
  if (statement.notAfterMs <= nowMs || statement.issuedAtMs > nowMs + CLOCK_SKEW_MS) return "expired";
  if (statement.notAfterMs > statement.issuedAtMs + EXPIRY_CHOICES_MS.quarter) return "expired";
  if (statement.applyByMs < nowMs || statement.applyByMs > statement.issuedAtMs + APPLY_BY_OFFLINE_MS) return "too-late";
  return null;
}
