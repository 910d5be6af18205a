/** What D1 must hear: committed in the room first, drained by the alarm, in order and idempotently. */
import type { OutboxEvent } from "../../db/room-writes.ts";
import { writeOutboxEvent } from "../../db/room-writes.ts";
import type { Env } from "../../env.ts";
import type { FailureReport } from "../../failures.ts";
import type { RoomStorage } from "../storage/storage.ts";

export interface OutboxOptions {
  readonly env: Env;
  readonly storage: RoomStorage;
  readonly now: () => number;
  readonly wakeBy: (atMs: number) => void;
  /** So many rows were written in D1. */
  readonly wrote: (rows: number) => void;
  readonly report: FailureReport;
}

const OUTBOX_BATCH = 50;
const OUTBOX_RETRY_MS = 5_000;
const OUTBOX_RETRY_MAX_MS = 5 * 60_000;

export class Outbox {
  readonly #options: OutboxOptions;
  #failures = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  add(event: OutboxEvent): void {
    this.#options.storage.toOutbox(event);
    this.#options.wakeBy(this.#options.now());
  }

  /** Drains in order; stops at the first failure. @returns when to try again, or null when all is written */
  async drain(): Promise<number | null> {
    const { storage, env, now, wrote, report } = this.#options;
    for (;;) {
      const batch = storage.outbox(OUTBOX_BATCH);
      if (batch.length === 0) {
        this.#failures = 0;
        return null;
      }
      for (const { seq, event } of batch) {
        try {
          wrote(await writeOutboxEvent(env.DB, seq, event));
        } catch (error) {
          report("outbox", error);
          this.#failures += 1;
          return now() + Math.min(OUTBOX_RETRY_MAX_MS, OUTBOX_RETRY_MS * 2 ** this.#failures);
        }
        storage.outboxDone(seq);
      }
    }
  }
}
