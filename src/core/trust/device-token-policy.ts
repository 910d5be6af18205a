/** What a device token is worth at a renewal (PROTOCOL.md TK; reference: security.md 10). */
import { TOKEN_OVERLAP_MS } from "../../protocol/limits.ts";

/** State of one device's tokens; MACs only, never the tokens. */
export interface TokenState {
  /** MAC of the newest token. */
  readonly current: string;
  /** The one before: good until the newest is shown, for a reply that got lost. */
  readonly previous: string | null;
  /** Older ones that this device once showed, newest first: whoever shows one now holds a copy. */
  readonly spent: readonly string[];
  readonly rotatedAtMs: number;
  readonly isFrozen: boolean;
}

export type TokenVerdict =
  /** Rotate: the presented token's successor becomes current. */
  | { readonly verdict: "rotate" }
  /** The reply with the successor was lost: give the same successor again. */
  | { readonly verdict: "repeat" }
  /** Its successor was shown already: one of the two is a copy. */
  | { readonly verdict: "freeze" }
  | { readonly verdict: "refuse" };

/**
 * @param presented MAC of what the device showed
 * @param state null before the first session of a grant: then no token is asked for, and the caller issues the first
 */
export function judgeToken(presented: string, state: TokenState, nowMs: number): TokenVerdict {
  if (state.isFrozen) return { verdict: "refuse" };
  if (presented === state.current) return { verdict: "rotate" };
  if (state.spent.includes(presented)) return { verdict: "freeze" };
  if (presented !== state.previous) return { verdict: "refuse" };
  return nowMs - state.rotatedAtMs <= TOKEN_OVERLAP_MS ? { verdict: "repeat" } : { verdict: "refuse" };
}

/**
 * Of a token's MACs under each live secret the one that the state was written with.
 *
 * @param macs newest secret first
 * @returns that one, or an empty text, which no state holds
 */
export function recognised(macs: readonly string[], state: TokenState): string {
  return macs.find((each) => each === state.current || each === state.previous || state.spent.includes(each)) ?? "";
}

const SPENT_KEPT = 8;

/** @returns the state of a device that received its first token */
export function firstToken(current: string, nowMs: number): TokenState {
  return { current, previous: null, spent: [], rotatedAtMs: nowMs, isFrozen: false };
}

/** @returns the state after the current token was rotated into `successor`; the one before it is spent */
export function rotatedToken(state: TokenState, successor: string, nowMs: number): TokenState {
  const spent = state.previous === null ? state.spent : [state.previous, ...state.spent].slice(0, SPENT_KEPT);
  return { current: successor, previous: state.current, spent, rotatedAtMs: nowMs, isFrozen: false };
}
