/** Credit of the direction from the room (PROTOCOL.md CR); the same for both kinds of stream. */
import { ReceiveCredit } from "../../core/link/stream-credit.ts";
import type { CreditAlong } from "../../core/link/stream-credit.ts";
import { FLAG_SPLIT, FRAME_CREDIT, NO_PLACE, decodeU32, encodeU32 } from "../../protocol/frame.ts";
import type { Frame } from "../../protocol/frame.ts";
import { PROBE_COUNT_LOST } from "../../protocol/limits.ts";
import type { StreamParts } from "./stream.ts";

export class Incoming implements CreditAlong {
  readonly #parts: StreamParts;
  readonly #credit = new ReceiveCredit();
  /** The room is out of credit, and said so. */
  #isAsked = false;
  readonly #turn = (): void => this.#takeTurn();

  constructor(parts: StreamParts) {
    this.#parts = parts;
  }

  /** A DATA frame arrived. @returns false when it was not granted (CR2) */
  receive(bytes: number): boolean {
    this.#parts.downlink.received(this.#parts.id, bytes);
    return this.#credit.receive(bytes);
  }

  /** What the room may send now. */
  get openBytes(): number {
    return this.#credit.openBytes;
  }

  /** The gateway took bytes. */
  consumed(bytes: number): void {
    if (this.#parts.downlink.isSlow) {
      this.#credit.keep(bytes);
      this.#ask();
      return;
    }
    this.#grant(this.#credit.consume(bytes));
  }

  /** PROBE of the room, and the gateway can take more. */
  probed({ payload, place }: Frame): void {
    const left = decodeU32(payload) ?? 0;
    if (!this.#parts.downlink.isSlow || left === PROBE_COUNT_LOST) this.#grant(this.#credit.answerProbe(left));
    else {
      this.#isAsked = true;
      if (this.#credit.owedBytes === 0) this.#credit.askedInVain();
      else this.#ask();
    }
    // Where this frame stands tells the room whether a grant was lost (FR6).
    if (place !== NO_PLACE && this.#credit.isAskedAgain) this.withhold();
  }

  /** Nothing for now, but somebody is there. */
  withhold(): void {
    this.#send(0);
  }

  /** Says so to a room that waits only because the line is slow (CR4). */
  remind(): void {
    const { downlink } = this.#parts;
    if (downlink.isLate || downlink.isWaiting(this.#turn)) this.withhold();
  }

  goAlong(): number {
    return this.#parts.downlink.isSlow ? 0 : this.#credit.goAlong();
  }

  /** The stream is over. */
  stop(): void {
    this.#parts.downlink.leave(this.#parts.id, this.#turn);
  }

  #ask(): void {
    const { downlink } = this.#parts;
    const { owedBytes, openBytes } = this.#credit;
    const isLow = owedBytes >= downlink.pieceBytes && openBytes < downlink.lowBytes;
    if (isLow || (this.#isAsked && owedBytes > 0)) downlink.waitForTurn(this.#turn);
  }

  #takeTurn(): void {
    const { downlink, id } = this.#parts;
    const grant = this.#credit.grant(downlink.isSlow ? downlink.pieceBytes : Number.POSITIVE_INFINITY);
    this.#isAsked = false;
    if (grant === 0) return;
    downlink.lent(id, grant);
    this.#grant(grant);
    if (downlink.isSlow) this.#ask();
  }

  #grant(bytes: number): void {
    if (bytes > 0) this.#send(bytes);
  }

  #send(bytes: number): void {
    const { downlink, sendFrame, id } = this.#parts;
    sendFrame(FRAME_CREDIT, bytes > 0 && downlink.isSlow && downlink.canSplit ? FLAG_SPLIT : 0, id, encodeU32(bytes));
  }
}
