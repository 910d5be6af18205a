/** The connector's heartbeat on the link, and what it tells about the way to the room: each answer is timed. */
import { HEARTBEAT_AGAIN_MS, HEARTBEAT_MISSES } from "../../protocol/limits.ts";
import type { LinkMark } from "../../core/link/link-window.ts";
import { ROOM_PING } from "../../protocol/words.ts";

/** What knows where heartbeats stand between the data. */
export interface BeatPlace {
  mark(): LinkMark;
  answered(mark: LinkMark, ms: number): void;
}

interface SentBeat {
  readonly atMs: number;
  readonly mark: LinkMark;
  readonly isTimed: boolean;
  readonly answered: ((ms: number | null) => void) | null;
}

export interface LinkBeatOptions {
  readonly send: (text: string) => void;
  readonly sender: BeatPlace;
  /** HEARTBEAT_MISSES beats in a row were not answered, and nothing else came. */
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
  #waiting: SentBeat[] = [];

  constructor(options: LinkBeatOptions) {
    this.#options = options;
  }

  /** Beats from now on; again with another pace. @param atOnce somebody came: a link that died unnoticed must show soon */
  start(everyMs: number, atOnce = false): void {
    this.#missed = 0;
    if (atOnce) this.#beat(everyMs);
    else this.#wait(everyMs);
  }

  #wait(ms: number, everyMs = ms): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#beat(everyMs), ms);
  }

  /** One that is not answered is followed by the next sooner. */
  #beat(everyMs: number): void {
    clearTimeout(this.#timer);
    if (this.#missed >= HEARTBEAT_MISSES) return this.#options.dead();
    this.#missed += 1;
    this.#send(null);
    this.#timer = setTimeout(() => {
      if (this.#missed > 0) this.#beat(everyMs);
      else this.#wait(everyMs - HEARTBEAT_AGAIN_MS, everyMs);
    }, HEARTBEAT_AGAIN_MS);
  }

  /** The link is gone: who waits for an answer hears that none comes. */
  stop(): void {
    clearTimeout(this.#timer);
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
    if (sent.isTimed) this.#options.timed(ms);
    sent.answered?.(ms);
    this.#options.sender.answered(sent.mark, ms);
  }

  /** One beat more, for somebody who wants to know. @returns its milliseconds, or null when the link went before the answer */
  once(): Promise<number | null> {
    return new Promise((resolve) => this.#send(resolve));
  }

  /** One that only marks how far data has come: it may have waited behind what it marks, so its time is no hop's. */
  markData(): void {
    this.#send(null, false);
  }

  #send(answered: ((ms: number | null) => void) | null, isTimed = true): void {
    this.#waiting.push({ atMs: this.#options.clock(), mark: this.#options.sender.mark(), isTimed, answered });
    this.#options.send(ROOM_PING);
  }
}
