/** The HTTP API of the approval origin: bodies in both directions. Its routes come from these. */
import * as z from "zod";
import { claimsSchema } from "./door-messages.ts";
import { ownerRoleSchema } from "./key-log.ts";
import { localActOutcomeSchema, settingsQuestionSchema } from "./link-local-acts.ts";
import {
  accessSchema,
  base64urlSchema,
  deviceKeySchema,
  digestIdSchema,
  gatewayIdSchema,
  hashSchema,
  nameSchema,
  nonceSchema,
  passkeyKeySchema,
  recoveryKeySchema,
  rowIdSchema,
  signedByOwnerSchema,
  signedByRecoverySchema,
} from "./statements.ts";
import { MAX_SIGNED_TOGETHER } from "./limits.ts";
import { GATEWAY_STATES } from "./words.ts";

const ms = z.int();

// === /api/auth/* (cookie of the approval origin) ========================================================

/** POST /api/auth/nonce -> single-use server nonce; the page builds the challenge: SHA-256(tagged("login"|"register", nonce bytes)). */
export const nonceResponseSchema = z.object({
  nonce: nonceSchema,
  rpId: z.string(),
  signUp: z.enum(["open", "invite", "closed"]),
  appOrigin: z.string(),
});
/** RegistrationResponseJSON / AuthenticationResponseJSON of @simplewebauthn/browser; checked by its server half. */
const webauthnResponseSchema = z.looseObject({
  id: z.string().max(1400),
  rawId: z.string().max(1400),
  type: z.literal("public-key"),
  response: z.looseObject({}),
});
/** POST /api/auth/sign-up -> signedInSchema. `userHandle`: 32 random bytes from the page, base64url. */
export const signUpSchema = z.object({
  nonce: nonceSchema,
  name: nameSchema,
  userHandle: hashSchema,
  invitation: z.string().max(100).optional(),
  response: webauthnResponseSchema,
});
/** POST /api/auth/sign-in -> signedInSchema */
export const signInSchema = z.object({ nonce: nonceSchema, response: webauthnResponseSchema });
/** POST /api/auth/recover -> signedInSchema; uses one recovery code up. */
export const recoverSchema = z.object({ code: z.string().max(100) });
export const signedInSchema = z.object({
  account: z.object({ id: rowIdSchema, name: nameSchema }),
  /** Only after sign-up or renewal: shown once. */
  recoveryCodes: z.array(z.string()).optional(),
});
/** GET /api/auth/me -> meSchema or 401. */
export const passkeySchema = z.object({
  id: z.string(),
  name: z.string(),
  createdAtMs: ms,
  lastUsedAtMs: ms.nullable(),
  credentialId: z.string(),
  /** Public key: what the host command that trusts it needs. */
  key: passkeyKeySchema,
});
export const meSchema = z.object({
  account: z.object({ id: rowIdSchema, name: nameSchema }),
  passkeys: z.array(passkeySchema),
  recoveryCodesLeft: z.int(),
  appOrigin: z.string(),
});
/**
 * POST /api/auth/passkeys -> passkeySchema. `endorsement`: ownerKeyStatement signed by an older passkey; without it (after recovery) the new
 * passkey signs in but decides for no gateway until the gateway is claimed again.
 */
