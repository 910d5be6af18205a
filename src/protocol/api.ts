/** The HTTP API of the app origin and the approval origin: bodies in both directions. Routes and OpenAPI come from these. */
import { z } from "zod";
import { claimsSchema, lastBreakSchema } from "./door-messages.ts";
import { differencesSchema } from "./drift.ts";
import { hopViewSchema } from "./hops.ts";
import { ownerRoleSchema } from "./key-log.ts";
import {
  accessSchema,
  connectorKeySchema,
  deviceKeySchema,
  digestIdSchema,
  gatewayIdSchema,
  hashSchema,
  nameSchema,
  nonceSchema,
  ownerKeySchema,
  passkeyKeySchema,
  recoveryKeySchema,
  rowIdSchema,
  signedByOwnerSchema,
  signedByRecoverySchema,
} from "./statements.ts";
import { KEY_LOG_ALARMS } from "./key-log.ts";
import { GATEWAY_STATES } from "./words.ts";

const ms = z.int();

/** Every error body of the API. `message` is for people, in one sentence; `code` is stable. */
export const apiErrorSchema = z.object({
  error: z.object({ code: z.string(), message: z.string(), retryAfterSeconds: z.int().optional() }),
});
/** Closed set of `code`. `not-found` also stands for forbidden. */
export const API_ERRORS = [
  "bad-request", "too-large", "not-signed-in", "wrong-origin", "not-found", "conflict", "closed-for-sign-up", "code-invalid", "passkey-refused",
  "match-code-wrong", "request-over", "already-allowed", "already-denied", "grant-refused", "gateway-away", "too-many", "unavailable", "internal",
] as const; // prettier-ignore
export type ApiErrorCode = (typeof API_ERRORS)[number];

// === approval origin: /api/auth/* (cookie of the approval origin) ========================================================

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

// === approval origin: /api/decisions/* =====================================================================================

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
 * `applied`: connector acknowledged. `waiting`: gateway away, applies on return. `needs-host`: kept, and held back until somebody at the
 * gateway's machine agrees. `refused`: the connector said no, `refusal` says why.
 */
export const decisionSchema = z.object({
  outcome: z.enum(["applied", "waiting", "needs-host", "refused", "denied"]),
  device: digestIdSchema,
  refusal: grantRefusalSchema.optional(),
});

// === app origin: session and account ========================================================================================

/** POST /api/session -> 204 with cookie. DELETE /api/session -> 204. */
export const sessionFromHandoffSchema = z.object({ code: z.string().max(120), verifier: z.string().min(43).max(128) });
/** GET /api/me -> { account, approveOrigin, version }; POST /api/invitations -> { code, url, expiresAtMs }; GET /api/config (no sign-in) -> { approveOrigin, version }. */
export const appMeSchema = z.object({
  account: z.object({ id: rowIdSchema, name: nameSchema }),
  approveOrigin: z.string(),
  version: z.string(),
});

// === app origin: gateways ======================================================================================================

