/** What a room may hold for all its streams together: one large message at a time, 32 MiB in all (PROTOCOL.md CR6). */
import { brokenAt } from "../../../core/link/close-code.ts";
import { CLOSE_TOO_SLOW } from "../../../protocol/close-codes.ts";
import {
  BROWSER_BUFFER_HIGH_BYTES,
  CREDIT_STEP_BYTES,
  MAX_QUEUED_PER_ROOM_BYTES,
  MAX_STREAMS_PER_GATEWAY,
  STALLED_STREAM_MS,
} from "../../../protocol/limits.ts";

/** Anything that holds bytes and can be ended for it. */
export interface Holder {
  readonly id: number;
  readonly heldBytes: number;
  reset(code: number, reason: string): void;
  /** Ends it for what it holds, and names the leg. */
  overflow(): void;
}

/** Streams that hold no more than this can, all together, never exceed the room's bound: the sum is formed only when one holds more. */
const UNCOUNTED_BYTES = MAX_QUEUED_PER_ROOM_BYTES / MAX_STREAMS_PER_GATEWAY;

export class RoomMemory {
  /** The one stream whose message may grow beyond the first megabyte, and when what it holds last changed. */
  #large: { readonly stream: Holder; readonly heldBytes: number; readonly movedAtMs: number } | null = null;

  /** Whether this stream's message may grow beyond the first megabyte. One that stands still in its place is reset. */
  mayHold(stream: Holder, nowMs: number): boolean {
    const large = this.#large;
    const isFree = large === null || large.stream === stream || large.stream.heldBytes <= BROWSER_BUFFER_HIGH_BYTES;
    if (!isFree) {
      const heldBytes = large.stream.heldBytes;
      if (Math.abs(heldBytes - large.heldBytes) >= CREDIT_STEP_BYTES) this.#large = { stream: large.stream, heldBytes, movedAtMs: nowMs };
      else if (nowMs - large.movedAtMs >= STALLED_STREAM_MS) large.stream.reset(CLOSE_TOO_SLOW, brokenAt("device-room", "too slow"));
      if (this.#large !== null) return false;
    }
    this.#large = { stream, heldBytes: stream.heldBytes, movedAtMs: nowMs };
    return true;
  }

  forget(stream: number): void {
    if (this.#large?.stream.id === stream) this.#large = null;
  }

  /** Over 32 MiB in all: what holds most goes, its neighbours never notice. @param heldBytes what the stream that just grew holds */
  keepWithin(heldBytes: number, all: () => Iterable<Holder>): void {
    if (heldBytes <= UNCOUNTED_BYTES) return;
    let total = 0;
    let most = 0;
    let worst: Holder | null = null;
    for (const each of all()) {
      const held = each.heldBytes;
      total += held;
      if (held <= most) continue;
      most = held;
      worst = each;
    }
    if (total > MAX_QUEUED_PER_ROOM_BYTES) worst?.overflow();
  }
}
