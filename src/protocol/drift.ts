/** Differences between a gateway's own pairing list and the grants, as the connector reports them and the dashboard shows them. */
import * as z from "zod";
import { MAX_DIFFERENCES } from "./limits.ts";
import { digestIdSchema } from "./statements.ts";

/** OpenClaw's id of a device: SHA-256 of its key, in hex (openclaw.md 3.8). */
export const openclawIdSchema = z.string().regex(/^[0-9a-f]{64}$/);

/**
 * `local`: paired on the gateway itself, by nobody's grant. `removed`: an allowed device that somebody removed on the gateway. `wider`: it holds
 * more there than Gatehouse ever approves. `auto`: the gateway let it in without asking. `left`: its access ended here, its entry is still there.
 */
export const DIFFERENCE_KINDS = ["local", "removed", "wider", "auto", "left"] as const;
export type DifferenceKind = (typeof DIFFERENCE_KINDS)[number];

const shortSchema = z.string().max(80);

export const differenceSchema = z.object({
  kind: z.enum(DIFFERENCE_KINDS),
  /** The entry on the gateway. */
  entry: openclawIdSchema,
  /** The allowed device that it belongs to; null when it belongs to none. */
  device: digestIdSchema.nullable(),
  /** What the gateway calls it. */
  name: shortSchema,
  platform: shortSchema,
  client: shortSchema,
  roles: z.array(shortSchema).max(10),
  scopes: z.array(shortSchema).max(30),
  /** How the gateway approved it, in its own word. */
  approvedVia: shortSchema,
  approvedAtMs: z.int().nullable(),
});
export type Difference = z.infer<typeof differenceSchema>;

export const differencesSchema = z.array(differenceSchema).max(MAX_DIFFERENCES);