export const addPasskeySchema = z.object({ nonce: nonceSchema, name: nameSchema, response: webauthnResponseSchema });
/** How far a change of owners came at one gateway. `waiting`: its connector hears of it when it is back. `refused`: it does not trust the key that signed. */
export const ownerChangeSchema = z.object({ gateway: gatewayIdSchema, name: z.string(), outcome: z.enum(["done", "waiting", "refused"]) });
export type OwnerChangeAt = z.infer<typeof ownerChangeSchema>;
export const ownerChangesSchema = z.object({ gateways: z.array(ownerChangeSchema) });
/** POST /api/auth/passkeys/endorse -> ownerChangesSchema: ownerKeyStatement about the new passkey, signed by an older one. */
export const endorseSchema = signedByOwnerSchema;
/** POST /api/auth/passkeys/remove -> ownerChangesSchema: ownerRemoveStatement, signed by another passkey of the account; not the last one. */
export const removePasskeySchema = signedByOwnerSchema;
/** POST /api/auth/recovery-key -> ownerChangesSchema: recoveryKeyStatement, signed by a passkey of the account. */
export const recoveryKeyRequestSchema = signedByOwnerSchema;
/** POST /api/auth/recover-gateways -> ownerChangesSchema: recoverStatement about a passkey of the account, signed by the recovery key. */
export const recoverGatewaysSchema = signedByRecoverySchema;
/** GET /api/auth/owners: whom each gateway of the account trusts. */
export const ownersViewSchema = z.object({
  gateways: z.array(
    z.object({
      gateway: gatewayIdSchema,
      name: z.string(),
      /** Null while its room does not answer. */
      keys: z
        .array(
          z.object({
            credentialId: z.string(),
            state: z.enum(["trusted", "adding", "removing"]),
            role: ownerRoleSchema,
            /** Whose it is, when it came by an invitation to that gateway. */
            person: z.string().nullable(),
          }),
        )
        .nullable(),
      recovery: z.object({ key: recoveryKeySchema, state: z.enum(["trusted", "adding"]) }).nullable(),
    }),
  ),
  /** The account's recovery key, whatever the gateways know of it. */
  recoveryKey: recoveryKeySchema.nullable(),
});
export type OwnersView = z.infer<typeof ownersViewSchema>;
/** PATCH /api/auth/passkeys/:id { name } */
export const passkeyNameSchema = z.object({ name: nameSchema });
/** POST /api/auth/recovery-codes -> { recoveryCodes }; POST /api/auth/sign-out { everywhere }. */
export const signOutSchema = z.object({ everywhere: z.boolean() });
/** POST /api/auth/handoff -> { code }: signs the dashboard in. `challenge`: base64url SHA-256 of the dashboard tab's verifier (RFC 7636 S256). */
export const handoffRequestSchema = z.object({ challenge: hashSchema });
export const handoffResponseSchema = z.object({ code: z.string() });

// === /api/decisions/* =====================================================================================

export const observedSchema = z.object({
  /** Address as the edge saw it. */
  address: z.string(),
  /** ISO 3166 code when the edge knows it. */
  country: z.string().nullable(),
});
/** An approver's: highest access, and longest time in milliseconds. */
export const ceilingSchema = z.object({ maxAccess: accessSchema, maxExpiryMs: ms });
export type Ceiling = z.infer<typeof ceilingSchema>;
/** GET /api/decisions/:gateway/requests/:request */
export const pairingRequestSchema = z.object({
  id: digestIdSchema,
  gateway: gatewayIdSchema,
  gatewayName: z.string(),
  gatewayState: z.enum(GATEWAY_STATES),
  device: digestIdSchema,
  key: deviceKeySchema,
  /** Room's nonce: the approval page recomputes match code and request id from the key that it signs. */
  roomNonce: nonceSchema,
  requestedAccess: accessSchema,
  /** Hash of the key log's last entry; goes into the grant, so that a later cut makes it stale. */
  head: hashSchema.nullable(),
  /** What the asking person may give at most; null for an owner. */
  ceiling: ceilingSchema.nullable(),
  claims: claimsSchema,
  observed: observedSchema,
  createdAtMs: ms,
  lastSeenMs: ms,
  expiresAtMs: ms,
  triesLeft: z.int(),
});
export type PairingRequest = z.infer<typeof pairingRequestSchema>;
/** POST …/requests/:request/match -> { ok: true } or 409 match-code-wrong { triesLeft }. Counted in the room. */
export const matchSchema = z.object({ code: z.string().regex(/^\d{4}$/) });
/** POST …/requests/:request/allow -> decisionSchema. The match code is checked again in the same step. */
export const allowSchema = z.object({ code: z.string().regex(/^\d{4}$/), signed: signedByOwnerSchema });
/** POST …/requests/:request/deny -> decisionSchema */
export const denySchema = z.object({ block: z.boolean() });
/** POST /api/decisions/:gateway/owner -> decisionSchema: same-device grant with `activation`. GET …/owner -> { gatewayName, gatewayState, origin, head }. */
export const ownerGrantSchema = z.object({ signed: signedByOwnerSchema });
/** Why the gateway's machine did not take a grant, as far as an owner can do something about it. */
export const GRANT_REFUSALS = ["over-ceiling", "stale-head", "alarm", "unknown-owner-key", "other"] as const;
export const grantRefusalSchema = z.enum(GRANT_REFUSALS);
export type GrantRefusal = z.infer<typeof grantRefusalSchema>;
/**
 * `applied`: connector acknowledged. `waiting`: gateway away, applies on return.
 * `refused`: the connector said no, `refusal` says why.
 */
