/** What the link knows of its hops: the heartbeat that times the way to the room, the gateway's pings, and what the room told (PROTOCOL.md OB). */
import type { ToConnector, ToRoom } from "../../protocol/link-messages.ts";
import { HopMeter } from "./latency-meter.ts";
import { LinkBeat } from "./heartbeat.ts";
import type { BeatPlace } from "./heartbeat.ts";
import type { OpenclawGateway } from "../openclaw/openclaw-port.ts";

/** What the owner's last measuring found on the room's side. */
export type HopsTold = Omit<Extract<ToConnector, { type: "hops" }>, "type">;

export interface LinkHopsOptions {
  readonly gateway: OpenclawGateway;
  /** Milliseconds that only ever grow. */
  readonly clock: () => number;
  readonly isUp: () => boolean;
  /** Text onto the link's socket. */
  readonly sendText: (text: string) => void;
  readonly send: (message: ToRoom) => void;
  /** Where a heartbeat leaves between data, and when it was answered. */
  readonly sender: BeatPlace;
  /** The heartbeat is not answered. */
  readonly dead: () => void;
}

export class LinkHops {
  readonly beat: LinkBeat;
  readonly meter: HopMeter;
  readonly #options: LinkHopsOptions;
  #told: HopsTold | null = null;

  constructor(options: LinkHopsOptions) {
    this.#options = options;
    const { gateway, clock, isUp, sendText: send, sender, dead } = options;
    this.beat = new LinkBeat({ clock, send, sender, dead, timed: (ms) => this.meter.add("room-connector", ms) });
    this.meter = new HopMeter({
      toRoom: () => (isUp() ? this.beat.once() : Promise.resolve(null)),
      toGateway: () => gateway.ping(),
    });
    gateway.onPing((ms) => this.meter.add("connector-gateway", ms));
  }

  /** Null: nobody measured since this process started. */
  get told(): HopsTold | null {
    return this.#told;
  }

  /** The owner measures, or measured. @param isCurrent whether the link that it came on is still the one, once the answer is there */
  take(message: Extract<ToConnector, { type: "probe" | "hops" }>, isCurrent: () => boolean): void {
    if (message.type === "hops") {
      const { edgeRoom, place, atMs } = message;
      this.#told = { edgeRoom, place, atMs };
      return;
    }
    void this.meter.measure().then((own) => {
      if (isCurrent()) this.#options.send({ type: "probed", id: message.id, ...own });
    });
  }
}
