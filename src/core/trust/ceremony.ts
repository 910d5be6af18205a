/** The state of one enrolment ceremony, step by step. Pure: the Durable Object keeps it, and each step happens once. */
import * as z from "zod";
import { ENROLMENT_CODE_TRIES } from "../../protocol/limits.ts";
import {
  connectorKeySchema,
  gatewayIdSchema,
  genesisDraftSchema,
  hashSchema,
  nonceSchema,
  rowIdSchema,
  signedByOwnerSchema,
} from "../../protocol/statements.ts";

/** The stored document. `null` members are filled by later steps. MACs are base64url; secrets themselves are never stored. */
export const ceremonySchema = z.object({
  id: rowIdSchema,
  state: z.enum(["open", "redeemed", "proposed", "revealed", "signed", "done", "failed"]),
  /** MAC of the enrolment code; null for a claim link. */
  codeMac: z.string().nullable(),
  /** Until when the code may be redeemed; the ceremony itself may last longer. */
  codeUntilMs: z.int(),
  wrongCodes: z.int(),
  /** MAC of the connector's ticket. */
  ticketMac: z.string().nullable(),
  account: rowIdSchema.nullable(),
  accountName: z.string(),
  gateway: gatewayIdSchema.nullable(),
  gatewayName: z.string(),
  machine: z.object({ name: z.string(), platform: z.string() }).nullable(),
  connectorKey: connectorKeySchema.nullable(),
  commitment: hashSchema.nullable(),
  pageNonce: nonceSchema.nullable(),
  draft: genesisDraftSchema.nullable(),
  connectorNonce: nonceSchema.nullable(),
  signed: signedByOwnerSchema.nullable(),
  /** HMAC by a claim link's secret over the genesis. */
  mac: hashSchema.nullable(),
  expiresAtMs: z.int(),
});
export type Ceremony = z.infer<typeof ceremonySchema>;

/** What moves a ceremony. Signatures, MACs and the commitment are verified before the event is made. */
export type CeremonyEvent =
  | {
      readonly type: "redeem";
      readonly isCodeRight: boolean;
      readonly machine: Pick<Ceremony, "ticketMac" | "machine" | "connectorKey" | "commitment">;
    }
  | { readonly type: "claim"; readonly owner: { readonly account: string; readonly accountName: string; readonly gateway: string; readonly gatewayName: string } } // prettier-ignore
  | { readonly type: "propose"; readonly account: string; readonly pageNonce: string; readonly draft: NonNullable<Ceremony["draft"]> }
  | { readonly type: "reveal"; readonly connectorNonce: string }
  | { readonly type: "sign"; readonly account: string; readonly signed: NonNullable<Ceremony["signed"]>; readonly mac: string | null }
  | { readonly type: "confirm" }
  | { readonly type: "refuse" };

export type CeremonyRefusal = "not-found" | "code-invalid" | "code-died" | "conflict";
export type CeremonyStep =
  | { readonly ok: true; readonly ceremony: Ceremony }
  | { readonly ok: false; readonly refusal: CeremonyRefusal; readonly ceremony: Ceremony };

/** @returns what is left of a ceremony's time as a state: an unfinished one that is over shows as `expired` */
export function shownState(ceremony: Ceremony, nowMs: number): Ceremony["state"] | "expired" {
  const isFinal = ceremony.state === "done" || ceremony.state === "failed";
  return !isFinal && ceremony.expiresAtMs <= nowMs ? "expired" : ceremony.state;
}

/**
 * @param nowMs the object's clock
 * @returns the ceremony after the step; a refused step changes nothing, except that wrong codes are counted
 */
export function stepCeremony(before: Ceremony, event: CeremonyEvent, nowMs: number): CeremonyStep {
  const refuse = (refusal: CeremonyRefusal, ceremony = before): CeremonyStep => ({ ok: false, refusal, ceremony });
  const become = (change: Partial<Ceremony>): CeremonyStep => ({ ok: true, ceremony: { ...before, ...change } });
  const isOver = shownState(before, nowMs) === "expired" || before.state === "failed";
  switch (event.type) {
    case "redeem": {
      if (isOver || before.state !== "open" || before.codeMac === null || before.codeUntilMs <= nowMs) return refuse("code-invalid");
      if (event.isCodeRight) return become({ state: "redeemed", ...event.machine });
      const wrongCodes = before.wrongCodes + 1;
      return wrongCodes < ENROLMENT_CODE_TRIES
        ? refuse("code-invalid", { ...before, wrongCodes })
        : refuse("code-died", { ...before, wrongCodes, state: "failed" });
    }
    case "claim":
      // A code's ceremony belongs to an account from the start.
      if (isOver || before.state !== "open" || before.codeMac !== null) return refuse("code-invalid");
      return become({ state: "redeemed", ...event.owner });
    case "propose": {
      if (before.account !== event.account) return refuse("not-found");
      if (isOver || before.state !== "redeemed") return refuse("conflict");
      const { draft, pageNonce } = event;
      const isOurs =
        draft.account === before.account && draft.gateway === before.gateway && draft.connectorKey.x === before.connectorKey?.x;
      return isOurs ? become({ state: "proposed", draft, pageNonce }) : refuse("conflict");
    }
    case "reveal":
      return isOver || before.state !== "proposed"
        ? refuse("conflict")
        : become({ state: "revealed", connectorNonce: event.connectorNonce });
    case "sign":
      if (before.account !== event.account) return refuse("not-found");
      if (isOver || before.state !== "revealed") return refuse("conflict");
      return become({ state: "signed", signed: event.signed, mac: event.mac });
    case "confirm":
      // A connector whose answer was lost asks again.
      if (before.state === "done") return become({});
      return isOver || before.state !== "signed" ? refuse("conflict") : become({ state: "done" });
    case "refuse":
      return before.state === "done" ? refuse("conflict") : become({ state: "failed" });
  }
}
