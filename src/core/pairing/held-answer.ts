/** OpenClaw's `NOT_PAIRED` to a page whose key is approved meanwhile: when it is held, and what leaves in its place (PROTOCOL.md R18). */

/** The stock page comes back after exactly this long, the least that it takes (openclaw.md 2.2). */
const COME_BACK_MS = 100;

/** Close behind `comeBackAnswer`, as a gateway that starts closes. */
export const COME_BACK_CLOSE = { code: 1013, reason: "gateway starting" } as const;

/** What is known of the page that the gateway sent away. */
export interface Unpaired {
  /** It is the stock Control UI: other clients are not known to come back. */
  readonly isStockPage: boolean;
  /** Its key may be paired (PROTOCOL.md R8). */
  readonly mayPair: boolean;
  /** It is the one page that the session names, within the hand-over window, and was not sent away before. */
  readonly isHandover: boolean;
}

/** @returns whether its key is approved, and whether the gateway's answer waits for that */
export function judgeUnpaired({ isStockPage, mayPair, isHandover }: Unpaired): "refuse" | "approve" | "hold" {
  if (!mayPair) return "refuse";
  return isStockPage && isHandover ? "hold" : "approve";
}

/** @returns OpenClaw's own answer of a gateway that starts, to the `connect` with this id */
export function comeBackAnswer(connectId: string): string {
  const details = { reason: "startup-sidecars" };
  const error = { code: "UNAVAILABLE", message: COME_BACK_CLOSE.reason, retryable: true, retryAfterMs: COME_BACK_MS, details };
  return JSON.stringify({ type: "res", id: connectId, ok: false, error });
}
