/** Control messages on the link: JSON text, one object with `type`. Unknown members are dropped, unknown types counted and ignored. */
import * as z from "zod";
import { auditHeadSchema } from "./audit.ts";
import { askBlockedSchema, blockedMessageSchema } from "./blocks.ts";
import { KEY_LOG_ALARMS, keyLogHeadSchema } from "./key-log.ts";
import { differencesSchema, openclawIdSchema } from "./drift.ts";
import { hopMedianSchema } from "./latency.ts";
import { localActDoneSchema, localActMessageSchema, settingsQuestionSchema } from "./link-local-acts.ts";
import {
  MAX_ANSWER_HEADER_COUNT,
  MAX_AUDIT_DIGESTS,
  MAX_BUILD_CHARS,
  MAX_KEY_LOG_LINE_CHARS,
  MAX_ROTATIONS_SHOWN,
  MAX_ROTATION_LINE_CHARS,
} from "./limits.ts";
import { signedReceiptSchema } from "./receipt.ts";
import {
  connectorKeySchema,
  digestIdSchema,
  gatewayIdSchema,
  hashSchema,
  nonceSchema,
  signedByDeviceSchema,
  signedByOwnerSchema,
  signedByRecoverySchema,
} from "./statements.ts";
import { accessSchema } from "./statements.ts";
import { MACHINE_FAULTS } from "./words.ts";

/** Correlates a command of the room with the connector's result. */
const idSchema = z.string().min(1).max(64);
/** Three letters of a data centre, or `local`. */
export const placeSchema = z.string().regex(/^(?:[A-Z]{3}|local)$/);

// --- room to connector ---------------------------------------------------------------------------------------------------

/** First message on the socket. */
export const linkChallengeSchema = z.object({
  type: z.literal("challenge"),
  nonce: nonceSchema,
  minProtocol: z.int(),
  maxProtocol: z.int(),
});
/** The connector proved its key; from here on frames flow. `generation` must be on disk before `ack`. */
export const linkWelcomeSchema = z.object({
  type: z.literal("welcome"),
  gateway: gatewayIdSchema,
  /** Exact origin of this gateway. */
  origin: z.string(),
  /** Exact origin that owner assertions must name, and its host. */
  approveOrigin: z.string(),
  rpId: z.string(),
  generation: z.int(),
  serverTimeMs: z.int(),
  /** Last entry of the key log that the room has a copy of; null: none. Since version 2. */
  head: keyLogHeadSchema.nullable().optional(),
  /** The room reads messages of several frames (PROTOCOL.md FR5). */
  batch: z.boolean().optional(),
  /** This room cuts a piece to what credit it has, when CREDIT says so (PROTOCOL.md CR12). */
  split: z.boolean().optional(),
  /** The room's frames say their place, and it reads that of others (PROTOCOL.md FR6). */
  places: z.boolean().optional(),
});
/** Asks for a fresh nonce of the connector, to go into a session statement. */
export const nonceRequestSchema = z.object({ type: z.literal("nonce-request"), id: idSchema });
/** Opens a session; the connector answers `result`. */
export const sessionOpenSchema = z.object({
  type: z.literal("session"),
  id: idSchema,
  /** Random id that streams will cite; 22 base64url digits. */
  session: z.string().min(20).max(64),
  signed: signedByDeviceSchema,
  /** Same-device way only: the plain activation code. */
  activationCode: z.string().max(100).optional(),
});
/** A signed grant to verify, keep and answer with `result`. */
export const grantMessageSchema = z.object({ type: z.literal("grant"), id: idSchema, grant: digestIdSchema, signed: signedByOwnerSchema });
/** Removes a device. Only subtracts, so it needs no signature. */
export const cutMessageSchema = z.object({
  type: z.literal("cut"),
  id: idSchema,
  device: digestIdSchema,
  cutAtMs: z.int(),
  /** Names this cut: sent again, it gets the same receipt. A connector that knows it signs one. */
  cut: digestIdSchema.optional(),
  /** Place of the cut in the room's audit chain; goes into the receipt. */
  audit: auditHeadSchema.optional(),
});
/** The room has the signed receipt of this cut on disk: it need not be sent again. */
export const receiptAckSchema = z.object({ type: z.literal("receipt-ack"), cut: digestIdSchema });
/** Takes one entry out of the gateway's own pairing list: only one that this connector named as a difference. Only subtracts. */
export const removeEntrySchema = z.object({ type: z.literal("remove-entry"), id: idSchema, entry: openclawIdSchema });
/** One more owner passkey, endorsed by a pinned one. */
export const ownerKeyMessageSchema = z.object({ type: z.literal("owner-key"), id: idSchema, signed: signedByOwnerSchema });
/** Takes one owner passkey out, signed by another one. Since version 2. */
export const ownerRemoveMessageSchema = z.object({ type: z.literal("owner-remove"), id: idSchema, signed: signedByOwnerSchema });
/** The account's recovery key, signed by an owner passkey. A connector that does not know it leaves it unanswered, and it stays owed. */
export const recoveryKeyMessageSchema = z.object({ type: z.literal("recovery-key"), id: idSchema, signed: signedByOwnerSchema });
/** An owner passkey comes and lost ones go, signed by the recovery key. */
export const recoverMessageSchema = z.object({ type: z.literal("recover"), id: idSchema, signed: signedByRecoverySchema });
/**
 * How a widening of the machine stands (PROTOCOL.md LP): the owners were told, an owner signed it, an owner said no, or time is over. `signed` comes with
 * the step of that name.
 */
