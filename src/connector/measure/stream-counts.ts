/** How many streams there were, and on which leg they broke (PROTOCOL.md ST9). */
import { decodeClose, legOf } from "../../core/link/close-code.ts";
import { LEGS } from "../../protocol/close-codes.ts";
import type { Leg } from "../../protocol/close-codes.ts";
import { FRAME_CLOSE, FRAME_RESET } from "../../protocol/frame.ts";
import type { FrameType } from "../../protocol/frame.ts";

/** Ids of streams whose end is known: both sides may tell of it, once each, and soon after another. */
const REMEMBERED = 1_024;
const NOTHING = new Uint8Array();

export class StreamCounts {
  opened = 0;
  readonly #broken: Record<Leg, number> = { "device-room": 0, "room-connector": 0, "connector-gateway": 0 };
  readonly #ended = new Set<number>();

  get broken(): readonly (readonly [Leg, number])[] {
    return LEGS.map((leg) => [leg, this.#broken[leg]] as const);
  }

  /** A frame of the room, or one that goes there; looks at its type only, unless it ends a stream. */
  took(type: FrameType, streamId: number, payload: Uint8Array | undefined): void {
    if (type !== FRAME_CLOSE && type !== FRAME_RESET) return;
    const leg = legOf(decodeClose(payload ?? NOTHING)?.reason ?? "");
    if (leg === null || this.#ended.has(streamId)) return;
    this.#ended.add(streamId);
    if (this.#ended.size > REMEMBERED) for (const oldest of this.#ended) if (this.#ended.delete(oldest)) break;
    this.#broken[leg] += 1;
  }

  /** The link went with these streams on it; the next one counts its streams from the start. */
  linkGone(streams: number): void {
    this.#broken["room-connector"] += streams;
    this.#ended.clear();
  }
}
