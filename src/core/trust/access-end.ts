/** Why a device that proved its key is not let in, and since when. Pure. */
import type { BlockedDevice } from "../../protocol/blocks.ts";
import type { AccessEnd } from "../../protocol/door-messages.ts";
import { isInForce } from "./blocks.ts";

/** What a room keeps of a device that bears on it. */
export interface DeviceFacts {
  readonly state: "waiting" | "allowed" | "approve-again" | "cut";
  readonly notAfterMs: number;
  /** Since when its access is over; absent while it is not. */
  readonly endedAtMs?: number;
  readonly suspendedAtMs?: number;
}

/**
 * @param device null: never let in here
 * @returns what keeps it out, or null: nothing does, or it is new
 */
export function accessEnd(device: DeviceFacts | null, block: BlockedDevice | null, nowMs: number): AccessEnd | null {
  if (block !== null && isInForce(block, nowMs)) return { why: "blocked", atMs: block.sinceMs, untilMs: block.untilMs };
  if (device === null) return null;
  const { state, endedAtMs, notAfterMs, suspendedAtMs } = device;
  if (state === "cut") return endedAtMs === undefined ? null : { why: "cut", atMs: endedAtMs, untilMs: null };
  if (notAfterMs <= nowMs) return { why: "expired", atMs: notAfterMs, untilMs: null };
  return suspendedAtMs === undefined ? null : { why: "paused", atMs: suspendedAtMs, untilMs: null };
}

/** Whether the device may ask to be let in again. */
export function mayAskAgain(end: AccessEnd | null): boolean {
  return end === null || end.why === "cut" || end.why === "expired";
}

/** @param at how a moment is written @returns what became of the device's access, in one sentence */
export function accessEndText({ why, atMs, untilMs }: AccessEnd, at: (ms: number) => string): string {
  switch (why) {
    case "cut":
      return `Your access was ended at ${at(atMs)}.`;
    case "expired":
      return `Your access expired at ${at(atMs)}.`;
    case "paused":
      return `Your access was paused at ${at(atMs)}. It goes on when the owner says so.`;
    case "blocked":
      return untilMs === null
        ? "The owner blocked this device from asking. Only the owner can change that."
        : `The owner blocked this device from asking until ${at(untilMs)}.`;
  }
}
