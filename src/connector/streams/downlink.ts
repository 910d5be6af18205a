/** The line from the room: streams ask here before they grant credit, and take turns where it is slow (PROTOCOL.md CR12). */
import { LinkCredit } from "../../core/link/link-credit.ts";
import { LENT_REMIND_MS } from "../../protocol/limits.ts";
import type { Downlink } from "./stream.ts";

export interface PacedDownlinkOptions {
  /** Milliseconds that only ever grow. */
  readonly clock: () => number;
  /** Sends a heartbeat; `beatSent` is called for it, and `beatAnswered` with its answer. */
  readonly beat: () => void;
  /** Streams that are open. */
  readonly streams: () => number;
}

export class PacedDownlink implements Downlink {
  readonly #options: PacedDownlinkOptions;
  #credit = new LinkCredit();
  /** Streams that could use more credit, in the order of their turns. */
  readonly #waiting = new Set<() => void>();
  #isTakingTurns = false;
  #remindedAtMs = 0;
  /** Whether the room cuts its pieces to what credit it has. */
  canSplit = false;

  constructor(options: PacedDownlinkOptions) {
    this.#options = options;
  }

  get isSlow(): boolean {
    return this.#credit.isLending;
  }

  get pieceBytes(): number {
    return this.#credit.pieceBytes(this.canSplit);
  }

  get lowBytes(): number {
    return this.#credit.lowBytes(this.canSplit);
  }

  received(stream: number, bytes: number): void {
    const { clock, beat, streams } = this.#options;
    if (this.#credit.received(stream, bytes, clock(), streams())) beat();
    this.#takeTurns();
  }

  waitForTurn(turn: () => void): void {
    this.#waiting.add(turn);
    this.#takeTurns();
  }

  isWaiting(turn: () => void): boolean {
    return this.#waiting.has(turn);
  }

  lent(stream: number, bytes: number): void {
    if (!this.isSlow) return;
    // Before it: what is lent now counts until the answer to a later one.
    if (!this.#credit.isBeatUnderWay) this.#options.beat();
    this.#credit.lend(stream, bytes);
  }

  leave(stream: number, turn: () => void): void {
    this.#waiting.delete(turn);
    this.#credit.over(stream);
    this.#takeTurns();
  }

  /** @returns whether senders that wait should hear now that somebody is there */
  isReminding(): boolean {
    const nowMs = this.#options.clock();
    if (!this.isSlow || nowMs - this.#remindedAtMs < LENT_REMIND_MS) return false;
    this.#remindedAtMs = nowMs;
    return true;
  }

  get isLate(): boolean {
    return this.#credit.isLate(this.#options.clock());
  }

  beatSent(): void {
    this.#credit.beat(this.#options.clock());
  }

  beatAnswered(): void {
    this.#credit.answered(this.#options.clock());
    this.#takeTurns();
    // What idle streams were lent comes back with an answer.
    if (this.#waiting.size > 0 && !this.#credit.isBeatUnderWay) this.#options.beat();
  }

  /** The link is gone: the next one has another line. */
  reset(): void {
    this.#waiting.clear();
    this.#credit = new LinkCredit();
    this.canSplit = false;
  }

  #takeTurns(): void {
    if (this.#waiting.size === 0 || this.#isTakingTurns) return;
    this.#isTakingTurns = true;
    try {
      // One that could use more comes again, after the others.
      for (const turn of this.#waiting) {
        if (this.#credit.freeBytes(this.#options.clock()) <= 0) return;
        this.#waiting.delete(turn);
        turn();
      }
    } finally {
      this.#isTakingTurns = false;
    }
  }
}
