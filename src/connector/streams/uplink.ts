/**
 * Frames to the room: the first of a turn of the event loop leaves at once, those that follow in the same turn leave together (PROTOCOL.md FR5).
 * Data of many bytes waits in its stream until the line has room for it, and streams take turns; what is small goes ahead of it (CR10).
 */
import type { SendOrder } from "../../core/link/frame-order.ts";
import { FrameSender } from "../../core/link/frame-sender.ts";
import { LinkWindow } from "../../core/link/link-window.ts";
import type { LinkMark } from "../../core/link/link-window.ts";
import type { Piece } from "../../core/link/message-frames.ts";
import type { CreditAlong } from "../../core/link/stream-credit.ts";
import type { FrameType } from "../../protocol/frame.ts";
import { LINK_UNSENT_HIGH_BYTES, MAX_FRAME_BYTES } from "../../protocol/limits.ts";
import type { Uplink } from "./stream.ts";

export interface TurnSenderOptions {
  /** Gets each whole message, in order, and what to call once the system took it, or it is lost. */
  readonly transmit: (message: Uint8Array<ArrayBuffer>, sent: () => void) => void;
  /** @returns bytes of the socket that the system has not taken */
  readonly unsentBytes: () => number;
  /** Sends a heartbeat; `mark` is called for it, and `answered` with its answer. */
  readonly beat: () => void;
}

/** Nothing waits while the link is idle: what is alone in its turn never does. */
export class TurnSender implements Uplink {
  readonly #options: TurnSenderOptions;
  readonly #frames: FrameSender;
  #window = new LinkWindow();
  /** Streams with data that waits for room, in the order of their turns. */
  readonly #waiting = new Set<() => void>();
  #isTurnUnderWay = false;
  #isCollecting = false;
  /** Messages that the system has not taken yet: the room is behind, and what comes now leaves together after them. */
  #unsent = 0;
  readonly #sent = (): void => {
    this.#unsent = Math.max(0, this.#unsent - 1);
    if (!this.#isTurnUnderWay && this.#unsent === 0) this.#frames.flush();
    if (this.#waiting.size > 0) this.#takeTurns();
  };
  readonly #endTurn = (): void => {
    this.#isTurnUnderWay = false;
    if (this.#unsent === 0) this.#frames.flush();
  };

  constructor(options: TurnSenderOptions) {
    this.#options = options;
    this.#frames = new FrameSender({
      transmit: (message) => {
        if (this.#window.isUnmarked) options.beat();
        this.#unsent += 1;
        options.transmit(message, this.#sent);
        if (this.#window.sent(message.byteLength)) options.beat();
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

  /** Whether both ends said that frames say their place. */
  get hasPlaces(): boolean {
    return this.#frames.hasPlaces;
  }

  set hasPlaces(hasPlaces: boolean) {
    this.#frames.hasPlaces = hasPlaces;
  }

  get freeBytes(): number {
    return this.#waiting.size > 0 ? 0 : this.#lineBytes;
  }

  get pieceBytes(): number {
    return this.#window.pieceBytes;
  }

  get handedBytes(): number {
    // What is being collected leaves as one message.
    return this.#window.sentBytes + Math.sign(this.#frames.waitingBytes);
  }

  hasArrived(handedBytes: number): boolean {
    return this.#window.hasArrived(handedBytes);
  }

  waitForTurn(turn: () => void): void {
    this.#waiting.add(turn);
  }

  leaveTurns(turn: () => void): void {
    this.#waiting.delete(turn);
  }

  /** Sends one frame at once; arguments as `encodeFrame`'s. @param order of its stream, if it has one */
  send(type: FrameType, flags: number, streamId: number, payload?: Uint8Array, order?: SendOrder): void {
    this.#frames.put(type, flags, streamId, payload, order);
    this.#leave();
  }

  /** Sends pieces as DATA, and credit of the direction back with them. */
  sendData(streamId: number, pieces: readonly Piece[], back: CreditAlong, order?: SendOrder): void {
    let credit = this.isBatching ? back.goAlong() : 0;
    for (const piece of pieces) {
      this.#frames.putData(streamId, piece, credit, order);
      credit = 0;
    }
    this.#leave();
  }

  together(work: () => void): void {
    if (this.#isCollecting) return work();
    this.#isCollecting = true;
    try {
      work();
    } finally {
      this.#isCollecting = false;
      if (this.#frames.waitingBytes > 0) this.#leave();
    }
  }

  /** What waits leaves now: something follows that must not overtake it. */
  flush(): void {
    this.#frames.flush();
  }

  /** A heartbeat leaves. @returns its place, for `answered` */
  mark(): LinkMark {
    return this.#window.mark();
  }

  /** A heartbeat was answered after so many milliseconds: what left before it has arrived. */
  answered(mark: LinkMark, ms: number): void {
    if (this.#window.answered(mark, ms)) this.#options.beat();
    this.#takeTurns();
  }

  /** The link is gone: what waits with it, and what its room had said. */
  reset(): void {
    this.#frames.clear();
    this.#frames.isBatching = false;
    this.#frames.hasPlaces = false;
    this.#waiting.clear();
    this.#window = new LinkWindow();
    this.#unsent = 0;
  }

  /** Bytes that the line has room for. */
  get #lineBytes(): number {
    if (this.#unsent > 0 && this.#options.unsentBytes() >= LINK_UNSENT_HIGH_BYTES) return 0;
    return this.#window.freeBytes - this.#frames.waitingBytes;
  }

  #takeTurns(): void {
    // One that has more to send comes again, after the others.
    for (const turn of this.#waiting) {
      if (this.#lineBytes <= 0) return;
      this.#waiting.delete(turn);
      turn();
    }
  }

  #leave(): void {
    if (this.#isCollecting) return;
    // Enough for a message of its own: waiting would gain nothing.
    if (this.#frames.waitingBytes >= MAX_FRAME_BYTES) this.#frames.flush();
    if (this.#isTurnUnderWay) return;
    this.#isTurnUnderWay = true;
    setImmediate(this.#endTurn);
    if (this.#unsent === 0) this.#frames.flush();
  }
}
