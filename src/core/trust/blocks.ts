/** How long a block holds, and which of them a gateway keeps. Pure. */
import type { BlockedDevice } from "../../protocol/blocks.ts";
import { BLOCK_MS, MAX_BLOCKED_DEVICES } from "../../protocol/limits.ts";

/** @returns a block from now on, for 24 hours; one for good stays for good */
export function newBlock(device: Pick<BlockedDevice, "device" | "name">, before: BlockedDevice | null, nowMs: number): BlockedDevice {
  const { device: id, name } = device;
  return { device: id, name, sinceMs: nowMs, untilMs: before !== null && before.untilMs === null ? null : nowMs + BLOCK_MS };
}

/** Whether the device may not ask now. */
export function isInForce(block: BlockedDevice, nowMs: number): boolean {
  return block.untilMs === null || block.untilMs > nowMs;
}

/**
 * Which blocks make room for one more: those that are over, then the ones that end first; of those for good the oldest.
 *
 * @param blocks all that are kept
 * @returns the ones to forget, so that one more can be kept
 */
export function outOfPlace(blocks: readonly BlockedDevice[], nowMs: number): readonly BlockedDevice[] {
  const over = blocks.filter((block) => !isInForce(block, nowMs));
  const live = blocks.filter((block) => isInForce(block, nowMs));
  const end = ({ untilMs }: BlockedDevice): number => untilMs ?? Infinity;
  const order = live.toSorted((one, other) => (end(one) === end(other) ? one.sinceMs - other.sinceMs : end(one) - end(other)));
  return [...over, ...order.slice(0, Math.max(0, live.length + 1 - MAX_BLOCKED_DEVICES))];
}
