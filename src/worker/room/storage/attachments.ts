/** What a room keeps on each socket across hibernation; a socket whose attachment does not parse is closed, nothing else. */
import * as z from "zod";
import { brokenAt } from "../../../core/link/close-code.ts";
import { CLOSE_INTERNAL } from "../../../protocol/close-codes.ts";
import { gatewayReportSchema } from "../../../protocol/link-messages.ts";
import { accessSchema, digestIdSchema, nonceSchema } from "../../../protocol/statements.ts";

export const linkAttachmentSchema = z.object({
  kind: z.literal("link"),
  /** `hello`: not proven yet; `ready`: frames flow; `over`: ended by the room, its close is under way. */
  phase: z.enum(["hello", "ready", "over"]),
  nonce: nonceSchema,
  acceptedAtMs: z.int(),
  /** What per-address limits count by. */
  addressGroup: z.string(),
  generation: z.int(),
  /** The connector key that it was proven with; sockets from before rotations lack it. */
  key: z.string().optional(),
  version: z.string(),
  report: gatewayReportSchema.nullable(),
  /** The connector reads messages of several frames (PROTOCOL.md FR5). */
  batch: z.boolean().optional(),
  /** The connector's frames say their place, and it reads that of others (PROTOCOL.md FR6). */
  places: z.boolean().optional(),
  /** Upper 24 bits of the stream ids that the next instance may use (PROTOCOL.md FR4). */
  nextBlock: z.int(),
  /** Since when the connector knows that somebody waits or streams; null when nobody does. */
  busySinceMs: z.int().nullable(),
  /** What the room counted, kept here while it sleeps (core/measure/usage.ts). One that is spoilt costs the counts, never the link. */
  usage: z.array(z.number()).optional().catch(undefined),
});
export type LinkAttachment = z.infer<typeof linkAttachmentSchema>;

export const streamAttachmentSchema = z.object({
  kind: z.literal("stream"),
  stream: z.int(),
  /** Generation of the link that the stream is on: ids count from the start on each. */
  link: z.int().optional(),
  session: z.string(),
  device: digestIdSchema,
  access: accessSchema,
  expiresAtMs: z.int(),
  /** Memory holds part of a message: an instance that wakes without it must reset the stream (PROTOCOL.md ST6). */
  holding: z.boolean(),
  /** Place of the last frame sent, and received (null: not kept), and what a count that is lost begins anew with (PROTOCOL.md FR6). */
  order: z.tuple([z.int().nullable(), z.int().nullable(), z.int()]).optional(),
  /** When the device was cut and this socket's close was sent; it has not been answered yet. */
  cutAtMs: z.int().optional(),
});
export type StreamAttachment = z.infer<typeof streamAttachmentSchema>;

export const waitAttachmentSchema = z.object({
  kind: z.literal("wait"),
  nonce: nonceSchema,
  acceptedAtMs: z.int(),
  address: z.string(),
  country: z.string().nullable(),
  /** Set once the device proved its key. */
  device: digestIdSchema.nullable(),
  request: digestIdSchema.nullable(),
  /** Messages so far. */
  messages: z.int(),
});
export type WaitAttachment = z.infer<typeof waitAttachmentSchema>;

const endedAttachmentSchema = z.object({
  kind: z.literal("ended"),
  device: digestIdSchema,
  /** Names the session that has ended. */
  ended: z.string(),
  acceptedAtMs: z.int(),
});
export type EndedAttachment = z.infer<typeof endedAttachmentSchema>;

const attachmentSchema = z.discriminatedUnion("kind", [
  linkAttachmentSchema,
  streamAttachmentSchema,
  waitAttachmentSchema,
  endedAttachmentSchema,
]);
export type Attachment = z.infer<typeof attachmentSchema>;

/** @returns the socket's attachment, or null when it is not one of ours */
export function attachmentOf(ws: WebSocket): Attachment | null {
  const parsed = attachmentSchema.safeParse(ws.deserializeAttachment());
  return parsed.success ? parsed.data : null;
}

/** The connector's proven link, as an instance that wakes finds it. */
export interface ReadyLink {
  readonly ws: WebSocket;
  attachment: LinkAttachment;
}

/** @returns the link that was proven and not ended, also one that is closing: its close comes next, and then everybody is told; null: there is none */
export function readyLinkOf(ctx: DurableObjectState): ReadyLink | null {
  let ready: ReadyLink | null = null;
  for (const ws of ctx.getWebSockets("link")) {
    const attachment = attachmentOf(ws);
    if (attachment?.kind === "link" && attachment.phase === "ready") ready = { ws, attachment };
  }
  return ready;
}

/** Closes without ever throwing: the platform refuses some codes, long reasons and closed sockets. */
export function closeQuietly(ws: WebSocket, code = 1000, reason = ""): void {
  try {
    ws.close(code, reason);
  } catch {
    try {
      ws.close(1000);
    } catch {
      // Already gone.
    }
  }
}

/** The room failed in the middle of an event of this socket: ended by the name of its leg where it is a device's (PROTOCOL.md ST9). */
export function closeFailed(ws: WebSocket): void {
  const isStream = attachmentOf(ws)?.kind === "stream";
  closeQuietly(ws, CLOSE_INTERNAL, isStream ? brokenAt("device-room", "internal error") : "internal error");
}