export const decisionSchema = z.object({
  outcome: z.enum(["applied", "waiting", "refused", "denied"]),
  device: digestIdSchema,
  refusal: grantRefusalSchema.optional(),
});

// === devices to approve again ===============================================================================

/** GET /api/decisions/:gateway/approve-again: devices that lost their access because another machine was connected. */
export const approveAgainViewSchema = z.object({
  gateway: gatewayIdSchema,
  gatewayName: z.string(),
  gatewayState: z.enum(GATEWAY_STATES),
  /** Hash of the new key log's last entry; null before the machine has told it. */
  head: hashSchema.nullable(),
  /** Passkeys whose signature counts there now, by credential id. */
  signers: z.array(z.string()),
  /** What the asking person may give at most. */
  ceiling: ceilingSchema,
  /** `name`: as the owner calls it. `former`: its grant of the log before, for the page to verify. */
  devices: z.array(z.object({ device: digestIdSchema, name: z.string(), lastSeenMs: ms.nullable(), former: signedByOwnerSchema })),
});
export type ApproveAgainView = z.infer<typeof approveAgainViewSchema>;
/** POST …/approve-again -> approvedAgainSchema: grants of kind `again` with the one list and assertion that cover them. */
export const approveAgainSchema = z.object({
  statements: z.array(base64urlSchema.min(1).max(5600)).min(1).max(MAX_SIGNED_TOGETHER),
  list: signedByOwnerSchema.shape.list,
  assertion: signedByOwnerSchema.shape.assertion,
});
const decidedAgainSchema = z.object({
  /** Null for a grant that is for none of these devices, is wider than the former one, or whose signature does not verify. */
  device: digestIdSchema.nullable(),
  outcome: z.enum(["applied", "waiting", "refused"]),
  refusal: grantRefusalSchema.optional(),
});
export type DecidedAgain = z.infer<typeof decidedAgainSchema>;
/** In the order of the statements. */
export const approvedAgainSchema = z.object({ results: z.array(decidedAgainSchema) });

// === acts on the gateway's machine ==========================================================================

/** GET /api/decisions/:gateway/local-acts: what a page needs to sign one. `head` null: the machine has not told its key log yet. */
export const localActsViewSchema = z.object({
  gateway: gatewayIdSchema,
  gatewayName: z.string(),
  gatewayState: z.enum(GATEWAY_STATES),
  head: hashSchema.nullable(),
  settings: settingsQuestionSchema.nullable(),
});
export type LocalActsView = z.infer<typeof localActsViewSchema>;
/** POST /api/decisions/:gateway/local-acts -> localActAnswerSchema: localActStatement, signed by an owner passkey. */
export const localActAskSchema = z.object({ signed: signedByOwnerSchema });
export const localActAnswerSchema = z.object({ outcome: localActOutcomeSchema });
export type LocalActAnswer = z.infer<typeof localActAnswerSchema>;
