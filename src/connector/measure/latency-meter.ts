/** The two hops that the connector can measure, to the room and to the gateway: a measuring when somebody asks, and what passes by anyway. */
import { Histogram } from "../../core/measure/histogram.ts";
import { SampleRing, medianOf } from "../../core/measure/latency.ts";
import { HOP_ROUNDS, HOP_ROUND_MS, HOP_SAMPLES } from "../../protocol/limits.ts";
import type { HopMedian } from "../../protocol/latency.ts";

export const OWN_HOPS = ["room-connector", "connector-gateway"] as const;
export type OwnHop = (typeof OWN_HOPS)[number];

export interface OwnHops {
  readonly roomConnector: HopMedian | null;
  readonly connectorGateway: HopMedian | null;
}

export interface HopMeterOptions {
  /** One round trip to the room, milliseconds; null when there is no link, or it goes. Told to `add` by whoever times it. */
  readonly toRoom: () => Promise<number | null>;
  /** The same to the gateway; rejects while it is away. */
  readonly toGateway: () => Promise<number>;
}

export class HopMeter {
  readonly #options: HopMeterOptions;
  readonly #rings: Readonly<Record<OwnHop, SampleRing>> = {
    "room-connector": new SampleRing(HOP_SAMPLES),
    "connector-gateway": new SampleRing(HOP_SAMPLES),
  };
  readonly histograms: Readonly<Record<OwnHop, Histogram>> = {
    "room-connector": new Histogram(),
    "connector-gateway": new Histogram(),
  };
  #running: Promise<OwnHops> | null = null;

  constructor(options: HopMeterOptions) {
    this.#options = options;
  }

  /** One round trip over a hop, milliseconds. */
  add(hop: OwnHop, ms: number): void {
    this.#rings[hop].add(ms);
    this.histograms[hop].add(ms / 1000);
  }

  /** Of what was timed lately; null: nothing yet. */
  recent(hop: OwnHop): HopMedian | null {
    return medianOf(this.#rings[hop].values);
  }

  /** Measures both hops now. Whoever asks while that goes on gets the same answer: asking often costs nothing. Never rejects. */
  measure(): Promise<OwnHops> {
    this.#running ??= this.#measure().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #measure(): Promise<OwnHops> {
    const { toRoom, toGateway } = this.#options;
    const [roomConnector, connectorGateway] = await Promise.all([rounds(toRoom), rounds(toGateway)]);
    return { roomConnector, connectorGateway };
  }
}

/** A hop that fails once, or takes too long, is not one that can be measured. */
async function rounds(once: () => Promise<number | null>): Promise<HopMedian | null> {
  const taken: number[] = [];
  for (let round = 0; round < HOP_ROUNDS; round += 1) {
    const ms = await inTime(once());
    if (ms === null) return null;
    taken.push(ms);
  }
  return medianOf(taken);
}

async function inTime(round: Promise<number | null>): Promise<number | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), HOP_ROUND_MS);
  });
  const ms = await Promise.race([round.catch(() => null), late]);
  clearTimeout(timer);
  return ms;
}
