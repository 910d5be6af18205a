/** Byte credit of one direction of one stream (PROTOCOL.md CR). Plain numbers, no clock of its own. */
import { CREDIT_STEP_BYTES, INITIAL_CREDIT_BYTES, PROBE_INTERVAL_MS, STALLED_STREAM_MS, WAKE_CREDIT_BYTES } from "../protocol/limits.ts";

/** The sending end: what may still go out. */
export class SendCredit {
  #left: number;
  #blockedSinceMs: number | null = null;
  #probedAtMs: number | null = null;

  /** @param afterWake the room lost its memory of this stream (CR5) */
  constructor(afterWake = false) {
    this.#left = afterWake ? WAKE_CREDIT_BYTES : INITIAL_CREDIT_BYTES;
  }

  get left(): number {
    return this.#left;
  }

  /** Spends credit for one payload. @returns false, and spends nothing, when there is too little */
  spend(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** CREDIT arrived. */
  grant(bytes: number): void {
    this.#left += bytes;
    this.#blockedSinceMs = null;
    this.#probedAtMs = null;
  }

  /**
   * Something waits and there is no credit for it: what to do now (CR4).
   *
   * @returns `probe` at once and then every second, `stalled` after 10 s without a grant, else `wait`
   */
  blocked(nowMs: number): "probe" | "stalled" | "wait" {
    this.#blockedSinceMs ??= nowMs;
    if (nowMs - this.#blockedSinceMs >= STALLED_STREAM_MS) return "stalled";
    if (this.#probedAtMs !== null && nowMs - this.#probedAtMs < PROBE_INTERVAL_MS) return "wait";
    this.#probedAtMs = nowMs;
    return "probe";
  }
}

/** The receiving end: what it owes the sender. */
export class ReceiveCredit {
  #open = INITIAL_CREDIT_BYTES;
  #consumed = 0;

  /**
   * A DATA frame arrived.
   *
   * @returns false when the sender had neither this much credit nor the second window that CR5 allows
   */
  receive(bytes: number): boolean {
    this.#open -= bytes;
    return this.#open >= -INITIAL_CREDIT_BYTES;
  }

  /** The final consumer took bytes. @returns credit to grant now; 0 while it is less than one step */
  consume(bytes: number): number {
    this.#consumed += bytes;
    if (this.#consumed < CREDIT_STEP_BYTES) return 0;
    const grant = this.#consumed;
    this.#consumed = 0;
    this.#open += grant;
    return grant;
  }

  /**
   * The sender asks (CR4) and the consumer can take more.
   *
   * @param leftBytes credit that the sender says it has
   * @returns credit to grant, so that it has a full window again; 0 when it has one
   */
  answerProbe(leftBytes: number): number {
    const grant = Math.max(0, INITIAL_CREDIT_BYTES - leftBytes);
    this.#open = leftBytes + grant;
    this.#consumed = 0;
    return grant;
  }
}
