/** The room's part of a measuring: it asks the connector and keeps the answer for as long as the owner waits. Memory only, no timer, no row. */
import { TokenBucket } from "../../../core/link/token-bucket.ts";
import { MEASURINGS } from "../../../protocol/limits.ts";
import type { ToRoom } from "../../../protocol/link-messages.ts";
import { toBase64url } from "../../../protocol/statement-encoding.ts";
import type { Admission } from "../context.ts";
import type { HopStep, Probed, RoomHops, RoomResult } from "../rpc.ts";
import { whereabouts } from "./colo.ts";

export class Hops {
  readonly #room: Admission;
  #bucket: TokenBucket | null = null;
  #asked: string | null = null;
  #probed: Probed | null = null;
  #place: string | null = null;
  #isLookingForPlace = false;

  constructor(room: Admission) {
    this.#room = room;
  }

  /** @returns what is known now; `too-many` for a measuring too soon after others */
  step(step: HopStep): RoomResult<RoomHops> {
    const { relay, options } = this.#room;
    if (step.do === "ask") {
      const nowMs = options.now();
      this.#bucket ??= new TokenBucket(MEASURINGS, nowMs);
      if (this.#bucket.take(nowMs) > 0) return { ok: false, failure: "too-many" };
      this.#probed = null;
      const id = toBase64url(options.random(12));
      this.#asked = relay.send({ type: "probe", id }) ? id : null;
      this.#findPlace();
    }
    if (step.do === "tell") relay.send({ type: "hops", edgeRoom: step.edgeRoom, place: this.#place, atMs: options.now() });
    return { ok: true, value: this.#view() };
  }

  /** The connector's answer; one to an older question is nothing any more. */
  answered({ id, roomConnector, connectorGateway }: Extract<ToRoom, { type: "probed" }>): void {
    if (id !== this.#asked) return;
    this.#asked = null;
    this.#probed = { roomConnector, connectorGateway };
  }

  #view(): RoomHops {
    const room = this.#room;
    const isUp = room.relay.isLinkUp();
    return {
      state: room.state(),
      linkSinceMs: room.linkSinceMs(),
      connectorVersion: room.mustMeta().connectorVersion,
      openclawVersion: room.report()?.version ?? null,
      place: this.#place,
      isWaiting: (isUp && this.#asked !== null) || this.#isLookingForPlace,
      probed: isUp ? this.#probed : null,
    };
  }

  /** A room never moves while it is awake. */
  #findPlace(): void {
    if (this.#place !== null || this.#isLookingForPlace) return;
    this.#isLookingForPlace = true;
    void whereabouts(this.#room.options.config.appOrigin).then((place) => {
      this.#place = place;
      this.#isLookingForPlace = false;
    });
  }
}
