/** Node's own module, with the run's randomness. */
import { sim } from "../sim.ts";

export * from "node:crypto";

export function randomBytes(count: number): Buffer {
  return Buffer.from(sim.entropy.bytes(count));
}
