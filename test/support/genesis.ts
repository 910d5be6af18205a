/** A signed genesis without a ceremony: what an owner's passkey signs when it claims a machine. Runs in Node and in workerd. */
import { genesisBytes } from "../../src/core/trust/enrolment.ts";
import { toBase64url } from "../../src/protocol/statement-encoding.ts";
import type { ConnectorKey, GenesisStatement, OwnerKey, SignedByOwner } from "../../src/protocol/statements.ts";
import type { StatementType } from "../../src/protocol/statement-encoding.ts";

/** What signs: an authenticator of the tests or of the simulator. */
interface Signer {
  readonly ownerKey: OwnerKey;
  sign(type: StatementType, body: Uint8Array<ArrayBuffer>): Promise<SignedByOwner> | SignedByOwner;
}

export interface GenesisInput {
  readonly gateway: string;
  readonly account: string;
  readonly connectorKey: ConnectorKey;
  readonly approveOrigin: string;
  readonly appOrigin?: string;
  readonly gatewayOrigin?: string;
  readonly atMs?: number;
}

/** @param changes make it wrong in one way */
export function genesisStatement(owner: OwnerKey, input: GenesisInput, changes: Partial<GenesisStatement> = {}): GenesisStatement {
  const { gateway, account, connectorKey, approveOrigin, atMs = 1_800_000_000_000 } = input;
  const appOrigin = input.appOrigin ?? approveOrigin.replace("approve.", "");
  return {
    v: 1,
    gateway,
    gatewayOrigin: input.gatewayOrigin ?? appOrigin.replace("://", `://${gateway}.`),
    appOrigin,
    approveOrigin,
    rpId: new URL(approveOrigin).hostname,
    connectorKey,
    account,
    ownerKey: owner,
    ceremony: toBase64url(new Uint8Array(32).fill(3)),
    issuedAtMs: atMs,
    applyByMs: atMs + 60_000,
    ...changes,
  };
}

/** @returns the genesis that `signer` signs over itself */
export async function signedGenesis(signer: Signer, input: GenesisInput, changes: Partial<GenesisStatement> = {}): Promise<SignedByOwner> {
  return signer.sign("genesis", genesisBytes(genesisStatement(signer.ownerKey, input, changes)));
}