export const deviceSchema = z.object({
  id: digestIdSchema,
  name: z.string(),
  platform: z.string(),
  browser: z.string(),
  access: accessSchema,
  state: z.enum(["waiting", "allowed", "expired", "cut"]),
  kind: z.enum(["ask", "owner"]),
  createdAtMs: ms,
  lastSeenMs: ms.nullable(),
  notAfterMs: ms,
  connectedNow: z.boolean(),
  /** Allowed, but the policy asks for a word on the gateway's machine first. */
  needsHost: z.boolean(),
});
export type Device = z.infer<typeof deviceSchema>;
export const gatewaySchema = z.object({
  id: gatewayIdSchema,
  name: nameSchema,
  origin: z.string(),
  state: z.enum(GATEWAY_STATES),
  reason: z.string().nullable(),
  openclawVersion: z.string().nullable(),
  connectorVersion: z.string().nullable(),
  demo: z.boolean(),
  /** How far its machine's clock is ahead of ours (negative: behind), when that matters. */
  clockAheadMs: z.int().nullable(),
  /** Why the connector admits nobody new until somebody at its machine has looked (PROTOCOL.md KL6, AU3). */
  alarm: z.object({ kind: z.enum(KEY_LOG_ALARMS), atMs: ms }).nullable(),
  lastSeenMs: ms.nullable(),
  /** Since when the machine is connected; null while it is not. */
  linkSinceMs: ms.nullable(),
  lastBreak: lastBreakSchema.nullable(),
  deviceCount: z.int(),
  waitingCount: z.int(),
  createdAtMs: ms,
  /** What the asking person is here, and whether this account claimed the gateway. */
  role: z.enum(["owner", "approver", "viewer"]),
  isOwn: z.boolean(),
});
export type Gateway = z.infer<typeof gatewaySchema>;
/** GET /api/gateways -> { gateways }; GET /api/gateways/:id -> { gateway, devices }; PATCH { name }; DELETE. */
export const gatewayDetailSchema = z.object({
  gateway: gatewaySchema,
  devices: z.array(deviceSchema),
  /** What differs on the gateway itself, and when the connector last compared; null before it did. */
  drift: z.object({ atMs: ms, differences: differencesSchema }).nullable(),
});
/** POST /api/gateways/:id/differences/:entry { what }: `remove` takes the entry out of the gateway's list, `keep` says that it is fine as it is. */
export const differenceMendSchema = z.object({ what: z.enum(["remove", "keep"]) });
/** POST /api/gateways { name } -> gatewayCreatedSchema. POST /api/gateways/:id/enrolment -> the same, for a new machine. */
export const gatewayNameSchema = z.object({ name: nameSchema });
export const gatewayCreatedSchema = z.object({
  gateway: gatewaySchema,
  enrolment: rowIdSchema,
  code: z.string(),
  command: z.string(),
  expiresAtMs: ms,
});
/** POST /api/gateways/:id/hops -> hopsSchema: measures now (PROTOCOL.md OB1). */
export const hopsSchema = z.object({
  atMs: ms,
  state: z.enum(GATEWAY_STATES),
  /** Data centre that the caller came to, where the room lives: three letters, `local`, or null when the platform does not tell. */
  edge: z.string().nullable(),
  room: z.string().nullable(),
  linkSinceMs: ms.nullable(),
  connectorVersion: z.string().nullable(),
  openclawVersion: z.string().nullable(),
  /** In order. The first is the platform's own word on the caller's connection, where it has one; a page measures it itself. */
  hops: z.array(hopViewSchema),
});
export type Hops = z.infer<typeof hopsSchema>;
/** PATCH /api/gateways/:id/devices/:device { name } */
/** POST /api/gateways/:id/devices/:device/cut -> receiptSchema; GET …/cut -> the latest receipt (poll while `gateway` is pending). */
export const receiptSchema = z.object({
  device: digestIdSchema,
  cutAtMs: ms,
  edge: z.object({ socketsClosed: z.int(), tookMs: z.number() }),
  gateway: z.object({
    state: z.enum(["done", "pending", "superseded"]),
    entriesRemoved: z.int(),
    tookMs: z.number().nullable(),
    atMs: ms.nullable(),
    /** The connector's own streams of the device have ended and its disk denies it; null until it said so. */
    deniedAtMs: ms.nullable(),
    /** Why it is still pending: no link, no answer in time, the gateway behind the connector away, its machine's disk full, a receipt that does not verify. */
    why: z.enum(["no-link", "no-answer", "gateway-away", "not-written", "bad-receipt"]).nullable(),
  }),
  /** Who cut: the owner here, or the person at the gateway's machine. */
  by: z.enum(["owner", "host"]),
  /** The connector's signature is here and verified: the receipt can be exported. */
  isSigned: z.boolean(),
});
/** GET /api/gateways/:id/devices/:device/receipt.json -> receiptFileSchema (receipt.ts), as a download. */
export type Receipt = z.infer<typeof receiptSchema>;
/**
 * What every owner device hears of a grant (PROTOCOL.md NT). `granted`: was this you? `needs-host`: the same, and held back on the machine.
 * `refused`: the machine did not take it. `lapsed`: a same-device grant whose code never came.
 */
