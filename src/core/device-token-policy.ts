/** What a device token is worth at a renewal (PROTOCOL.md TK; reference: security.md 10). */
import { TOKEN_OVERLAP_MS } from "../protocol/limits.ts";

/** State of one device's tokens; MACs only, never the tokens. */
export interface TokenState {
  /** MAC of the newest token. */
  readonly current: string;
  readonly previous: string | null;
  /** Whether the newest one has ever been shown: then the one before is void. */
  readonly isCurrentUsed: boolean;
  readonly rotatedAtMs: number;
  readonly isFrozen: boolean;
}

export type TokenVerdict =
  /** Rotate: the presented token's successor becomes current. */
  | { readonly verdict: "rotate" }
  /** The reply with the successor was lost: give the same successor again. */
  | { readonly verdict: "repeat" }
  /** Both the old and the new one were used: one of them is a copy. */
  | { readonly verdict: "freeze" }
  | { readonly verdict: "refuse" };

/**
 * @param presented MAC of what the device showed
 * @param state null before the first session of a grant: then no token is asked for, and the caller issues the first
 */
export function judgeToken(presented: string, state: TokenState, nowMs: number): TokenVerdict {
  if (state.isFrozen) return { verdict: "refuse" };
  if (presented === state.current) return { verdict: "rotate" };
  if (presented !== state.previous) return { verdict: "refuse" };
  if (state.isCurrentUsed) return { verdict: "freeze" };
  return nowMs - state.rotatedAtMs <= TOKEN_OVERLAP_MS ? { verdict: "repeat" } : { verdict: "refuse" };
}

/** @returns the state after `presented` was rotated into `successor`. Showing the current token makes the one before it void. */
export function rotated(presented: string, successor: string, nowMs: number): TokenState {
  return { current: successor, previous: presented, isCurrentUsed: false, rotatedAtMs: nowMs, isFrozen: false };
}
