/** A thousand devices on one room: how fast they come, and what they take of memory. */
import { closeSockets, openSockets, quantile, roundTrips } from "../load.ts";
import { residentMib } from "../machine.ts";
import type { Scenario } from "./scenario.ts";

const KIB = 1024;
const AT_ONCE = 20;
const ASKED = 200;

export const oneRoom: Scenario = {
  name: "one-room",
  about: `1,000 devices on one room, opened ${AT_ONCE} at a time, each with the gateway's first message and one echo; then one round trip each of ${ASKED} of them in turn; resident memory while all are open`,
  columns: { "opens/s": 0, "echo p50 ms": 2, "echo p99 ms": 2, "relay MiB": 0, "relay KiB each": 1, "connector KiB each": 1 },
  longestMs: 600_000,
  run: async (peer, { devicesOnOne }) => {
    await peer.admitAll?.(devicesOnOne);
    const before = { relay: residentMib(peer.relayPids()), connector: residentMib(peer.connectorPids()) };
    const startedAt = performance.now();
    const sockets = await openSockets(devicesOnOne, AT_ONCE, (socket) => peer.target(socket));
    const tookMs = performance.now() - startedAt;
    const after = { relay: residentMib(peer.relayPids()), connector: residentMib(peer.connectorPids()) };
    const echoes = await roundTrips(sockets.slice(0, ASKED));
    await closeSockets(sockets);
    const each = (end: number | null, start: number | null): number | null =>
      end === null || start === null ? null : ((end - start) * KIB) / devicesOnOne;
    return {
      "opens/s": (devicesOnOne * 1000) / tookMs,
      "echo p50 ms": quantile(echoes, 0.5),
      "echo p99 ms": quantile(echoes, 0.99),
      "relay MiB": after.relay,
      "relay KiB each": each(after.relay, before.relay),
      "connector KiB each": each(after.connector, before.connector),
    };
  },
};