export const noticeSchema = z.object({
  /** Grant id. */
  id: digestIdSchema,
  gateway: gatewayIdSchema,
  gatewayName: z.string(),
  device: digestIdSchema,
  name: z.string(),
  access: accessSchema,
  kind: z.enum(["ask", "owner"]),
  state: z.enum(["granted", "needs-host", "refused", "lapsed"]),
  refusal: grantRefusalSchema.nullable(),
  /** Name of the passkey that signed, when the account still knew it. */
  by: z.string().nullable(),
  atMs: ms,
});
export type Notice = z.infer<typeof noticeSchema>;
/** The budget of a gateway is nearly or wholly used up (PROTOCOL.md BU); until the day ends or the owner has read it. */
export const budgetNoticeSchema = z.object({
  id: z.string(),
  gateway: gatewayIdSchema,
  gatewayName: z.string(),
  state: z.enum(["budget-warned", "budget-used-up"]),
  atMs: ms,
  untilMs: ms,
});
export type BudgetNotice = z.infer<typeof budgetNoticeSchema>;
const inboxNoticeSchema = z.union([noticeSchema, budgetNoticeSchema]);
/** Anything that the inbox says until it is answered. */
export type InboxNotice = z.infer<typeof inboxNoticeSchema>;
/** POST /api/gateways/:id/devices/:device/keep -> {}: the answer "it was me"; cutting the device is the other answer. */
export const waitingCardSchema = pairingRequestSchema.omit({ key: true, roomNonce: true, head: true, ceiling: true, triesLeft: true });
/** GET /api/requests, from the inbox. */
export const waitingSchema = z.object({ requests: z.array(waitingCardSchema), notices: z.array(inboxNoticeSchema) });
export type WaitingCard = z.infer<typeof waitingCardSchema>;
export const auditEventSchema = z.object({
  id: z.string(),
  atMs: ms,
  gateway: gatewayIdSchema.nullable(),
  gatewayName: z.string().nullable(),
  device: z.string().nullable(),
  actor: z.string(),
  action: z.string(),
  detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
});
export type AuditEvent = z.infer<typeof auditEventSchema>;
/** GET /api/activity?gateway=&before= -> newest first, 100 at most. `next`: give it as `before` for the page after this one; null at the end. */
export const activitySchema = z.object({ events: z.array(auditEventSchema), next: z.string().nullable() });
export type Activity = z.infer<typeof activitySchema>;

/** Messages of the WebSocket GET /api/inbox (server to page): the whole list at open, then changes. */
export const inboxMessageSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("list"), requests: z.array(waitingCardSchema), notices: z.array(inboxNoticeSchema) }),
  z.object({ type: z.literal("request"), request: waitingCardSchema }),
  z.object({ type: z.literal("request-gone"), gateway: gatewayIdSchema, request: digestIdSchema }),
  z.object({ type: z.literal("notice"), notice: inboxNoticeSchema }),
  z.object({ type: z.literal("notice-gone"), gateway: gatewayIdSchema, id: z.string() }),
  /** Something about this gateway changed (state, devices): fetch it again. */
  z.object({ type: z.literal("gateway"), gateway: gatewayIdSchema, state: z.enum(GATEWAY_STATES) }),
  z.object({ type: z.literal("enrolment"), enrolment: rowIdSchema }),
]);
export type InboxMessage = z.infer<typeof inboxMessageSchema>;

// === app origin: enrolment, the page's side =====================================================================================

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

// === app origin: enrolment, the connector's side (no account; `ticket` from redeem) ===============================================

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
