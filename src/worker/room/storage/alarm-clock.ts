/** One alarm for the many times at which a room wants to be awake. */

/** What of the room's storage it needs. */
export interface AlarmStorage {
  getAlarm(): Promise<number | null>;
  setAlarm(atMs: number): Promise<void>;
}

/**
 * Keeps the platform's one alarm at the earliest time that anybody asked for. What is asked for before the stored alarm is known waits for
 * it, because setting one replaces the other.
 */
export class AlarmClock {
  readonly #storage: AlarmStorage;
  #isKnown = false;
  /** Before the stored alarm is known: the earliest wish. After it: the alarm. */
  #atMs: number | null = null;
  #isOff = false;

  constructor(storage: AlarmStorage) {
    this.#storage = storage;
  }

  /** Learns the stored alarm; called once, before any event. */
  async learn(): Promise<void> {
    const storedMs = await this.#storage.getAlarm();
    const wishMs = this.#atMs;
    this.#atMs = storedMs;
    this.#isKnown = true;
    if (wishMs !== null) this.wakeBy(wishMs);
  }

  /** @param atMs be awake by then, epoch milliseconds; an alarm that rings earlier stays as it is */
  wakeBy(atMs: number): void {
    if (this.#isOff || (this.#atMs !== null && this.#atMs <= atMs)) return;
    this.#atMs = atMs;
    if (this.#isKnown) void this.#storage.setAlarm(atMs);
  }

  /** The platform has rung: no alarm is set any more. */
  rang(): void {
    this.#atMs = null;
  }

  /** No alarm is set from here on. */
  turnOff(): void {
    this.#isOff = true;
  }
}
