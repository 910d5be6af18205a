/** What routes may ask of an enrolment ceremony (one object each, named by its id). Callers verify signatures before they call. */
import type { Ceremony, CeremonyRefusal } from "../../core/trust/ceremony.ts";
import type { GenesisDraft, SignedByOwner } from "../../protocol/statements.ts";

export type CeremonyResult<T = Ceremony> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: CeremonyRefusal; readonly ceremony: Ceremony | null };

/** MACs of a secret under every live key: any that fits is right. */
type Macs = readonly string[];

export interface EnrolmentRpc {
  /** Makes the ceremony. `conflict`: this name is in use. */
  open(
    input: Pick<
      Ceremony,
      | "id"
      | "codeMac"
      | "codeUntilMs"
      | "ticketMac"
      | "account"
      | "accountName"
      | "gateway"
      | "gatewayName"
      | "machine"
      | "connectorKey"
      | "commitment"
      | "expiresAtMs"
    >,
  ): Promise<CeremonyResult>;
  /** What is stored, or `not-found`; also once its time is over. */
  read(): Promise<CeremonyResult>;
  /** Connector: with the right code. `code-died`: this wrong try ended it. */
  redeem(input: { readonly codeMacs: Macs; readonly machine: Pick<Ceremony, "ticketMac" | "machine" | "connectorKey" | "commitment"> }): Promise<CeremonyResult>; // prettier-ignore
  claim(input: { readonly account: string; readonly accountName: string; readonly gateway: string; readonly gatewayName: string }): Promise<CeremonyResult>; // prettier-ignore
  propose(input: { readonly account: string; readonly pageNonce: string; readonly draft: GenesisDraft }): Promise<CeremonyResult>;
  sign(input: { readonly account: string; readonly signed: SignedByOwner; readonly mac: string | null }): Promise<CeremonyResult>;
  /** Connector's calls: `not-found` without the right ticket. */
  byTicket(input: { readonly ticketMacs: Macs }): Promise<CeremonyResult>;
  reveal(input: { readonly ticketMacs: Macs; readonly connectorNonce: string }): Promise<CeremonyResult>;
  confirm(input: { readonly ticketMacs: Macs }): Promise<CeremonyResult>;
  refuse(input: { readonly ticketMacs: Macs }): Promise<CeremonyResult>;
  /** A newer code took the place of this one's. Idempotent. */
  end(): Promise<void>;
}
