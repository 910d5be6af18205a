/** Devices that may not ask at one gateway: as the dashboard and the gateway's machine list them. */
import * as z from "zod";
import { MAX_BLOCKED_DEVICES, MAX_CLAIM_CHARS } from "./limits.ts";
import { digestIdSchema } from "./statements.ts";

export const blockedDeviceSchema = z.object({
  device: digestIdSchema,
  /** What it called itself when it was blocked. */
  name: z.string().max(MAX_CLAIM_CHARS),
  sinceMs: z.int(),
  /** When it may ask again by itself; null: blocked for good. */
  untilMs: z.int().nullable(),
});
export type BlockedDevice = z.infer<typeof blockedDeviceSchema>;
export const blockedDevicesSchema = z.array(blockedDeviceSchema).max(MAX_BLOCKED_DEVICES);

/** Connector to room: the list, once `unblock` may ask again. Not owed: what finds no link is over. */
export const askBlockedSchema = z.object({
  type: z.literal("ask-blocked"),
  id: z.string().min(1).max(64),
  unblock: digestIdSchema.nullable(),
});
/** Room to connector: the answer. `wasBlocked`: whether the device that it unblocked was blocked. */
export const blockedMessageSchema = z.object({
  type: z.literal("blocked"),
  id: z.string().min(1).max(64),
  devices: blockedDevicesSchema,
  wasBlocked: z.boolean(),
});
export type BlockedMessage = z.infer<typeof blockedMessageSchema>;
