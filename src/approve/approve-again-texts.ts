/** What the page says about devices that must be approved again because another machine was connected. */
import type { DecidedAgain } from "../protocol/approval-api.ts";

export const APPROVE_AGAIN_TEXTS = {
  why: "Sign in to approve your devices again.",
  title: (gateway: string) => `Approve devices of “${gateway}” again`,
  text: "Another machine was connected to this gateway, and it does not know these devices yet. Untick what should stay out.",
  lastSeen: (when: string) => `Last seen ${when}.`,
  neverSeen: "Never seen yet.",
  rest: (count: number, left: number) => `One signature takes ${count} devices. ${left} more follow after it.`,
  unproven: "These were approved with a passkey that is not yours, or by nobody. Each has to ask again at its own door:",
  approve: (count: number) => (count === 1 ? "Approve 1 device" : `Approve ${count} devices`),
  none: "Tick the devices to approve first.",
  approving: "Approving …",
  more: "Go on with the next devices",
  back: "Back to the gateway",
  nothingTitle: "No device waits here",
  nothing: "Every device has been approved again, was cut, or has to ask again.",
  doneTitle: "Approved again",
  partTitle: "Not every device was approved",
  outcome: {
    applied: (name: string) => `${name}: approved. It comes in by itself.`,
    waiting: (name: string) => `${name}: approved. It comes in when the gateway is back.`,
    refused: (name: string, why: string) => `${name}: not approved. ${why}`,
  } satisfies Record<DecidedAgain["outcome"], (name: string, why: string) => string>,
} as const;
