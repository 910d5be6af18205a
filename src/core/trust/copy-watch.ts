/** Finds out that two copies of one connector fight for a room (PROTOCOL.md LINK9). Pure: the clock is an argument. */
import { COPY_WINDOW_MS, MAX_COPY_ALTERNATIONS } from "../../protocol/limits.ts";

export interface CopyWatch {
  /** When a proven connector showed a generation that another one had taken over from, within the window, oldest first. */
  readonly staleAtMs: readonly number[];
  /** Since when nobody is linked; null while the gateway is open. */
  readonly quarantinedAtMs: number | null;
}

export const NO_COPIES: CopyWatch = { staleAtMs: [], quarantinedAtMs: null };

/**
 * One more link of a copy whose state another one has left behind. Only asked after proof of the key, so that strangers close nobody's gateway.
 *
 * @returns the next watch; quarantined when it is the third within ten minutes
 */
export function sawCopy(watch: CopyWatch, nowMs: number): CopyWatch {
  const staleAtMs = [...watch.staleAtMs.filter((atMs) => atMs > nowMs - COPY_WINDOW_MS), nowMs].slice(-MAX_COPY_ALTERNATIONS);
  const isFight = staleAtMs.length >= MAX_COPY_ALTERNATIONS;
  return { staleAtMs, quarantinedAtMs: watch.quarantinedAtMs ?? (isFight ? nowMs : null) };
}
