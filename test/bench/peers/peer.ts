/** What every peer is to the measurements. */
import type { Child } from "../../../scripts/children.ts";
import type { Target } from "../load.ts";

export interface Peer {
  readonly name: string;
  /** How many hops, and which way the inner one is dialled. */
  readonly kind: string;
  /** Where the n-th socket dials, and as whom. */
  target(socket: number): Target;
  /** Process ids: what a provider runs, and what runs beside the gateway. */
  relayPids(): readonly number[];
  connectorPids(): readonly number[];
  stop(): Promise<void>;
}

/** Process id of a running child, as a list. */
export function pidsOf(...children: readonly Child[]): number[] {
  return children.flatMap(({ process }) => (process.pid === undefined ? [] : [process.pid]));
}

/** The same request to every peer, so that none has fewer header bytes to carry: about what an admitted browser sends. */
export const BROWSER_HEADERS: Readonly<Record<string, string>> = {
  origin: "http://gateway.localhost",
  cookie: `session=${"a".repeat(160)}; device=${"b".repeat(60)}`,
};
