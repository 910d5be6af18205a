/**
 * Entries of a gateway's key log, as they stand on the connector's disk, travel to the room and are exported: one JSON object on a line.
 * All strict: an ignored member would be a silent widening. Rules: PROTOCOL.md KL.
 */
import * as z from "zod";
import {
  accessSchema,
  approverRoleKindSchema,
  base64urlSchema,
  connectorKeySchema,
  digestIdSchema,
  gatewayIdSchema,
  hashSchema,
  ownerKeySchema,
  ownerRoleKindSchema,
  recoveryKeySchema,
  signedByOwnerSchema,
  signedByRecoverySchema,
} from "./statements.ts";

const msSchema = z.int().min(0);
const signatureSchema = base64urlSchema.length(86);

/** What makes a connector stop admitting anybody new. `early-effect` is the room's own: the machine acts on what no owner approved in time. */
export const KEY_LOG_ALARMS = ["room-rolled-back", "log-rolled-back", "fork", "audit-rewound", "early-effect"] as const;
export type KeyLogAlarm = (typeof KEY_LOG_ALARMS)[number];

/** What only an owner may say. */
const byOwnerSchema = z.strictObject({ by: z.literal("owner"), signed: signedByOwnerSchema });

/** Whose word an entry rests on: the machine's own command line, or an owner passkey that the log holds. */
const authoritySchema = z.discriminatedUnion("by", [z.strictObject({ by: z.literal("host") }), byOwnerSchema]);

/** What remote approval may give at most. */
export const ownerPolicySchema = z.strictObject({
  maxAccess: accessSchema,
  maxExpiryMs: msSchema,
});
export type OwnerPolicy = z.infer<typeof ownerPolicySchema>;

/** What a pinned passkey may say. An approver grants, up to a ceiling of its own, and decides about no other key. */
export const ownerRoleSchema = z.discriminatedUnion("kind", [ownerRoleKindSchema, approverRoleKindSchema]);
export type OwnerRole = z.infer<typeof ownerRoleSchema>;

/** A widening that the machine asks for (PROTOCOL.md LP1). */
export const proposedChangeSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("policy"), policy: ownerPolicySchema }),
  z.strictObject({ kind: z.literal("owner-add"), key: ownerKeySchema, role: ownerRoleSchema }),
  z.strictObject({ kind: z.literal("owner-role"), credentialId: base64urlSchema.min(1).max(1400), role: ownerRoleSchema }),
  /** Admit new devices again, although this alarm was raised. */
  z.strictObject({ kind: z.literal("resume"), alarm: z.enum(KEY_LOG_ALARMS) }),
]);
export type ProposedChange = z.infer<typeof proposedChangeSchema>;

/** Signed by an owner passkey: this proposal takes effect now. `proposal` is the hash of its entry, `change` what the entry says. */
export const wideningStatementSchema = z.strictObject({
  v: z.literal(1),
  gateway: gatewayIdSchema,
  proposal: hashSchema,
  change: proposedChangeSchema,
  issuedAtMs: msSchema,
});
export type WideningStatement = z.infer<typeof wideningStatementSchema>;

export const keyLogBodySchema = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("genesis"),
    /** The genesis statement, signed by the first owner's passkey. */
    signed: signedByOwnerSchema,
  }),
  /** `role` is what the owner signed; without one the key is an owner's. */
  z.strictObject({ type: z.literal("owner-add"), key: ownerKeySchema, authority: byOwnerSchema, role: ownerRoleSchema.optional() }),
  z.strictObject({ type: z.literal("owner-remove"), credentialId: base64urlSchema.min(1).max(1400), authority: authoritySchema }),
  /** Said on the host, and only a smaller role. */
  z.strictObject({ type: z.literal("owner-role"), credentialId: base64urlSchema.min(1).max(1400), role: ownerRoleSchema }),
  /** Null takes it out, on the host only. */
  z.strictObject({ type: z.literal("recovery-key"), key: recoveryKeySchema.nullable(), authority: authoritySchema }),
  /** The recovery key's one word: an owner passkey comes, lost ones go. */
  z.strictObject({ type: z.literal("recover"), signed: signedByRecoverySchema }),
  z.strictObject({ type: z.literal("grant"), signed: signedByOwnerSchema }),
  /** The first session of a same-device grant brought its code. */
  z.strictObject({ type: z.literal("activate"), grant: digestIdSchema }),
  /** Only subtracts, so the relay may ask for it, too. */
  z.strictObject({ type: z.literal("revoke"), device: digestIdSchema, by: z.enum(["host", "relay"]) }),
  z.strictObject({ type: z.literal("revoke-all"), by: z.literal("host") }),
  /** Only a narrower one. */
  z.strictObject({ type: z.literal("policy"), policy: ownerPolicySchema }),
  /** The machine asks for a widening; the hash of this line names it. */
  z.strictObject({ type: z.literal("proposal"), change: proposedChangeSchema }),
  /** The room has said that it told the owners. */
  z.strictObject({ type: z.literal("noticed"), proposal: hashSchema }),
  z.strictObject({ type: z.literal("cancel"), proposal: hashSchema }),
  /** The widening is in force: by an owner's signature, or with null by time alone. */
  z.strictObject({ type: z.literal("effect"), proposal: hashSchema, signed: signedByOwnerSchema.nullable() }),
  /** A new connector key; the entry itself is signed by the old one, `proof` by the new one. */
  z.strictObject({ type: z.literal("rotate"), key: connectorKeySchema, proof: signatureSchema }),
]);
export type KeyLogBody = z.infer<typeof keyLogBodySchema>;

/** Member order is the byte form: `prev` is SHA-256 of the line before, null in genesis; `sig` covers the line without it. */
export const keyLogEntrySchema = z.strictObject({
  v: z.literal(1),
  gateway: gatewayIdSchema,
  seq: z.int().min(0),
  prev: hashSchema.nullable(),
  atMs: msSchema,
  body: keyLogBodySchema,
  sig: signatureSchema,
});
export type KeyLogEntry = z.infer<typeof keyLogEntrySchema>;

/** Names one state of a log: the last entry's place and the hash of its line. */
export const keyLogHeadSchema = z.strictObject({ seq: z.int().min(0), hash: hashSchema });
export type KeyLogHead = z.infer<typeof keyLogHeadSchema>;
