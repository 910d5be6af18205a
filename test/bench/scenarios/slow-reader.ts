/** One browser stops reading while much is sent to it: what piles up, and what its neighbours notice. */
import { burst } from "../../support/echo.ts";
import { Load, closeSockets, openSocket, openSockets, quantile } from "../load.ts";
import type { OpenSocket } from "../load.ts";
import { PeakMemory } from "../machine.ts";
import type { Peer } from "../peers/peer.ts";
import type { Scenario } from "./scenario.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const BURST_MESSAGES = 400;
const BURST_BYTES = 64 * KIB;
const NEIGHBOURS = 10;
/** Longer than a stream without credit lives: STALLED_STREAM_MS and a probe. */
const STALL_WATCH_MS = 13_000;

interface Reading {
  count(): number;
  /** Fulfilled when the last message is here. */
  readonly all: Promise<void>;
}

/** @throws Error in the socket's event when a message is not the next one */
function reading({ ws }: OpenSocket): Reading {
  let count = 0;
  const all = new Promise<void>((resolve, reject) => {
    ws.on("message", (data: Buffer, isBinary: boolean) => {
      if (!isBinary) return;
      if (data.readUInt32BE() !== count) return reject(new Error(`message ${data.readUInt32BE()} came in the place of ${count}`));
      count += 1;
      if (count === BURST_MESSAGES) resolve();
    });
  });
  return { count: () => count, all };
}

function watch(peer: Peer) {
  return { relay: new PeakMemory(peer.relayPids()), connector: new PeakMemory(peer.connectorPids()) };
}

function above(before: number | null, peak: number | null): number | null {
  return before === null || peak === null ? null : peak - before;
}

export const slowReader: Scenario = {
  name: "slow-reader",
  about: `one client stops reading while the gateway sends it ${(BURST_MESSAGES * BURST_BYTES) / MIB} MiB in ${BURST_BYTES / KIB} KiB messages; ${NEIGHBOURS} neighbours go on for ${STALL_WATCH_MS / 1000} s, then it reads again. Memory is the highest resident above the highest before the burst: it also has garbage that is not collected yet, here of everything that passed. What closed the reader is its close code, 0 when all came late; what it could still read lies mostly in the two kernels' buffers. Goals: at most 8 MiB for it in the room, neighbours' p99 less than 50 ms more`,
  columns: { "p99 ms before": 2, "p99 ms during": 2, "relay + MiB": 1, "connector + MiB": 1, "closed with": 0, "MiB read late": 1 },
  maxRounds: 1,
  run: async (peer, pace, note) => {
    const neighbours = await openSockets(NEIGHBOURS, NEIGHBOURS, (socket) => peer.target(socket + 1));
    const reader = await openSocket(peer.target(0));
    const load = new Load(neighbours, { inFlight: 1, bytes: 128 });
    const usual = watch(peer);
    await load.measure(pace.warmUpMs);
    const before = await load.measure(pace.measureMs);
    const read = reading(reader);
    const peak = watch(peer);
    const [relayBefore, connectorBefore] = [usual.relay.end(), usual.connector.end()];
    reader.ws.pause();
    reader.ws.send(burst(BURST_MESSAGES, BURST_BYTES));
    const during = await load.measure(STALL_WATCH_MS);
    const grown = { relay: above(relayBefore, peak.relay.end()), connector: above(connectorBefore, peak.connector.end()) };
    reader.ws.resume();
    const ended = await Promise.race([reader.closed, read.all.then(() => null)]);
    await load.stop();
    await closeSockets(ended === null ? [reader, ...neighbours] : neighbours);
    if (ended !== null) note(`${peer.name} closed the reader with ${ended.code} "${ended.reason}"`);
    return {
      "p99 ms before": quantile(before.latenciesMs, 0.99),
      "p99 ms during": quantile(during.latenciesMs, 0.99),
      "relay + MiB": grown.relay,
      "connector + MiB": grown.connector,
      "closed with": ended?.code ?? 0,
      "MiB read late": (read.count() * BURST_BYTES) / MIB,
    };
  },
};
