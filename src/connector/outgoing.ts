/** Credit, queue and probing of the direction towards the room (PROTOCOL.md CR); the same for both kinds of stream. */
import type { Piece } from "../core/message-frames.ts";
import { SendCredit } from "../core/stream-credit.ts";
import type { ReceiveCredit } from "../core/stream-credit.ts";
import { FRAME_PROBE, encodeU32 } from "../protocol/frame.ts";
import type { FrameType } from "../protocol/frame.ts";
import type { StreamParts } from "./stream.ts";

export class Outgoing {
  readonly #parts: StreamParts;
  readonly #credit = new SendCredit();
  #queue: Piece[] = [];
  #final: { readonly type: FrameType; readonly payload: Uint8Array | undefined } | null = null;
  readonly #back: ReceiveCredit;
  readonly #onDrain: () => void;
  readonly #onStall: () => void;
  queuedBytes = 0;

  /** @param back credit of the other direction, which goes along with what leaves here */
  constructor(parts: StreamParts, back: ReceiveCredit, onDrain: () => void, onStall: () => void) {
    this.#parts = parts;
    this.#back = back;
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
  finish(type: FrameType, payload?: Uint8Array): void {
    this.#final = { type, payload };
    this.flush();
  }

  granted(bytes: number): void {
    this.#credit.grant(bytes);
    this.flush();
  }

  flush(): void {
    const { id, sendFrame, sendData } = this.#parts;
    let count = 0;
    for (const piece of this.#queue) {
      if (!this.#credit.spend(piece.payload.byteLength)) break;
      this.queuedBytes -= piece.payload.byteLength;
      count += 1;
    }
    if (count > 0) sendData(id, this.#queue.splice(0, count), this.#back);
    if (this.#queue.length > 0) return this.tick();
    if (this.#final !== null) {
      sendFrame(this.#final.type, 0, id, this.#final.payload);
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
    else if (what === "probe") this.#parts.sendFrame(FRAME_PROBE, 0, this.#parts.id, encodeU32(this.#credit.probeValue()));
  }
}