export const proposalMessageSchema = z.object({
  type: z.literal("proposal"),
  id: idSchema,
  proposal: hashSchema,
  step: z.enum(["noticed", "signed", "cancel", "due"]),
  signed: signedByOwnerSchema.optional(),
});
/** The room's copy of the key log now ends here. Since version 2. */
export const logAckSchema = z.object({ type: z.literal("log-ack"), head: keyLogHeadSchema });
/**
 * The audit chain's head, with the digests of the entries after place `from`, which lead from the anchored head to it (PROTOCOL.md AU3). Only to
 * a connector that said `audit-anchor` on this link. Since version 2.
 */
export const auditHeadMessageSchema = z.object({
  type: z.literal("audit-head"),
  from: z.int().min(0).nullable(),
  digests: z.array(hashSchema).max(MAX_AUDIT_DIGESTS),
  head: auditHeadSchema,
});
/** Whether a device waits at the door or a stream is open: the connector then beats every HEARTBEAT_BUSY_MS. */
export const attentionSchema = z.object({ type: z.literal("attention"), busy: z.boolean() });
/** The owner measures: the connector times a few round trips to the room and to the gateway, and answers `probed` (PROTOCOL.md OB1). */
export const probeSchema = z.object({ type: z.literal("probe"), id: idSchema });
/** What the owner's last measuring found out on the room's side, for `gatehouse doctor`. */
export const hopsToldSchema = z.object({
  type: z.literal("hops"),
  edgeRoom: hopMedianSchema,
  /** Data centre of the room, `local`, or null when the platform does not tell. */
  place: placeSchema.nullable(),
  atMs: z.int(),
});

export const toConnectorSchema = z.discriminatedUnion("type", [
  linkChallengeSchema, linkWelcomeSchema, nonceRequestSchema, sessionOpenSchema, grantMessageSchema, cutMessageSchema, ownerKeyMessageSchema, ownerRemoveMessageSchema, recoveryKeyMessageSchema, recoverMessageSchema, proposalMessageSchema, logAckSchema, attentionSchema, auditHeadMessageSchema, receiptAckSchema, removeEntrySchema, probeSchema, hopsToldSchema, localActMessageSchema, blockedMessageSchema,
]); // prettier-ignore
export type ToConnector = z.infer<typeof toConnectorSchema>;

// --- connector to room ---------------------------------------------------------------------------------------------------

/** A word of a closed set that only a later version knows: read as the general one, so that the link lives on (PROTOCOL.md FR3). */
const laterWord = z.string().regex(/^[a-z]{1,20}(?:-[a-z]{1,20}){0,5}$/);

const machineFaultsSchema = z
  .array(z.enum(MACHINE_FAULTS).or(laterWord.transform(() => null)))
  .max(8)
  .transform((faults) => faults.filter((fault) => fault !== null));

