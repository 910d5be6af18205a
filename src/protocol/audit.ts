/** Entries of a gateway's audit chain, as the room keeps them, the connector anchors them and the owner exports them: one JSON object on a line. */
import * as z from "zod";
import { digestIdSchema, hashSchema } from "./statements.ts";

/** One fact: a number, a yes or no, or a short text without content, secrets or whole addresses. */
const factSchema = z.union([z.string().max(200), z.number(), z.boolean(), z.null()]);
export const auditDetailSchema = z.record(z.string().regex(/^[a-z][A-Za-z0-9]{0,39}$/), factSchema);
export type AuditDetail = z.infer<typeof auditDetailSchema>;

/** Member order is the byte form; members of `detail` stand in alphabetical order. PROTOCOL.md AU1. */
export const auditEntrySchema = z.strictObject({
  /** Counts from 0, without gaps. */
  seq: z.int().min(0),
  /** The room's clock; never earlier than the entry before. */
  atMs: z.int().min(0),
  actor: z.string().regex(/^[a-z-]{1,20}$/),
  action: z.string().regex(/^[a-z-]{1,60}$/),
  device: digestIdSchema.nullable(),
  detail: auditDetailSchema,
  /** `hash` of the entry before; in the first one what `auditStart` gives for the gateway. */
  prev: hashSchema,
  hash: hashSchema,
});
export type AuditEntry = z.infer<typeof auditEntrySchema>;

/** Names one state of a chain: the last entry's place and hash. */
export const auditHeadSchema = z.strictObject({ seq: z.int().min(0), hash: hashSchema });
export type AuditHead = z.infer<typeof auditHeadSchema>;
