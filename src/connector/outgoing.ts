/** Credit, queue and probing of the direction towards the room (PROTOCOL.md CR); the same for both kinds of stream. */
import { frameOf } from "../core/message-frames.ts";
import type { Piece } from "../core/message-frames.ts";
import { SendCredit } from "../core/stream-credit.ts";
import { FRAME_PROBE, encodeFrame, encodeU32 } from "../protocol/frame.ts";
import type { StreamParts } from "./stream.ts";

export class Outgoing {
  readonly #parts: StreamParts;
  readonly #credit = new SendCredit();
  #queue: Piece[] = [];
  #final: Uint8Array<ArrayBuffer> | null = null;
  readonly #onDrain: () => void;
  readonly #onStall: () => void;
  queuedBytes = 0;

  constructor(parts: StreamParts, onDrain: () => void, onStall: () => void) {
    this.#parts = parts;
    this.#onDrain = onDrain;
    this.#onStall = onStall;
  }

  send(pieces: Iterable<Piece>): void {
    for (const piece of pieces) {
      this.#queue.push(piece);
      this.queuedBytes += piece.payload.byteLength;
    }
    this.flush();
  }

  /** The last frame of this direction, after everything that waits. */
  finish(frame: Uint8Array<ArrayBuffer>): void {
    this.#final = frame;
    this.flush();
  }

  granted(bytes: number): void {
    this.#credit.grant(bytes);
    this.flush();
  }

  flush(): void {
    const { id, sendFrame } = this.#parts;
    let sent = 0;
    for (const piece of this.#queue) {
      if (!this.#credit.spend(piece.payload.byteLength)) break;
      sendFrame(frameOf(id, piece));
      this.queuedBytes -= piece.payload.byteLength;
      sent += 1;
    }
    if (sent > 0) this.#queue.splice(0, sent);
    if (this.#queue.length > 0) return this.tick();
    if (this.#final !== null) {
      sendFrame(this.#final);
      this.#final = null;
      this.#parts.forget();
      return;
    }
    this.#onDrain();
  }

  tick(): void {
    if (this.#queue.length === 0) return;
    const what = this.#credit.blocked(this.#parts.now());
    if (what === "stalled") this.#onStall();
    else if (what === "probe") this.#parts.sendFrame(encodeFrame(FRAME_PROBE, 0, this.#parts.id, encodeU32(this.#credit.probeValue())));
  }
}