/** What the connector knows about the OpenClaw gateway. */
export const gatewayReportSchema = z.object({
  state: z.enum(["offline", "starting", "restarting", "needs-settings", "unsafe", "online"]),
  version: z.string().max(40).optional(),
  /** Closed set of reasons for people; texts live in the pages. */
  reason: z
    .enum([
      "not-running",
      "too-old",
      "auth-failed",
      "no-secret",
      "settings-missing",
      "stranger-admitted",
      "settings-refused",
      "auth-mode",
      "way-in-refused",
      "not-local",
      "settings-not-taken",
      "connector-copied",
    ])
    .or(laterWord.transform(() => undefined))
    .optional(),
  /** For `needs-settings`: what waits for a yes. */
  settings: settingsQuestionSchema.optional(),
  /** For `restarting`: what the gateway announced. */
  restartExpectedMs: z.int().optional(),
  demo: z.boolean().optional(),
  /** How far this machine's clock is ahead of the room's (negative: behind), said when it is more than CLOCK_WARN_MS. */
  clockAheadMs: z.int().optional(),
  /** What is wrong with the machine while it goes on serving (PROTOCOL.md MA6, MA16). */
  machine: machineFaultsSchema.optional(),
  /** Names the build of the pages that it serves, while it serves the ones it came with; without it nothing is kept at the edge (EC2). */
  build: z.string().min(1).max(MAX_BUILD_CHARS).optional(),
});
export type GatewayReport = z.infer<typeof gatewayReportSchema>;

/**
 * Answer to `challenge`. `signature`: Ed25519 over tagged("link", joined([gateway, nonce, connectorNonce, String(generation), String(protocol)])),
 * since version 2 followed by String(head.seq) and head.hash.
 */
export const linkHelloSchema = z.object({
  type: z.literal("hello"),
  protocol: z.int(),
  version: z.string().max(40),
  gateway: gatewayIdSchema,
  key: connectorKeySchema,
  connectorNonce: nonceSchema,
  generation: z.int().min(0),
  signature: z.string().length(86),
  report: gatewayReportSchema,
  /** Last entry of the connector's key log. Since version 2. */
  head: keyLogHeadSchema.optional(),
  /** `rotate` entries of that log, oldest first: how a room that knows an older key gets to `key` (PROTOCOL.md LINK8). */
  rotations: z.array(z.string().max(MAX_ROTATION_LINE_CHARS)).max(MAX_ROTATIONS_SHOWN).optional(),
  /** The connector reads messages of several frames (PROTOCOL.md FR5). */
  batch: z.boolean().optional(),
  /** The connector's frames say their place, and it reads that of others (PROTOCOL.md FR6). */
  places: z.boolean().optional(),
});
/** The generation of `welcome` is on disk. */
export const linkAckSchema = z.object({ type: z.literal("ack"), generation: z.int() });
export const reportSchema = z.object({ type: z.literal("report"), report: gatewayReportSchema });
export const nonceSchemaMessage = z.object({ type: z.literal("nonce"), id: idSchema, nonce: nonceSchema, connectorKey: hashSchema });

/** Why the connector refused a command. */
export const REFUSALS = [
  "bad-statement", "bad-signature", "wrong-gateway", "unknown-owner-key", "expired", "too-late", "unknown-grant", "revoked", "bad-nonce", "bad-activation", "not-serving",
  "over-ceiling", "stale-head", "alarm", "last-owner-key", "too-early", "internal", "no-difference",
] as const; // prettier-ignore
export type Refusal = (typeof REFUSALS)[number];

