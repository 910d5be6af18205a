/** Credit, queue and probing of the direction towards the room (PROTOCOL.md CR); the same for both kinds of stream. */
import { splitPiece } from "../../core/link/message-frames.ts";
import type { Piece } from "../../core/link/message-frames.ts";
import { SendCredit } from "../../core/link/stream-credit.ts";
import type { CreditAlong } from "../../core/link/stream-credit.ts";
import { FRAME_PROBE, encodeU32 } from "../../protocol/frame.ts";
import type { FrameType } from "../../protocol/frame.ts";
import type { StreamParts } from "./stream.ts";

export class Outgoing {
  readonly #parts: StreamParts;
  readonly #credit = new SendCredit();
  #queue: Piece[] = [];
  #final: { readonly type: FrameType; readonly payload: Uint8Array | undefined } | null = null;
  readonly #back: CreditAlong;
  readonly #onDrain: () => void;
  readonly #onStall: () => void;
  /** The line has no room for what waits here; credit is not what it lacks. */
  #isHeldUp = false;
  /** Up to where bytes must have arrived for the room to have read the first probe that is not answered. */
  #probedUpTo: number | null = null;
  /** Ten seconds were over before it was known that the room had read it: they count from there on. */
  #isProbeLate = false;
  queuedBytes = 0;
  readonly #turn = (): void => this.#leave(1);

  /** @param back credit of the other direction, which goes along with what leaves here */
  constructor(parts: StreamParts, back: CreditAlong, onDrain: () => void, onStall: () => void) {
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
    this.#leave(this.#parts.uplink.freeBytes);
  }

  /** The last frame of this direction, after everything that waits. */
  finish(type: FrameType, payload?: Uint8Array): void {
    this.#final = { type, payload };
    this.#leave(this.#parts.uplink.freeBytes);
  }

  granted(bytes: number): void {
    this.#credit.grant(bytes);
    this.#probedUpTo = null;
    this.#isProbeLate = false;
    this.#leave(this.#parts.uplink.freeBytes);
  }

  /** The stream is over: what waits is for nobody. */
  stop(): void {
    this.#queue = [];
    this.queuedBytes = 0;
    this.#final = null;
    this.#parts.uplink.leaveTurns(this.#turn);
  }

  /** A probe, or the end, goes along with the data before it. @param freeBytes what the line takes now; the piece that reaches it still goes */
  #leave(freeBytes: number): void {
    this.#parts.uplink.together(() => this.#flush(freeBytes));
  }

  #flush(freeBytes: number): void {
    const { id, sendFrame, sendData, uplink } = this.#parts;
    let free = freeBytes;
    let count = 0;
    this.#isHeldUp = false;
    for (; count < this.#queue.length; count += 1) {
      if (free <= 0) {
        this.#isHeldUp = true;
        break;
      }
      let piece = this.#queue[count] as Piece;
      if (piece.payload.byteLength > uplink.pieceBytes) {
        const parts = splitPiece(piece, uplink.pieceBytes);
        this.#queue.splice(count, 1, ...parts);
        [piece] = parts;
      }
      const bytes = piece.payload.byteLength;
      if (!this.#credit.spend(bytes)) break;
      this.queuedBytes -= bytes;
      free -= bytes;
    }
    if (count > 0) sendData(id, this.#queue.splice(0, count), this.#back);
    if (this.#isHeldUp) return uplink.waitForTurn(this.#turn);
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
    if (this.#queue.length === 0 || this.#isHeldUp) return;
    const { id, now, sendFrame, uplink } = this.#parts;
    const hasArrived = this.#probedUpTo === null || uplink.hasArrived(this.#probedUpTo);
    if (this.#isProbeLate && hasArrived) {
      this.#isProbeLate = false;
      this.#credit.waitAnew(now());
    }
    const what = this.#credit.blocked(now());
    if (what === "stalled") {
      // The browser is not to blame for a probe that is still on its way; a link that is dead ends by itself, with its own reason.
      if (hasArrived) this.#onStall();
      else this.#isProbeLate = true;
    } else if (what === "probe") {
      sendFrame(FRAME_PROBE, 0, id, encodeU32(this.#credit.probeValue()));
      this.#probedUpTo ??= uplink.handedBytes;
    }
  }
}
