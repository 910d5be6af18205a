/** Byte credit of one direction of one stream (PROTOCOL.md CR). Plain numbers, no clock of its own. */
import {
  CREDIT_ALONG_BYTES,
  CREDIT_LATE_BYTES,
  CREDIT_STEP_BYTES,
  INITIAL_CREDIT_BYTES,
  PROBE_COUNT_LOST,
  PROBE_INTERVAL_MS,
  PROBES_STILL,
  STALLED_STREAM_MS,
  WAKE_CREDIT_BYTES,
} from "../../protocol/limits.ts";

/** The sending end: what may still go out. */
export class SendCredit {
  #left: number;
  #blockedSinceMs: number | null = null;
  /** Since when something waits and no byte of credit came. */
  #stillSinceMs: number | null = null;
  #probedAtMs: number | null = null;
  #isCountLost: boolean;

  /** @param afterWake the room lost its memory of this stream (CR5) */
  constructor(afterWake = false) {
    this.#left = afterWake ? WAKE_CREDIT_BYTES : INITIAL_CREDIT_BYTES;
    this.#isCountLost = afterWake;
  }

  get left(): number {
    return this.#left;
  }

  /** @returns what PROBE says: the credit left, or once after a wake that the count was lost */
  probeValue(): number {
    if (!this.#isCountLost) return this.#left;
    this.#isCountLost = false;
    return PROBE_COUNT_LOST;
  }

  /** Spends credit for one payload. @returns false, and spends nothing, when there is too little */
  spend(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** CREDIT arrived. A grant of nothing says that the receiver is alive and must wait itself: the stream does not stall, the next probe keeps its time (CR4). */
  grant(bytes: number): void {
    this.#left += bytes;
    this.#blockedSinceMs = null;
    if (bytes === 0) return;
    this.#probedAtMs = null;
    this.#stillSinceMs = null;
  }

  /** The time without an answer begins here: the probe is known to have arrived only now. */
  waitAnew(nowMs: number): void {
    this.#blockedSinceMs = nowMs;
  }

  /** @returns whether what waits got no credit for two probes: the receiver takes nothing, and not only less than comes (CR6) */
  isStill(nowMs: number): boolean {
    return this.#stillSinceMs !== null && nowMs - this.#stillSinceMs >= PROBES_STILL * PROBE_INTERVAL_MS;
  }

  /**
   * Something waits and there is no credit for it: what to do now (CR4).
   *
   * @returns `probe` at once and then every second, `stalled` after 10 s without a grant, else `wait`
   */
  blocked(nowMs: number): "probe" | "stalled" | "wait" {
    this.#blockedSinceMs ??= nowMs;
    this.#stillSinceMs ??= nowMs;
    if (nowMs - this.#blockedSinceMs >= STALLED_STREAM_MS) return "stalled";
    if (this.#probedAtMs !== null && nowMs - this.#probedAtMs < PROBE_INTERVAL_MS) return "wait";
    this.#probedAtMs = nowMs;
    return "probe";
  }
}

/** Credit that may go along with a frame of the other direction. */
export interface CreditAlong {
  /** @returns bytes to grant with it; 0 for none */
  goAlong(): number;
}

/** The receiving end: what it owes the sender. */
export class ReceiveCredit implements CreditAlong {
  #open = INITIAL_CREDIT_BYTES;
  #consumed = 0;
  #isCountKnown: boolean;
  /** A frame of the other direction left since the last grant of its own: the next ones may take grants along. */
  #hasCompany = false;
  /** Probes since the last grant. */
  #asked = 0;

  /** @param afterWake the room lost its memory of this stream (CR5) */
  constructor(afterWake = false) {
    this.#isCountKnown = !afterWake;
  }

  /** Whether the sender asked twice since the last grant: that one is late, or it is lost, and then any frame after it tells (CR4, FR6). */
  get isAskedAgain(): boolean {
    return this.#asked > 1;
  }

  /**
   * A DATA frame arrived.
   *
   * @returns false when the sender had neither this much credit nor the second window that CR5 allows
   */
  receive(bytes: number): boolean {
    this.#open -= bytes;
    return this.#open >= -INITIAL_CREDIT_BYTES;
  }

  /**
   * The final consumer took bytes.
   *
   * @returns credit to grant now; 0 while it is less than one step, or half a window where frames of the other direction take grants along
   */
  consume(bytes: number): number {
    this.#consumed += bytes;
    if (this.#consumed < (this.#hasCompany ? CREDIT_LATE_BYTES : CREDIT_STEP_BYTES)) return 0;
    this.#hasCompany = false;
    return this.#grantConsumed();
  }

  /** A frame of this stream's other direction leaves, in a message that can carry more. @returns credit to grant with it; 0 when it is too little to matter */
  goAlong(): number {
    this.#hasCompany = true;
    return this.#consumed < CREDIT_ALONG_BYTES ? 0 : this.#grantConsumed();
  }

  /** Granted and not come yet. */
  get openBytes(): number {
    return this.#open;
  }

  /** Consumed and not granted yet. */
  get owedBytes(): number {
    return this.#consumed;
  }

  /** The final consumer took bytes; whoever paces the line says when they are granted (CR12). */
  keep(bytes: number): void {
    this.#consumed += bytes;
  }

  /** @returns credit to grant now: what is owed, and no more than `mostBytes` */
  grant(mostBytes: number): number {
    const grant = Math.min(this.#consumed, mostBytes);
    this.#consumed -= grant;
    if (grant > 0) this.#asked = 0;
    this.#open += grant;
    return grant;
  }

  #grantConsumed(): number {
    return this.grant(this.#consumed);
  }

  /** The sender asks, and nothing is owed: what it waits for is under way, or lost. */
  askedInVain(): void {
    this.#asked += 1;
  }

  /**
   * The sender asks (CR4) and the consumer can take more.
   *
   * @param left credit that the sender says it has, or PROBE_COUNT_LOST
   * @param consumedBytes taken by the consumer since the last `consume`
   * @returns credit to grant; 0 when grants are under way or nothing was consumed yet. A full window when either end lost its count:
   *   otherwise the number in the probe is older than the grants on their way, and counting by it would let credit grow.
   */
  answerProbe(left: number, consumedBytes = 0): number {
    this.#consumed += consumedBytes;
    const isLost = left === PROBE_COUNT_LOST || !this.#isCountKnown;
    const grant = isLost ? Math.max(0, INITIAL_CREDIT_BYTES - (left === PROBE_COUNT_LOST ? 0 : left)) : this.#consumed;
    this.#open = isLost ? INITIAL_CREDIT_BYTES : this.#open + grant;
    this.#consumed = 0;
    this.#isCountKnown = true;
    if (grant > 0) this.#asked = 0;
    else this.askedInVain();
    return grant;
  }

  /**
   * What to answer to a probe: as `answerProbe`, and where nothing is owed for the second time a grant of nothing, whose place tells the sender
   * whether the grant before it is only late (FR6).
   *
   * @param hasPlace frames of this stream say their place
   * @returns bytes for CREDIT; null: no answer
   */
  creditForProbe(left: number, hasPlace: boolean, consumedBytes = 0): number | null {
    const grant = this.answerProbe(left, consumedBytes);
    return grant > 0 || (hasPlace && this.isAskedAgain) ? grant : null;
  }
}
