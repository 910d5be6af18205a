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
  /** Many rooms of this peer, in processes of their own; what knows no rooms has none. */
  readonly fleet?: (size: FleetSize) => Promise<Fleet>;
  /** Makes sure that so many devices are admitted; targets are spread over all of them. Where there are devices. */
  readonly admitAll?: (count: number) => Promise<void>;
  stop(): Promise<void>;
}

export interface FleetSize {
  readonly rooms: number;
  readonly devicesPerRoom: number;
}

/** Resident MiB of the relay and of all connectors at one moment; null where the system does not tell. */
export interface Memory {
  readonly relay: number | null;
  readonly connectors: number | null;
}

/** One relay with many rooms, a connector process for each. */
export interface Fleet {
  readonly rooms: number;
  /** Devices that were admitted on all rooms together; null where there are no devices. */
  readonly devices: number | null;
  /** Where the n-th socket dials: one room after the other. */
  target(socket: number): Target;
  memory(): Memory;
  relayPids(): readonly number[];
  /** Takes every room out of memory, its sockets stay open; fulfilled when all are. Where the bench can. */
  hibernate?(): Promise<void>;
  /** Memory before the first room, with all rooms, and with their devices. */
  readonly grown: { readonly empty: Memory; readonly rooms: Memory; readonly devices: Memory };
  stop(): Promise<void>;
}

/** Runs `work` for 0 to count - 1, so many at a time. */
export async function each(count: number, atOnce: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await work(i);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
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
