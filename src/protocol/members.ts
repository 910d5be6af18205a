/** The HTTP API about a gateway's persons and invitations. Rules: PROTOCOL.md PE. */
import * as z from "zod";
import { ownerPolicySchema } from "./key-log.ts";
import {
  gatewayIdSchema,
  hashSchema,
  nameSchema,
  ownerKeySchema,
  personRoleSchema,
  rowIdSchema,
  signedByOwnerSchema,
} from "./statements.ts";

const ms = z.int();

/** POST /api/decisions/:gateway/invitations -> invitationMadeSchema. `name`: what the owner calls the person. */
export const inviteSchema = z.object({ name: nameSchema, role: personRoleSchema });
/** `code` is shown once; the page adds the link's second secret, which is never sent. */
export const invitationMadeSchema = z.object({ id: rowIdSchema, code: z.string(), expiresAtMs: ms });

const invitationSchema = z.object({ id: rowIdSchema, name: z.string(), role: personRoleSchema, createdAtMs: ms, expiresAtMs: ms });
const personSchema = z.object({
  /** The invitation's id. */
  id: rowIdSchema,
  name: z.string(),
  /** What the person's account calls itself. */
  accountName: z.string(),
  role: personRoleSchema,
  state: z.enum(["accepted", "confirmed"]),
  passkey: ownerKeySchema,
  /** HMAC over the passkey under the link's second secret (core/trust/invitation-proof.ts). */
  proof: hashSchema.nullable(),
  acceptedAtMs: ms,
  /** The gateway's machine refused the passkey after an owner had signed. */
  isRefused: z.boolean(),
});
export type Person = z.infer<typeof personSchema>;
/** GET /api/gateways/:gateway/persons and GET /api/decisions/:gateway/persons, for owners. */
export const personsViewSchema = z.object({
  gateway: gatewayIdSchema,
  gatewayName: z.string(),
  /** The account that claimed the gateway: what a confirmation names. */
  account: rowIdSchema,
  /** Hash of the key log's last entry; goes into a confirmation. */
  head: hashSchema.nullable(),
  policy: ownerPolicySchema,
  invitations: z.array(invitationSchema),
  persons: z.array(personSchema),
});
export type PersonsView = z.infer<typeof personsViewSchema>;

/** POST /api/auth/invitations/look -> invitationViewSchema, or `code-invalid`. */
export const invitationCodeSchema = z.object({ code: z.string().max(100) });
export const invitationViewSchema = z.object({
  gateway: gatewayIdSchema,
  gatewayName: z.string(),
  role: personRoleSchema,
  /** `already-here`: this account is one of the gateway's persons, or claimed it; the link is for somebody else. */
  state: z.enum(["open", "already-here", "accepted", "confirmed"]),
  /** The code is used up, by this account. */
  isHeld: z.boolean(),
});
export type InvitationView = z.infer<typeof invitationViewSchema>;
/** POST /api/auth/invitations/accept: names one passkey of the account, with its proof under the link's second secret. */
export const acceptSchema = z.object({ code: z.string().max(100), passkey: ownerKeySchema, proof: hashSchema.nullable() });

/** POST /api/decisions/:gateway/persons/:person/confirm -> personChangeSchema: ownerKeyStatement about the person. */
export const personConfirmSchema = z.object({ signed: signedByOwnerSchema });
/** POST …/:person/remove and POST /api/decisions/:gateway/leave -> personChangeSchema: ownerRemoveStatement; null where no passkey of the person counts. */
export const personEndSchema = z.object({ signed: signedByOwnerSchema.nullable() });
/** GET /api/decisions/:gateway/leave: what is about to be left. `credentialId` null: nothing to sign. */
export const leavingSchema = z.object({
  gatewayName: z.string(),
  account: rowIdSchema,
  credentialId: z.string().nullable(),
  /** False for the account that claimed the gateway. */
  mayLeave: z.boolean(),
});
export type Leaving = z.infer<typeof leavingSchema>;
/** `waiting`: the gateway's machine hears of it when it is back. */
export const personChangeSchema = z.object({ outcome: z.enum(["done", "waiting", "refused"]) });
export type PersonChange = z.infer<typeof personChangeSchema>;
