/** Round trips over the four hops: bounded samples, medians, and which hop is broken. Pure: clocks are arguments. */
import type { Hop } from "../../protocol/hop-names.ts";
import type { HopMedian, HopView } from "../../protocol/latency.ts";
import type { GatewayState } from "../../protocol/words.ts";

/** @returns the middle value, the mean of the two middle ones when they are even in number, or null for none */
export function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  if (upper === undefined) return null;
  return sorted.length % 2 === 1 ? upper : ((sorted[sorted.length / 2 - 1] ?? upper) + upper) / 2;
}

/** @returns the median in milliseconds, to a hundredth, with how many it is of; null for none */
export function medianOf(values: readonly number[]): HopMedian | null {
  const middle = median(values);
  return middle === null ? null : { medianMs: Math.round(middle * 100) / 100, samples: values.length };
}

/** The last `size` values; older ones make room. */
export class SampleRing {
  readonly #size: number;
  readonly #values: number[] = [];
  #next = 0;

  constructor(size: number) {
    this.#size = size;
  }

  add(value: number): void {
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % this.#size;
  }

  /** In no particular order. */
  get values(): readonly number[] {
    return this.#values;
  }
}

/**
 * Times something that goes there and back, one after another.
 *
 * @param rounds how often
 * @param once one round trip; what it throws ends the measuring
 * @param clock milliseconds that only ever grow
 * @returns milliseconds of each round
 */
export async function timed(rounds: number, once: () => Promise<unknown>, clock: () => number): Promise<number[]> {
  const taken: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const startMs = clock();
    await once();
    taken.push(Math.max(0, clock() - startMs));
  }
  return taken;
}

/** What is known about the hops behind the edge. */
export interface HopsSeen {
  /** As the room knows it. */
  readonly state: GatewayState;
  readonly edgeRoom: HopMedian | null;
  /** The connector's answer to the probe; null when none came. */
  readonly probed: { readonly roomConnector: HopMedian | null; readonly connectorGateway: HopMedian | null } | null;
}

function view(hop: Hop, median: HopMedian | null, isBroken: boolean): HopView {
  return { hop, state: median !== null ? "measured" : isBroken ? "broken" : "unmeasured", median };
}

/**
 * @param deviceEdge as measured by whoever is at the device, or told by the platform
 * @returns the four hops in order. What lies behind a broken hop is not known, and said to be so
 */
export function hopViews(deviceEdge: HopMedian | null, { state, edgeRoom, probed }: HopsSeen): HopView[] {
  const hasLink = state !== "no-link" && state !== "unclaimed";
  // A connector that answered, and not for its gateway, tried in vain; one that did not answer said earlier how the gateway is.
  const isGatewayAway = hasLink && (probed !== null || state === "offline" || state === "restarting");
  return [
    view("device-edge", deviceEdge, false),
    view("edge-room", edgeRoom, false),
    view("room-connector", hasLink ? (probed?.roomConnector ?? null) : null, state === "no-link"),
    view("connector-gateway", hasLink ? (probed?.connectorGateway ?? null) : null, isGatewayAway),
  ];
}
