/** The connector's heartbeat on the link, and what it tells about the way to the room: each answer is timed. */
import { HEARTBEAT_MISSES } from "../protocol/limits.ts";
import { ROOM_PING } from "../protocol/words.ts";

export interface LinkBeatOptions {
  readonly send: (text: string) => void;
  /** Two beats in a row were not answered. */
  readonly dead: () => void;
  /** Milliseconds that only ever grow. */
  readonly clock: () => number;
  /** One round trip to the room, milliseconds. */
  readonly timed: (ms: number) => void;
}

export class LinkBeat {
  readonly #options: LinkBeatOptions;
  #timer: NodeJS.Timeout | undefined;
  #missed = 0;
  /** Sent and not answered; answers come in order. */
  #waiting: { readonly atMs: number; readonly answered: ((ms: number | null) => void) | null }[] = [];

  constructor(options: LinkBeatOptions) {
    this.#options = options;
  }

  /** Beats from now on; again with another pace. */
  start(everyMs: number): void {
    clearInterval(this.#timer);
    this.#missed = 0;
    this.#timer = setInterval(() => {
      if (this.#missed >= HEARTBEAT_MISSES) return this.#options.dead();
      this.#missed += 1;
      this.#send(null);
    }, everyMs);
  }

  /** The link is gone: who waits for an answer hears that none comes. */
  stop(): void {
    clearInterval(this.#timer);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { answered } of waiting) answered?.(null);
  }

  /** Something else came from the room: a sign of life, too. Over a slow uplink the pong waits behind the data that its ping was behind. */
  heard(): void {
    this.#missed = 0;
  }

  /** The room's runtime answered; the room itself slept on. */
  pong(): void {
    this.#missed = 0;
    const sent = this.#waiting.shift();
    if (sent === undefined) return;
    const ms = Math.max(0, this.#options.clock() - sent.atMs);
    this.#options.timed(ms);
    sent.answered?.(ms);
  }

  /** One beat more, for somebody who wants to know. @returns its milliseconds, or null when the link went before the answer */
  once(): Promise<number | null> {
    return new Promise((resolve) => this.#send(resolve));
  }

  #send(answered: ((ms: number | null) => void) | null): void {
    this.#waiting.push({ atMs: this.#options.clock(), answered });
    this.#options.send(ROOM_PING);
  }
}
