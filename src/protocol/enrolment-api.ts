/** The HTTP API of enrolment: bodies in both directions, for the page that claims a gateway and for its connector. */
import * as z from "zod";
import { connectorKeySchema, gatewayIdSchema, hashSchema, nameSchema, nonceSchema, ownerKeySchema, rowIdSchema } from "./statements.ts";

const ms = z.int();

// === the page's side =====================================================================================

/** GET /api/enrolments/:id. States in order; `failed` is final. */
export const enrolmentViewSchema = z.object({
  id: rowIdSchema,
  state: z.enum(["open", "redeemed", "nonce-given", "revealed", "done", "failed", "expired"]),
  gateway: gatewayIdSchema.nullable(),
  machine: z.object({ name: z.string(), platform: z.string() }).nullable(),
  /** SHA-256(tagged("enrol", joined([key JSON, connectorNonce]))), from `redeemed` on. */
  commitment: hashSchema.nullable(),
  connectorKey: connectorKeySchema.nullable(),
  /** From `revealed` on; the page checks it against the commitment. */
  connectorNonce: nonceSchema.nullable(),
  ownerKeys: z.array(ownerKeySchema),
});
export type EnrolmentView = z.infer<typeof enrolmentViewSchema>;
/** POST /api/enrolments/:id/nonce: the page's nonce, drawn after it saw the commitment. `mac`: claim link only, HMAC-SHA-256 with the link's secret over the claim transcript. */
export const pageNonceSchema = z.object({ nonce: nonceSchema, mac: hashSchema.optional() });
/** POST /api/enrolments/:id/claim { name }: claim link; makes the gateway in this account. Single use. -> gatewaySchema */

// === the connector's side (no account; `ticket` from redeem) ===============================================

const machineSchema = z.object({ name: nameSchema, platform: z.string().max(60) });
/** POST /api/connector/redeem -> enrolmentStartedSchema */
export const redeemSchema = z.object({
  code: z.string().max(100),
  key: connectorKeySchema,
  commitment: hashSchema,
  machine: machineSchema,
  version: z.string().max(40),
});
/** POST /api/connector/claims -> enrolmentStartedSchema; the claim link is `<app origin>/claim#<enrolment>.<secret>` with a secret that never leaves the link. */
export const claimStartSchema = redeemSchema.omit({ code: true });
export const enrolmentStartedSchema = z.object({ enrolment: rowIdSchema, ticket: z.string(), expiresAtMs: ms });
/** POST /api/connector/poll { enrolment, ticket } -> connectorPollSchema; about once a second. */
export const ticketSchema = z.object({ enrolment: rowIdSchema, ticket: z.string().max(120) });
export const connectorPollSchema = z.object({
  state: enrolmentViewSchema.shape.state,
  gateway: gatewayIdSchema.nullable(),
  gatewayName: z.string().nullable(),
  origin: z.string().nullable(),
  approveOrigin: z.string(),
  account: rowIdSchema.nullable(),
  /** From `nonce-given` on. */
  pageNonce: nonceSchema.nullable(),
  mac: hashSchema.nullable(),
  ownerKeys: z.array(ownerKeySchema),
});
export type ConnectorPoll = z.infer<typeof connectorPollSchema>;
/** POST /api/connector/reveal: only after `nonce-given`. */
export const revealSchema = ticketSchema.extend({ connectorNonce: nonceSchema });
/** POST /api/connector/confirm: the person's answer in the terminal. `signature`: connector key over tagged("enrol", words transcript). */
export const confirmSchema = ticketSchema.extend({ matches: z.boolean(), signature: z.string().length(86) });
