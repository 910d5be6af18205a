/** One measuring of a gateway's hops, as its owner asked for it. */
import { hopViews, medianOf, timed } from "../../core/measure/latency.ts";
import type { Hops } from "../../protocol/api.ts";
import type { HopMedian } from "../../protocol/latency.ts";
import { HOP_PATIENCE_MS, HOP_ROUNDS } from "../../protocol/limits.ts";
import type { HopStep, RoomHops } from "../room/rpc.ts";

const LOOK_AGAIN_MS = 50;

export interface HopMeasuring {
  /** One call into the room of the gateway, for its own account. */
  readonly room: (step: HopStep) => Promise<RoomHops>;
  /** Milliseconds that only ever grow. */
  readonly clock: () => number;
  readonly now: () => number;
  /** Waits that many milliseconds. */
  readonly pause: (ms: number) => Promise<void>;
  /** What the platform says about the visitor's connection: `request.cf`. */
  readonly cf: unknown;
}

/** @returns the visitor's own round trip to the edge as the platform measured it, or null: not told */
function deviceEdgeOf(cf: unknown): HopMedian | null {
  const { clientTcpRtt, clientQuicRtt } = (cf ?? {}) as { clientTcpRtt?: unknown; clientQuicRtt?: unknown };
  const told = [clientTcpRtt, clientQuicRtt].find((ms): ms is number => typeof ms === "number" && ms > 0);
  return told === undefined ? null : medianOf([told]);
}

function coloOf(cf: unknown): string | null {
  const { colo } = (cf ?? {}) as { colo?: unknown };
  return typeof colo === "string" && /^[A-Z]{3}$/.test(colo) ? colo : null;
}

/**
 * Asks the room to ask the connector, times its own calls into the room meanwhile, and waits a little for the connector.
 *
 * @returns the four hops; throws what `room` throws
 */
export async function measureHops({ room, clock, now, pause, cf }: HopMeasuring): Promise<Hops> {
  const startMs = clock();
  // Not timed: it may wake the room.
  let seen = await room({ do: "ask" });
  const look = async (): Promise<void> => {
    seen = await room({ do: "look" });
  };
  const edgeRoom = medianOf(await timed(HOP_ROUNDS, look, clock));
  while (seen.isWaiting && clock() - startMs < HOP_PATIENCE_MS) {
    await pause(LOOK_AGAIN_MS);
    await look();
  }
  if (edgeRoom !== null) await room({ do: "tell", edgeRoom });
  const { state, linkSinceMs, connectorVersion, openclawVersion, place, probed } = seen;
  return {
    atMs: now(),
    state,
    edge: coloOf(cf) ?? (place === "local" ? "local" : null),
    room: place,
    linkSinceMs,
    connectorVersion,
    openclawVersion,
    hops: hopViews(deviceEdgeOf(cf), { state, edgeRoom, probed }),
  };
}
