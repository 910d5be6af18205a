/** What every view may ask: who is signed in, what waits, what time it is. */
import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import type { InboxNotice, WaitingCard } from "../protocol/api.ts";
import { age } from "./time-texts.ts";

export interface Me {
  readonly account: { readonly id: string; readonly name: string };
  readonly approveOrigin: string;
  readonly version: string;
}

export interface Shared {
  readonly me: Me;
  /** Devices that wait for this person. */
  readonly cards: readonly WaitingCard[];
  /** Grants that nobody has answered for yet, newest first. */
  readonly notices: readonly InboxNotice[];
  /** Takes a notice away that was answered here: the inbox says the same a moment later. */
  readonly answered: (notice: InboxNotice) => void;
  /** Counts what changed, so that views load again. */
  readonly changed: number;
  /** An answer said that nobody is signed in here any more: `hasPressed` when the person asked for it, not the page by itself. */
  readonly signedOut: (hasPressed: boolean) => void;
}

const SharedContext = createContext<Shared | null>(null);
export const ShareProvider = SharedContext.Provider;

export function useShared(): Shared {
  const shared = useContext(SharedContext);
  if (shared === null) throw new Error("outside the shell");
  return shared;
}

/** @returns the time, renewed every `everyMs`; not at all when null */
export function useNow(everyMs: number | null): number {
  const [nowMs, setNow] = useState(Date.now());
  useEffect(() => {
    if (everyMs === null) return undefined;
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return nowMs;
}

/** A moment, as an age that renews itself; the exact time on hover. Never inside a live region. */
export function Ago({ ms }: { readonly ms: number }) {
  const nowMs = useNow(10_000);
  return <time dateTime={new Date(ms).toISOString()}>{age(ms, nowMs)}</time>;
}
