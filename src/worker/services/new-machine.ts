/** A machine becomes a gateway's connector: judges the signed genesis once more, makes the room, and writes what lists show. */
import { genesisBytes, genesisOf } from "../../core/trust/enrolment.ts";
import { judgeOwnGenesis } from "../../core/trust/genesis.ts";
import type { JudgedGenesis } from "../../core/trust/genesis.ts";
import type { Ceremony } from "../../core/trust/ceremony.ts";
import type { SignedByOwner } from "../../protocol/statements.ts";
import { ownRecoveryKey } from "../auth/recovery-key-seal.ts";
import { gatewayOf, gatewaysOf, insertGateway, saveConnector } from "../db/gateway-queries.ts";
import { readConfig } from "../config.ts";
import type { Env } from "../env.ts";
import { workerFailures } from "../failures.ts";
import { inboxOf, roomOf } from "../objects.ts";
import { ApiError } from "../respond.ts";

/**
 * @param nowMs when the signature is judged
 * @returns the genesis, if the ceremony's passkey signed exactly what the ceremony amounts to
 */
export async function judgeCeremony(ceremony: Ceremony, signed: SignedByOwner, nowMs: number): Promise<JudgedGenesis | null> {
  const { id: enrolment, draft, commitment, connectorNonce, pageNonce, gatewayName, accountName, machine } = ceremony;
  if (draft === null || commitment === null || connectorNonce === null || pageNonce === null || machine === null) return null;
  const names = { gatewayName, accountName, machineName: machine.name };
  const expected = await genesisOf(draft, { enrolment, commitment, connectorNonce, pageNonce, ...names });
  const judged = await judgeOwnGenesis(signed, genesisBytes(expected), nowMs);
  return typeof judged === "string" ? null : judged;
}

/**
 * Idempotent: the connector asks again when the answer was lost.
 *
 * @throws ApiError `not-found` when the room refuses, `too-many` when the account has too many gateways
 */
export async function connectMachine(env: Env, ceremony: Ceremony, judged: JudgedGenesis, signed: SignedByOwner): Promise<void> {
  const { account, gateway, connectorKey } = judged.statement;
  const nowMs = Date.now();
  if ((await gatewayOf(env.DB, account, gateway)) === null) {
    if ((await gatewaysOf(env.DB, account)).length >= readConfig(env).maxGateways) throw new ApiError("too-many");
    await insertGateway(env.DB, { id: gateway, accountId: account, name: ceremony.gatewayName, createdAtMs: nowMs, claimedAtMs: null });
  }
  const recovery = await ownRecoveryKey(env, account);
  const result = await roomOf(env, gateway).enrol({ account, gateway, name: ceremony.gatewayName, genesis: signed, recovery });
  if (!result.ok) throw new ApiError(result.failure);
  await saveConnector(env.DB, {
    gatewayId: gateway,
    publicKey: JSON.stringify(connectorKey),
    machine: ceremony.machine?.name ?? "",
    platform: ceremony.machine?.platform ?? "",
    enrolledAtMs: nowMs,
  });
  await inboxOf(env, account)
    .endEnrolment({ gateway })
    .catch((error: unknown) => workerFailures(env)("inbox", error));
}