export const resultSchema = z.object({
  type: z.literal("result"),
  id: idSchema,
  ok: z.boolean(),
  refusal: z
    .enum(REFUSALS)
    .or(laterWord.transform((): Refusal => "bad-statement"))
    .optional(),
  /** For `grant`: what the device's first session may begin with, as `nonce` answers, so that nobody has to ask. */
  first: z.object({ nonce: nonceSchema, connectorKey: hashSchema }).optional(),
  /** For `cut`: what happened on the gateway. */
  cut: z
    .object({
      streamsClosed: z.int(),
      /** OpenClaw device entries removed together with their tokens. */
      removed: z.int(),
      /** False while the gateway is away: the connector finishes when it is back and then sends `cut-done`. */
      done: z.boolean(),
      /** Connector's clock. */
      atMs: z.int(),
      /** Removal took this long on the gateway. */
      tookMs: z.number().optional(),
      /** What the connector signs about it, once it is done. */
      receipt: signedReceiptSchema.optional(),
    })
    .optional(),
});
export type LinkResult = z.infer<typeof resultSchema>;
/** A cut that had to wait for the gateway, or one made on the host by `gatehouse cut`. */
export const cutDoneSchema = z.object({
  type: z.literal("cut-done"),
  device: digestIdSchema,
  removed: z.int(),
  atMs: z.int(),
  by: z.enum(["owner", "host"]),
  /** Sent again at every link until `receipt-ack`. */
  receipt: signedReceiptSchema.optional(),
  /** Made on the host: the grant that it ended. A later grant of the same device stays. */
  grant: digestIdSchema.nullable().optional(),
});
/** What differs between the gateway's own pairing list and the grants; the whole picture each time. */
export const driftSchema = z.object({ type: z.literal("drift"), atMs: z.int(), differences: differencesSchema });
/** Entries of the key log that the room lacks, in order. Since version 2. */
export const logMessageSchema = z.object({ type: z.literal("log"), lines: z.array(z.string().max(MAX_KEY_LOG_LINE_CHARS)).min(1).max(64) });
/** The new key of the `rotate` entry at place `seq` is the one on disk now: the one before it is gone (PROTOCOL.md LINK8). Since version 2. */
export const rotatedMessageSchema = z.object({ type: z.literal("rotated"), seq: z.int().min(1) });
/** The connector admits nobody new until somebody at the machine has looked. Since version 2. */
export const alarmMessageSchema = z.object({ type: z.literal("alarm"), alarm: z.enum(KEY_LOG_ALARMS), atMs: z.int() });
/** No alarm stands: there was none, or the person at the machine has settled it. After `ack`, and when it is settled. Since version 2. */
export const alarmOverSchema = z.object({ type: z.literal("alarm-over") });
/** The newest head of the audit chain that this connector has on disk; null: none. After `ack`, and after every head that it took. Since version 2. */
export const auditAnchorSchema = z.object({ type: z.literal("audit-anchor"), head: auditHeadSchema.nullable() });
/** OpenClaw's own pairing for an allowed device: seen, finished, connected. For activity and the bench. */
export const deviceEventSchema = z.object({
  type: z.literal("device"),
  device: digestIdSchema,
  event: z.enum(["paired", "connected", "pairing-refused"]),
  atMs: z.int(),
  /** Scopes in the gateway's hello-ok. */
  scopes: z.array(z.string().max(60)).max(30).optional(),
});

/** Answer to `probe`. A hop that could not be measured is null. */
export const probedSchema = z.object({
  type: z.literal("probed"),
  id: idSchema,
  roomConnector: hopMedianSchema.nullable(),
  connectorGateway: hopMedianSchema.nullable(),
});

export const toRoomSchema = z.discriminatedUnion("type", [
  linkHelloSchema,
  linkAckSchema,
  reportSchema,
  nonceSchemaMessage,
  resultSchema,
  cutDoneSchema,
  deviceEventSchema,
  logMessageSchema,
  alarmMessageSchema,
  alarmOverSchema,
  auditAnchorSchema,
  driftSchema,
  rotatedMessageSchema,
  probedSchema,
  localActDoneSchema,
  askBlockedSchema,
]);
export type ToRoom = z.infer<typeof toRoomSchema>;

// --- inside frames ---------------------------------------------------------------------------------------------------------

const headersSchema = z.array(z.tuple([z.string().max(200), z.string().max(32_768)])).max(120);

/** Payload of OPEN (room to connector). Headers are already filtered by the room; the connector filters again and sets its own. */
export const openSchema = z.object({
  kind: z.enum(["ws", "http"]),
  method: z.string().max(20),
  /** Path and query as the visitor sent them. */
  path: z.string().max(8192),
  headers: headersSchema,
  session: z.string().min(20).max(64),
  device: digestIdSchema,
  access: accessSchema,
  /** One public address as the edge saw it; never loopback. */
  clientIp: z.string().max(45),
  /** Host header of the gateway origin, with port where there is one. */
  host: z.string().max(300),
  hasBody: z.boolean(),
  /** Upgrades only: the door's one-time cookie, where the visitor has one. */
  once: z.string().max(100).exactOptional(),
});
export type StreamOpen = z.infer<typeof openSchema>;

const answerHeadersSchema = z.array(z.tuple([z.string(), z.string()])).max(MAX_ANSWER_HEADER_COUNT);

/** Payload of OPENED (connector to room), bounded by its frame. 101 for an accepted WebSocket; any other status is an HTTP answer, with a body to follow. */
export const openedSchema = z.object({ status: z.int().min(101).max(599), headers: answerHeadersSchema });
export type StreamOpened = z.infer<typeof openedSchema>;
