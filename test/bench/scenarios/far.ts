/** A device that is far away, without and with loss: what the distance costs, and whether Gatehouse makes it worse than its peers. */
import { FaultProxy } from "../../support/fault-proxy.ts";
import type { ProxiedLane } from "../../support/fault-proxy.ts";
import { Load, closeSockets, openSockets, quantile } from "../load.ts";
import type { Target } from "../load.ts";
import type { Peer } from "../peers/peer.ts";
import type { Scenario } from "./scenario.ts";

const ONE_WAY_MS = 20;
/** A trip takes 40 ms: as many as it needs for a p99 that is one. */
const CLIENTS = 20;
const BULK_BYTES = 64 * 1024;
const BULK_IN_FLIGHT = 16;
const LOSS = 0.01;
const SEGMENT_BYTES = 1_460;
/** A loss that at least three later segments tell of is repaired after one more round trip (RFC 5681 §3.2) … */
const FAST_RETRANSMIT_MS = 2 * ONE_WAY_MS;
const SEGMENTS_FOR_FAST = 4;
/** … any other after Linux's shortest retransmission time. */
const RETRANSMIT_MS = 200;

function distance(lane: ProxiedLane, loss: number): void {
  lane.latencyMs = ONE_WAY_MS;
  if (loss === 0) return;
  // A lane passes bytes in order: a piece that is late holds the rest back, as TCP does.
  lane.onBytes = (bytes) => {
    const segments = Math.ceil(bytes.byteLength / SEGMENT_BYTES);
    const isLost = Math.random() > (1 - loss) ** segments;
    const againMs = segments >= SEGMENTS_FOR_FAST ? FAST_RETRANSMIT_MS : RETRANSMIT_MS;
    lane.latencyMs = ONE_WAY_MS + (isLost ? againMs : 0);
  };
}

async function through<T>(peer: Peer, loss: number, work: (target: Target) => Promise<T>): Promise<T> {
  const { url, headers } = peer.target(0);
  const near = new URL(url);
  const proxy = await FaultProxy.start({ port: 0, targetPort: () => Number(near.port) });
  proxy.onConnection = ({ up, down }) => {
    distance(up, loss);
    distance(down, loss);
  };
  const far = new URL(url);
  far.port = String(proxy.port);
  try {
    return await work({ url: far.href, headers: { host: near.host, ...headers } });
  } finally {
    await proxy.stop();
  }
}

function far(name: string, loss: number, about: string): Scenario {
  return {
    name,
    about,
    columns: { "p50 ms": 1, "p99 ms": 1, "MB/s each way": 2 },
    maxRounds: 2,
    run: (peer, pace) =>
      through(peer, loss, async (target) => {
        const sockets = await openSockets(CLIENTS, CLIENTS, () => target);
        const small = new Load(sockets, { inFlight: 1, bytes: 128 });
        await small.measure(pace.warmUpMs);
        const { latenciesMs } = await small.measure(pace.measureMs);
        await small.stop();
        const bulk = new Load(sockets.slice(0, 1), { inFlight: BULK_IN_FLIGHT, bytes: BULK_BYTES });
        await bulk.measure(pace.warmUpMs);
        const { tripsPerS } = await bulk.measure(pace.measureMs);
        await bulk.stop();
        await closeSockets(sockets);
        return {
          "p50 ms": quantile(latenciesMs, 0.5),
          "p99 ms": quantile(latenciesMs, 0.99),
          "MB/s each way": (tripsPerS * BULK_BYTES) / 1e6,
        };
      }),
  };
}

const SHAPE = `128 B with one in flight each, then one of them ${BULK_BYTES / 1024} KiB with ${BULK_IN_FLIGHT} in flight`;

export const FAR: readonly Scenario[] = [
  far("far", 0, `${CLIENTS} clients behind a TCP proxy of this bench that adds ${ONE_WAY_MS} ms each way on the devices' leg: ${SHAPE}`),
  far(
    "far lossy",
    LOSS,
    `the same, and ${LOSS * 100} % of ${SEGMENT_BYTES.toLocaleString("en-US")}-byte segments are "lost": what holds one comes ${FAST_RETRANSMIT_MS} ms later (${RETRANSMIT_MS} ms where fewer than three segments follow it), and all behind it waits. A stand-in for TCP over a bad link, for want of netem: no segment is sent twice and no congestion window shrinks, so a real link carries far fewer MB/s`,
  ),
];
