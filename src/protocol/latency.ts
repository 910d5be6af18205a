/** What is said of the four hops. */
import * as z from "zod";
import { HOPS } from "./hop-names.ts";

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
