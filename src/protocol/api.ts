/** The HTTP API of the app origin: bodies in both directions. Routes and OpenAPI come from these. Enrolment has a file of its own. */
import * as z from "zod";
import { blockedDevicesSchema } from "./blocks.ts";
import { grantRefusalSchema, pairingRequestSchema } from "./approval-api.ts";
import { proposalNoticeSchema } from "./proposals-api.ts";
import { lastBreakSchema } from "./door-messages.ts";
import { differencesSchema } from "./drift.ts";
import { hopViewSchema } from "./latency.ts";
import { settingsQuestionSchema } from "./link-local-acts.ts";
import { accessSchema, digestIdSchema, gatewayIdSchema, nameSchema, rowIdSchema } from "./statements.ts";
import { MAX_API_TOKEN_DAYS } from "./limits.ts";
import { KEY_LOG_ALARMS } from "./key-log.ts";
import { GATEWAY_STATES, MACHINE_FAULTS } from "./words.ts";

const ms = z.int();

// === session and account ========================================================================================

/** POST /api/session -> 204 with cookie. DELETE /api/session -> 204. */
export const sessionFromHandoffSchema = z.object({ code: z.string().max(120), verifier: z.string().min(43).max(128) });
/** GET /api/me -> { account, approveOrigin, version }; POST /api/invitations -> { code, url, expiresAtMs }; GET /api/config (no sign-in) -> { approveOrigin, version }. */
export const appMeSchema = z.object({
  account: z.object({ id: rowIdSchema, name: nameSchema }),
  approveOrigin: z.string(),
  version: z.string(),
});

// === gateways ======================================================================================================

export const deviceSchema = z.object({
  id: digestIdSchema,
  name: z.string(),
  platform: z.string(),
  browser: z.string(),
  access: accessSchema,
  state: z.enum(["waiting", "allowed", "approve-again", "suspended", "expired", "cut"]),
  kind: z.enum(["ask", "owner"]),
  createdAtMs: ms,
  lastSeenMs: ms.nullable(),
  notAfterMs: ms,
  connectedNow: z.boolean(),
});
export type Device = z.infer<typeof deviceSchema>;
export const gatewaySchema = z.object({
  id: gatewayIdSchema,
  name: nameSchema,
  origin: z.string(),
  state: z.enum(GATEWAY_STATES),
  reason: z.string().nullable(),
  /** OpenClaw's settings that wait for an owner's yes, for owners. */
  settings: settingsQuestionSchema.nullable(),
  openclawVersion: z.string().nullable(),
  connectorVersion: z.string().nullable(),
  demo: z.boolean(),
  /** How far its machine's clock is ahead of ours (negative: behind), when that matters. */
  clockAheadMs: z.int().nullable(),
  /** What is wrong with its machine while it goes on serving (PROTOCOL.md MA6, MA16). */
  machineFaults: z.array(z.enum(MACHINE_FAULTS)),
  /** Why the connector admits nobody new until somebody at its machine has looked (PROTOCOL.md KL6, AU3). */
  alarm: z.object({ kind: z.enum(KEY_LOG_ALARMS), atMs: ms }).nullable(),
  /** A copy of its machine with an older state was refused and nobody is linked: the owner may let it in; for owners. */
  copyWaiting: z.boolean(),
  lastSeenMs: ms.nullable(),
  /** Since when the machine is connected; null while it is not. */
  linkSinceMs: ms.nullable(),
  lastBreak: lastBreakSchema.nullable(),
  deviceCount: z.int(),
  waitingCount: z.int(),
  /** Persons who accepted an invitation and wait for an owner; 0 for everybody else. */
  personsWaiting: z.int(),
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
  /** Devices that may not ask; empty for whoever may not change that. */
  blocked: blockedDevicesSchema,
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
/** PATCH /api/gateways/:id/devices/:device { name }; POST …/unblock -> {}; POST …/block-for-good -> {}, for a blocked one. */
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
 * What every owner device hears of a grant (PROTOCOL.md NT). `granted`: was this you?
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
  state: z.enum(["granted", "refused", "lapsed"]),
  refusal: grantRefusalSchema.nullable(),
  /** Name of the person who signed, or of the passkey, when the account still knew it. */
  by: z.string().nullable(),
  /** More than one person answers for this gateway's grants, or another one gave it. Missing in rows from before there were persons. */
  isShared: z.boolean().optional(),
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
const inboxNoticeSchema = z.union([noticeSchema, budgetNoticeSchema, proposalNoticeSchema]);
/** Anything that the inbox says until it is answered. */
export type InboxNotice = z.infer<typeof inboxNoticeSchema>;
/** POST /api/gateways/:id/devices/:device/suspend -> suspendedSchema, with an API token or from the dashboard; POST …/resume -> {}, dashboard only. */
export const suspendedSchema = z.object({ socketsClosed: z.int() });
/** GET /api/tokens -> apiTokensSchema; POST /api/tokens { name, days } -> apiTokenMadeSchema; DELETE /api/tokens/:id. */
export const apiTokenSchema = z.object({ id: z.string(), name: nameSchema, createdAtMs: ms, expiresAtMs: ms, lastUsedAtMs: ms.nullable() });
export type ApiToken = z.infer<typeof apiTokenSchema>;
export const apiTokensSchema = z.object({ tokens: z.array(apiTokenSchema) });
export const apiTokenRequestSchema = z.object({ name: nameSchema, days: z.int().min(1).max(MAX_API_TOKEN_DAYS) });
/** `token`: shown this once. */
export const apiTokenMadeSchema = apiTokenSchema.extend({ token: z.string() });
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
