/** Messages there and back: one at a time, many clients, many under way, and large ones. */
import { FRAME_HEADER_BYTES } from "../../../src/protocol/limits.ts";
import { Load, closeSockets, openSockets, quantile } from "../load.ts";
import type { LoadShape } from "../load.ts";
import { cpuMs } from "../machine.ts";
import type { Peer } from "../peers/peer.ts";
import type { Pace, Scenario } from "./scenario.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const OPEN_AT_ONCE = 16;

async function underLoad(peer: Peer, pace: Pace, clients: number, shape: LoadShape) {
  const sockets = await openSockets(clients, OPEN_AT_ONCE, (socket) => peer.target(socket));
  const load = new Load(sockets, shape);
  await load.measure(pace.warmUpMs);
  const before = { relay: cpuMs(peer.relayPids()), connector: cpuMs(peer.connectorPids()) };
  const result = await load.measure(pace.measureMs);
  const each = (used: number | null, from: number | null): number | null =>
    used === null || from === null || result.trips === 0 ? null : ((used - from) * 1000) / result.trips;
  const cost = { relay: each(cpuMs(peer.relayPids()), before.relay), connector: each(cpuMs(peer.connectorPids()), before.connector) };
  await load.stop();
  await closeSockets(sockets);
  return { ...result, cost };
}

/** Microseconds of CPU that one round trip costs each side: what other programs take of the machine moves it least. */
const COST = { "relay CPU µs": 0, "connector CPU µs": 0 } as const;

function trips(name: string, about: string, clients: number, shape: LoadShape): Scenario {
  return {
    name,
    about,
    columns: { "p50 ms": 3, "p99 ms": 3, "trips/s": 0, ...COST },
    run: async (peer, pace) => {
      const { tripsPerS, latenciesMs, cost } = await underLoad(peer, pace, clients, shape);
      const times = { "p50 ms": quantile(latenciesMs, 0.5), "p99 ms": quantile(latenciesMs, 0.99), "trips/s": tripsPerS };
      return { ...times, "relay CPU µs": cost.relay, "connector CPU µs": cost.connector };
    },
  };
}

/** @param times as long as the others is measured, for messages of which few cross in that time */
function bulk(name: string, bytes: number, inFlight: number, times = 1): Scenario {
  return {
    name,
    about: `1 client, ${inFlight} in flight, messages of ${bytes.toLocaleString("en-US")} bytes, echoed: MB/s in each direction at the same time`,
    columns: { "MB/s each way": 0, "p50 ms": 2, ...COST },
    run: async (peer, { warmUpMs, measureMs, ...pace }) => {
      const longer = { ...pace, warmUpMs: warmUpMs * times, measureMs: measureMs * times };
      const { tripsPerS, latenciesMs, cost } = await underLoad(peer, longer, 1, { inFlight, bytes });
      const figures = { "MB/s each way": (tripsPerS * bytes) / 1e6, "p50 ms": quantile(latenciesMs, 0.5) };
      return { ...figures, "relay CPU µs": cost.relay, "connector CPU µs": cost.connector };
    },
  };
}

export const SMALL: readonly Scenario[] = [
  trips("round-trip", "1 client, 128 B, one message in flight", 1, { inFlight: 1, bytes: 128 }),
  trips("fifty", "50 clients at once, 128 B, one in flight each", 50, { inFlight: 1, bytes: 128 }),
  {
    ...trips("pipelined", "4 clients, 32 messages of 4 KiB in flight each", 4, { inFlight: 32, bytes: 4 * KIB }),
    columns: { "trips/s": 0, "p99 ms": 2, ...COST },
  },
];

export const LARGE: readonly Scenario[] = [
  bulk("64 KiB frames", 64 * KIB - FRAME_HEADER_BYTES, 4),
  bulk("64 KiB", 64 * KIB, 4),
  bulk("1 MiB", MIB, 2),
];

/** Comes after everything else that peers share: what has no pieces may lose its link over it. */
export const LARGEST: Scenario = { ...bulk("20 MiB", 20 * MIB, 1, 2), maxRounds: 2 };
