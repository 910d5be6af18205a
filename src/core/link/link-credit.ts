/**
 * How much credit is lent on a line that is slow downwards, so that what is small and urgent does not wait long behind data that others send
 * (PROTOCOL.md CR12). The receiver's half: it paces by what it grants. Plain numbers, no clock of its own.
 */
import {
  INITIAL_CREDIT_BYTES,
  LENT_LATE_BYTES,
  LENT_LOW_MAX_BYTES,
  LENT_PIECE_MIN_BYTES,
  LENT_WINDOW_MIN_BYTES,
  LINK_QUEUE_MS,
  MARK_EVERY_MS,
  MAX_FRAME_PAYLOAD_BYTES,
} from "../../protocol/limits.ts";

/** A heartbeat under way; answers come in order. */
interface Beat {
  readonly atMs: number;
  /** Data that had come by then. */
  readonly receivedBytes: number;
  /** Windows that there had been. */
  readonly windows: number;
  readonly count: number;
}

interface Lent {
  readonly bytes: number;
  /** Heartbeats sent before it. */
  readonly beats: number;
}

/**
 * A heartbeat's answer queues behind the data that is under way, so one that is late says that there is too much of it. From then on credit is
 * lent: all of it together at most what the line carries in LINK_QUEUE_MS, until the line carries as much as the streams may send anyway.
 */
export class LinkCredit {
  #received = 0;
  #beats: Beat[] = [];
  #beatCount = 0;
  /** Round trip with nothing before it; null while none is known. */
  #restMs: number | null = null;
  /** Null: no answer was late. */
  #window: number | null = null;
  #windows = 0;
  /** Since the window is what it is, or was last found not to be used: when, and data that had come. */
  #since = { ms: 0, receivedBytes: 0 };
  readonly #lent = new Map<number, Lent>();
  #lentBytes = 0;
  #lastBeat = { ms: 0, receivedBytes: 0 };

  /** Whether credit is lent, not granted as it comes. */
  get isLending(): boolean {
    return this.#window !== null;
  }

