/** Frames to the room: the first of a turn of the event loop leaves at once, those that follow in the same turn leave together (PROTOCOL.md FR5). */
import { FrameSender } from "../core/frame-sender.ts";
import type { Piece } from "../core/message-frames.ts";
import type { ReceiveCredit } from "../core/stream-credit.ts";
import type { FrameType } from "../protocol/frame.ts";
import { MAX_FRAME_BYTES } from "../protocol/limits.ts";

export interface TurnSenderOptions {
  /** Gets each whole message, in order, and what to call once the system took it, or it is lost. */
  readonly transmit: (message: Uint8Array<ArrayBuffer>, sent: () => void) => void;
}

/** Nothing waits while the link is idle: what is alone in its turn never does. */
export class TurnSender {
  readonly #frames: FrameSender;
  #isTurnUnderWay = false;
  /** Messages that the system has not taken yet: the room is behind, and what comes now leaves together after them. */
  #unsent = 0;
  readonly #sent = (): void => {
    this.#unsent = Math.max(0, this.#unsent - 1);
    if (!this.#isTurnUnderWay && this.#unsent === 0) this.#frames.flush();
  };
  readonly #endTurn = (): void => {
    this.#isTurnUnderWay = false;
    if (this.#unsent === 0) this.#frames.flush();
  };

  constructor(options: TurnSenderOptions) {
    this.#frames = new FrameSender({
      transmit: (message) => {
        this.#unsent += 1;
        options.transmit(message, this.#sent);
      },
      allocate: (bytes) => Buffer.allocUnsafe(bytes),
    });
  }

  /** Whether both ends said that they read several frames in one message. */
  get isBatching(): boolean {
    return this.#frames.isBatching;
  }

  set isBatching(isBatching: boolean) {
    this.#frames.isBatching = isBatching;
  }

  /** Sends one frame; arguments as `encodeFrame`'s. */
  send(type: FrameType, flags: number, streamId: number, payload?: Uint8Array): void {
    this.#frames.put(type, flags, streamId, payload);
    this.#leave();
  }

  /** Sends pieces as DATA, and credit of the direction back with them. */
  sendData(streamId: number, pieces: readonly Piece[], back: ReceiveCredit): void {
    let credit = this.isBatching ? back.goAlong() : 0;
    for (const piece of pieces) {
      this.#frames.putData(streamId, piece, credit);
      credit = 0;
    }
    this.#leave();
  }

  /** What waits leaves now: something follows that must not overtake it. */
  flush(): void {
    this.#frames.flush();
  }

  /** The link is gone: what waits with it, and what its room had said. */
  reset(): void {
    this.#frames.clear();
    this.#frames.isBatching = false;
    this.#unsent = 0;
  }

  #leave(): void {
    // Enough for a message of its own: waiting would gain nothing.
    if (this.#frames.waitingBytes >= MAX_FRAME_BYTES) this.#frames.flush();
    if (this.#isTurnUnderWay) return;
    this.#isTurnUnderWay = true;
    setImmediate(this.#endTurn);
    if (this.#unsent === 0) this.#frames.flush();
  }
}
