/** The HTTP API of enrolment: bodies in both directions, for the page where the owner signs, for the dashboard, and for the connector. */
import * as z from "zod";
import { ownerPolicySchema } from "./key-log.ts";
import {
  connectorKeySchema,
  gatewayIdSchema,
  genesisDraftSchema,
  hashSchema,
  nameSchema,
  nonceSchema,
  rowIdSchema,
  signedByOwnerSchema,
} from "./statements.ts";

const machineSchema = z.object({ name: nameSchema, platform: z.string().max(60) });
/** In order; `failed` is final. `proposed`: the page fixed what it will sign. `signed`: the passkey signed, the machine has not confirmed. */
export const enrolmentStateSchema = z.enum(["open", "redeemed", "proposed", "revealed", "signed", "done", "failed", "expired"]);

// === the pages' side =====================================================================================

/** GET /api/enrolments/:id on the app origin: how far it is, for the dashboard. */
export const enrolmentProgressSchema = z.object({
  id: rowIdSchema,
  state: enrolmentStateSchema,
  gateway: gatewayIdSchema.nullable(),
  machine: z.object({ name: z.string(), platform: z.string() }).nullable(),
});
export type EnrolmentProgress = z.infer<typeof enrolmentProgressSchema>;

/** GET /api/enrolments/:id on the approval origin. */
export const enrolmentViewSchema = enrolmentProgressSchema.extend({
  gatewayName: z.string(),
  gatewayOrigin: z.string().nullable(),
  commitment: hashSchema.nullable(),
  connectorKey: connectorKeySchema.nullable(),
  /** From `revealed` on; the page checks it against the commitment. */
  connectorNonce: nonceSchema.nullable(),
});
export type EnrolmentView = z.infer<typeof enrolmentViewSchema>;
/** POST /api/enrolments/:id/claim { name }: claim link; gives the gateway its id, in this account. Single use. */
export const claimedSchema = z.object({ gateway: gatewayIdSchema, gatewayOrigin: z.string() });
/** POST /api/enrolments/:id/propose: everything that the passkey will sign, fixed before the connector opens its commitment. */
export const proposeSchema = z.object({ nonce: nonceSchema, draft: genesisDraftSchema });
/** POST /api/enrolments/:id/sign. `mac`: claim link only, HMAC-SHA-256 with the link's secret over the genesis. */
export const signGenesisSchema = z.object({ signed: signedByOwnerSchema, mac: hashSchema.optional() });

// === the connector's side (no account; `ticket` from redeem) ===============================================

/** POST /api/connector/redeem -> enrolmentStartedSchema */
export const redeemSchema = z.object({
  code: z.string().max(100),
  key: connectorKeySchema,
  commitment: hashSchema,
  machine: machineSchema,
  version: z.string().max(40),
});
/** POST /api/connector/claims -> enrolmentStartedSchema; the claim link is `<approval origin>/claim#<enrolment>.<secret>`; its secret never leaves the link. */
export const claimStartSchema = redeemSchema.omit({ code: true });
export const enrolmentStartedSchema = z.object({ enrolment: rowIdSchema, ticket: z.string().max(120), approveOrigin: z.string().max(300) });
/** POST /api/connector/poll { enrolment, ticket } -> connectorPollSchema; about once a second. */
export const ticketSchema = z.object({ enrolment: rowIdSchema, ticket: z.string().max(120) });
export const connectorPollSchema = z.object({
  state: enrolmentStateSchema,
  gatewayName: z.string().max(64),
  accountName: z.string().max(64),
  /** Both from `proposed` on. */
  pageNonce: nonceSchema.nullable(),
  draft: genesisDraftSchema.nullable(),
  /** Both from `signed` on. */
  signed: signedByOwnerSchema.nullable(),
  mac: hashSchema.nullable(),
  /** With `signed`, for a gateway that has a machine: its policy. The new log takes over what is narrower (PROTOCOL.md EN13). */
  formerPolicy: ownerPolicySchema.nullable(),
});
export type ConnectorPoll = z.infer<typeof connectorPollSchema>;
/** POST /api/connector/reveal: only after `proposed`. */
export const revealSchema = ticketSchema.extend({ connectorNonce: nonceSchema });
/** POST /api/connector/confirm. `signature`: by the connector's key over tagged("enrol", genesis); null: the words differ, nothing was pinned. */
export const confirmSchema = ticketSchema.extend({ signature: z.string().length(86).nullable() });
