/** What the door page and the room say to each other, under /.gatehouse/ of a gateway's origin. */
import * as z from "zod";
import {
  accessSchema,
  deviceKeySchema,
  digestIdSchema,
  gatewayIdSchema,
  hashSchema,
  nonceSchema,
  signedByDeviceSchema,
} from "./statements.ts";
import { LEGS } from "./close-codes.ts";
import { MAX_CLAIM_CHARS } from "./limits.ts";
import { GATEWAY_STATES } from "./words.ts";

// --- POST /.gatehouse/api/challenge -------------------------------------------------------------------------------------

export const challengeRequestSchema = z.object({ key: deviceKeySchema });
/** Everything the door needs to decide what to show and to sign a session. */
export const challengeResponseSchema = z.object({
  gateway: gatewayIdSchema,
  gatewayName: z.string(),
  gatewayState: z.enum(GATEWAY_STATES),
  /** While it restarts: how long the gateway said that this takes, milliseconds. */
  restartExpectedMs: z.int().optional(),
  /** Server time when the gateway was last there: its machine while it has no link, else OpenClaw itself; null: never. */
  lastSeenMs: z.int().nullable(),
  approveOrigin: z.string(),
  serverTimeMs: z.int(),
  roomNonce: nonceSchema,
  /** Null while the gateway has no link: no session can open. */
  connector: z.object({ nonce: nonceSchema, key: hashSchema }).nullable(),
  device: digestIdSchema,
  /**
   * `blocked`: it may not ask, either; `standing` above says why to whoever proves the key. `approve-again`: another machine was connected, and the
   * owner has not approved this device there yet.
   */
  standing: z.enum(["unknown", "allowed", "decided", "approve-again", "blocked"]),
  /** For `allowed` and `decided` (signed, but the connector has not applied it yet). */
  grant: z.object({ id: digestIdSchema, access: accessSchema, notAfterMs: z.int() }).nullable(),
});
export type ChallengeResponse = z.infer<typeof challengeResponseSchema>;

// --- POST /.gatehouse/api/standing ---------------------------------------------------------------------------------------

/** Why a device that proved its key is not let in. `untilMs`: when that ends by itself; null: it does not. */
export const accessEndSchema = z.object({
  why: z.enum(["cut", "expired", "paused", "blocked"]),
  atMs: z.int(),
  untilMs: z.int().nullable(),
});
export type AccessEnd = z.infer<typeof accessEndSchema>;
/** `statement`: askStatementSchema bytes over the challenge's `roomNonce`; it asks nobody. */
export const standingRequestSchema = z.object({ signed: signedByDeviceSchema });
export const standingResponseSchema = z.object({ end: accessEndSchema.nullable() });
export type StandingResponse = z.infer<typeof standingResponseSchema>;

// --- POST /.gatehouse/api/session ----------------------------------------------------------------------------------------

/** The rotating device token travels in its cookie. `statement`: sessionStatementSchema bytes. Answer: `{ expiresAtMs, access }`. */
export const sessionRequestSchema = z.object({ signed: signedByDeviceSchema, activationCode: z.string().max(100).optional() });

/** Error codes of the door's JSON endpoints, in `{ "error": { "code", "message" } }`. */
export const DOOR_ERRORS = [
  "bad-request", "not-allowed", "gateway-away", "token-missing", "token-frozen", "clock", "refused-by-gateway", "too-many",
] as const; // prettier-ignore
export type DoorError = (typeof DOOR_ERRORS)[number];

// --- GET /.gatehouse/api/status ------------------------------------------------------------------------------------------

/** The last time that a stream broke, the link went or OpenClaw went away, and on which leg. Server time. */
export const lastBreakSchema = z.object({ leg: z.enum(LEGS), atMs: z.int() });
export type LastBreak = z.infer<typeof lastBreakSchema>;
/** For devices with a session; anybody else is answered as at an address where nothing is. */
export const statusResponseSchema = challengeResponseSchema
  .pick({ gatewayName: true, gatewayState: true, restartExpectedMs: true, lastSeenMs: true, serverTimeMs: true })
  .extend({ linkSinceMs: z.int().nullable(), lastBreak: lastBreakSchema.nullable() });
export type StatusResponse = z.infer<typeof statusResponseSchema>;

// --- WebSocket /.gatehouse/wait --------------------------------------------------------------------------------------------

/** What the device says of itself; shown as claims, never believed. */
export const claimsSchema = z.object({
  name: z.string().max(MAX_CLAIM_CHARS),
  platform: z.string().max(MAX_CLAIM_CHARS),
  browser: z.string().max(MAX_CLAIM_CHARS),
});
export type Claims = z.infer<typeof claimsSchema>;

/** Door to room. Text `gatehouse-ping` is answered `gatehouse-pong` without waking the room. */
export const fromDoorSchema = z.discriminatedUnion("type", [
  /** `statement`: askStatementSchema bytes over the nonce of `hello`. A key that asks again takes up its request. */
  z.object({ type: z.literal("ask"), signed: signedByDeviceSchema, claims: claimsSchema }),
  /** The person gave up. */
  z.object({ type: z.literal("withdraw") }),
]);
export type FromDoor = z.infer<typeof fromDoorSchema>;

/** Room to door. */
export const toDoorSchema = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("hello"),
    roomNonce: nonceSchema,
    gatewayState: z.enum(GATEWAY_STATES),
    restartExpectedMs: z.int().optional(),
  }),
  /** Again when `ownerSeen` becomes true: the owner has the request on the screen. */
  z.object({ type: z.literal("waiting"), request: digestIdSchema, matchCode: z.string().regex(/^\d{4}$/), ownerSeen: z.boolean() }),
  z.object({ type: z.literal("gateway"), state: z.enum(GATEWAY_STATES), restartExpectedMs: z.int().optional() }),
  /** Signed; `live`: the connector has applied it and a session can open now. `opening`: the answer to the challenge that the page would ask for next. */
  z.object({
    type: z.literal("allowed"),
    live: z.boolean(),
    opening: challengeResponseSchema.optional(),
  }),
  /** `end`: what keeps the device out; null: somebody denied this request. */
  z.object({ type: z.literal("refused"), end: accessEndSchema.nullable() }),
  z.object({
    type: z.literal("ended"),
    why: z.enum(["expired", "wrong-code", "replaced", "withdrawn", "grant-refused", "over-ceiling", "stale-head", "alarm"]),
  }),
  /** Which limit was met: waiting devices of this network, of the gateway, or requests within an hour. */
  z.object({ type: z.literal("busy"), limit: z.enum(["address", "gateway", "hour"]) }),
  z.object({ type: z.literal("error"), code: z.enum(DOOR_ERRORS) }),
]);
export type ToDoor = z.infer<typeof toDoorSchema>;