  /** Bytes that may be lent to one stream at a time: a fourth of the window, so that streams take turns. @param canSplit the sender cuts its pieces to what it has; else less than one would be of no use */
  pieceBytes(canSplit: boolean): number {
    if (!canSplit) return MAX_FRAME_PAYLOAD_BYTES;
    return Math.min(MAX_FRAME_PAYLOAD_BYTES, Math.max(LENT_PIECE_MIN_BYTES, (this.#window ?? 0) >> 2));
  }

  /** A stream with less left than this may ask for more before it is out of credit. */
  lowBytes(canSplit: boolean): number {
    return Math.min(LENT_LOW_MAX_BYTES, Math.max(this.pieceBytes(canSplit), (this.#window ?? 0) >> 1));
  }

  /** Bytes that are lent, and neither came nor were left unused. */
  get lentBytes(): number {
    return this.#lentBytes;
  }

  /** Whether a heartbeat is unanswered for so long that what was granted before will be late: nothing more is lent meanwhile. */
  isLate(nowMs: number): boolean {
    const [first] = this.#beats;
    return first !== undefined && this.#isLate(nowMs - first.atMs, this.#received - first.receivedBytes);
  }

  get isBeatUnderWay(): boolean {
    return this.#beats.length > 0;
  }

  /** @returns bytes that may be lent now; not positive when nothing may */
  freeBytes(nowMs: number): number {
    if (this.#window === null) return Number.POSITIVE_INFINITY;
    return this.isLate(nowMs) ? 0 : this.#window - this.#lentBytes;
  }

  /** That much was lent to a stream. */
  lend(stream: number, bytes: number): void {
    if (this.#window === null) return;
    const before = this.#lent.get(stream)?.bytes ?? 0;
    this.#lent.set(stream, { bytes: before + bytes, beats: this.#beatCount });
    this.#lentBytes += bytes;
  }

  /**
   * Data of a stream came.
   *
   * @param streams open ones: each may have a full window under way
   * @returns whether a heartbeat is due, because at this pace what may be under way would take too long
   */
  received(stream: number, bytes: number, nowMs: number, streams: number): boolean {
    this.#received += bytes;
    const lent = this.#lent.get(stream);
    if (lent !== undefined) this.#giveBack(stream, lent, Math.min(lent.bytes, bytes));
    if (this.#window === null && this.isLate(nowMs)) {
      const [first] = this.#beats as [Beat];
      this.#setWindow(this.#fitting(nowMs - first.atMs, this.#received - first.receivedBytes), nowMs);
    }
    if (this.#beats.length > 0) return false;
    const ms = nowMs - this.#lastBeat.ms;
    const came = this.#received - this.#lastBeat.receivedBytes;
    return ms >= MARK_EVERY_MS && came >= LENT_LATE_BYTES && came * LINK_QUEUE_MS < ms * streams * INITIAL_CREDIT_BYTES;
  }

  /** The stream is over: what it was lent is nobody's. */
  over(stream: number): void {
    const lent = this.#lent.get(stream);
    if (lent !== undefined) this.#giveBack(stream, lent, lent.bytes);
  }

  /** A heartbeat leaves. */
  beat(nowMs: number): void {
    this.#beatCount += 1;
    this.#lastBeat = { ms: nowMs, receivedBytes: this.#received };
    this.#beats.push({ atMs: nowMs, receivedBytes: this.#received, windows: this.#windows, count: this.#beatCount });
  }

  /** The oldest heartbeat was answered. */
  answered(nowMs: number): void {
    const beat = this.#beats.shift();
    if (beat === undefined) return;
    const ms = nowMs - beat.atMs;
    const crossed = this.#received - beat.receivedBytes;
    // Lent before, and not used although the answer to something later is here: it is not under way.
    for (const [stream, lent] of this.#lent) if (lent.beats < beat.count) this.#giveBack(stream, lent, lent.bytes);
    if (this.#isLate(ms, crossed)) return this.#wasLate(beat, ms, crossed, nowMs);
    if (this.#restMs === null || ms < this.#restMs) this.#restMs = ms;
    if (this.#window !== null && beat.windows === this.#windows && ms - this.#restMs <= LINK_QUEUE_MS / 4)
      this.#wasEarly(this.#window, nowMs);
  }

  #isLate(ms: number, crossed: number): boolean {
    // So little says nothing about the line: the answer was late for another reason.
    return crossed >= LENT_LATE_BYTES && ms - (this.#restMs ?? 0) > LINK_QUEUE_MS;
  }

  #fitting(ms: number, crossed: number): number {
    return Math.max(LENT_WINDOW_MIN_BYTES, (crossed * (LINK_QUEUE_MS + (this.#restMs ?? 0))) / ms);
  }

  #wasLate(beat: Beat, ms: number, crossed: number, nowMs: number): void {
    const fitting = this.#fitting(ms, crossed);
    // Before the window was what it is: it tells how fast the line is, not whether the window fits.
    if (this.#window === null || beat.windows !== this.#windows) return this.#setWindow(Math.max(this.#window ?? 0, fitting), nowMs);
    // With so little under way it is others who keep the line busy: their queue is part of the way.
    if (this.#window === LENT_WINDOW_MIN_BYTES) this.#restMs = ms;
    this.#setWindow(Math.max(LENT_WINDOW_MIN_BYTES, this.#window / 2, Math.min(this.#window, fitting)), nowMs);
  }

  /** There was hardly a queue: twice as much may be under way, if so much was really used. */
  #wasEarly(window: number, nowMs: number): void {
    const ms = nowMs - this.#since.ms;
    const came = this.#received - this.#since.receivedBytes;
    const mayTakeMs = 2 * LINK_QUEUE_MS + (this.#restMs ?? 0);
    if (came < window || came * mayTakeMs < window * ms) {
      if (ms > mayTakeMs) this.#since = { ms: nowMs, receivedBytes: this.#received };
      return;
    }
    this.#setWindow(2 * window, nowMs);
    if (2 * window < INITIAL_CREDIT_BYTES * Math.max(1, this.#lent.size)) return;
    this.#window = null;
    this.#lent.clear();
    this.#lentBytes = 0;
  }

  #setWindow(bytes: number, nowMs: number): void {
    this.#window = Math.floor(bytes);
    this.#windows += 1;
    this.#since = { ms: nowMs, receivedBytes: this.#received };
  }

  #giveBack(stream: number, lent: Lent, bytes: number): void {
    this.#lentBytes -= bytes;
    if (bytes === lent.bytes) this.#lent.delete(stream);
    else this.#lent.set(stream, { ...lent, bytes: lent.bytes - bytes });
  }
}
