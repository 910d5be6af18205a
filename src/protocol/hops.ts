/** The four hops between a visitor's device and OpenClaw, in the order in which a request goes (PROTOCOL.md OB). Imports only zod. */
import { z } from "zod";

export const HOPS = ["device-edge", "edge-room", "room-connector", "connector-gateway"] as const;
export type Hop = (typeof HOPS)[number];

/** Middle of some round trips over one hop, milliseconds. */
export const hopMedianSchema = z.object({ medianMs: z.number().min(0).max(600_000), samples: z.int().min(1).max(1_000) });
export type HopMedian = z.infer<typeof hopMedianSchema>;

/** `broken`: nothing crosses there now. `unmeasured`: not known, because a hop before it is broken or nobody answered. */
export const hopViewSchema = z.object({
  hop: z.enum(HOPS),
  state: z.enum(["measured", "broken", "unmeasured"]),
  median: hopMedianSchema.nullable(),
});
export type HopView = z.infer<typeof hopViewSchema>;
