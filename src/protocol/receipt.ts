/** What a connector signs about a cut, as it is stored and exported. Strict: an ignored member would be a claim that nobody checks. */
import * as z from "zod";
import { auditHeadSchema } from "./audit.ts";
import { keyLogHeadSchema } from "./key-log.ts";
import { openclawIdSchema } from "./drift.ts";
import { MAX_RECEIPT_ENTRIES } from "./limits.ts";
import { base64urlSchema, connectorKeySchema, digestIdSchema, gatewayIdSchema, hashSchema } from "./statements.ts";

const msSchema = z.int().min(0);

/** Member order is the byte form (RECEIPT_KEYS). Times are the connector's, except `cutAtMs`. */
export const receiptStatementSchema = z.strictObject({
  v: z.literal(1),
  gateway: gatewayIdSchema,
  device: digestIdSchema,
  /** The last grant that this machine held for the device; null when it held none. */
  grant: digestIdSchema.nullable(),
  /** Names the cut. */
  cut: digestIdSchema,
  by: z.enum(["owner", "host"]),
  /** When the room committed it, by the room's clock; null for a cut made on the host. */
  cutAtMs: msSchema.nullable(),
  /** Place of the cut in the room's audit chain, as the room said. */
  audit: auditHeadSchema.nullable(),
  /** The revocation is on this machine's disk and the device's streams have ended. */
  deniedAtMs: msSchema,
  /** The gateway's own entries of the device are gone, and their tokens with them. */
  removedAtMs: msSchema,
  streamsClosed: z.int().min(0),
  /** Entries taken out of the gateway's pairing list, and such that were not there any more. */
  removed: z.int().min(0),
  absent: z.int().min(0),
  /** Their OpenClaw ids, the first sixteen. */
  entries: z.array(openclawIdSchema).max(MAX_RECEIPT_ENTRIES),
  /** Hash of the key log's genesis: which log this belongs to. */
  log: hashSchema,
  /** The entry of that log which revoked the device. */
  head: keyLogHeadSchema,
});
export type ReceiptStatement = z.infer<typeof receiptStatementSchema>;

/** Exact body bytes (base64url) with the connector key's signature over tag || bytes. */
export const signedReceiptSchema = z.strictObject({ statement: base64urlSchema.max(5600), signature: base64urlSchema.length(86) });
export type SignedReceipt = z.infer<typeof signedReceiptSchema>;

/** A receipt as the owner exports it. `room` is the relay's own word: nobody signs it but the audit chain, at the place that the statement names. */
export const receiptFileSchema = z.strictObject({
  gatehouse: z.literal("receipt"),
  v: z.literal(1),
  statement: signedReceiptSchema.shape.statement,
  signature: signedReceiptSchema.shape.signature,
  /** The key that verifies it; only a key log says whose key that is. */
  connectorKey: connectorKeySchema,
  room: z.strictObject({ socketsClosed: z.int().min(0), tookMs: z.number().min(0) }),
});
export type ReceiptFile = z.infer<typeof receiptFileSchema>;
