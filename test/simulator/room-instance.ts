/** One life of a Durable Object between two losses of memory, and its output gate. */
import type { RoomPort } from "./ports.ts";
import type { RoomAlarm } from "./room-alarm.ts";
import type { RoomSqlite } from "./room-sqlite.ts";
import { Actor } from "./scheduler.ts";
import { sim } from "./sim.ts";
import type { RoomTaps } from "./worker-socket.ts";

/** What outlives it. */
interface Host {
  readonly db: RoomSqlite;
  readonly alarm: RoomAlarm;
  readonly taps: RoomTaps;
}

export class RoomInstance {
  readonly host: Host;
  readonly actor: Actor;
  room: RoomPort | null = null;
  /** What the constructor asked to wait for before any event. */
  ready: Promise<void> | null = null;
  /** Requests, calls and events that have not ended. */
  inFlight = 0;
  /** Storage is somebody else's by now: every use of it throws. */
  isStale = false;
  /** Writes of it were lost: nothing leaves it any more. */
  isBroken = false;
  #gated: (() => void)[] = [];
  #isFlushing = false;

  constructor(host: Host, number: number) {
    this.host = host;
    this.actor = new Actor(`room#${number}`);
  }

  /** Leaves at once, or with what was written before it, or never. */
  output(effect: () => void): void {
    if (this.isBroken) return;
    if (!this.#isFlushing) effect();
    else this.#gated.push(effect);
  }

  /** Something was written: nothing leaves until it is on disk. */
  wrote(): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    this.host.db.begin();
    sim.scheduler.after(sim.timing.chance(0.7) ? 0 : sim.timing.int(1, 12), () => this.flush(), this.actor);
  }

  flush(): void {
    if (!this.#isFlushing) return;
    this.host.db.commit();
    this.host.alarm.commit();
    this.#isFlushing = false;
    for (const effect of this.#gated.splice(0)) effect();
  }

  /** What was not on disk never was. @returns whether there was any */
  drop(): boolean {
    const hadWritten = this.#isFlushing;
    if (hadWritten) {
      this.host.db.rollback();
      this.host.alarm.forget();
      this.isBroken = true;
    }
    this.#isFlushing = false;
    this.#gated = [];
    return hadWritten;
  }

  get isQuiet(): boolean {
    return this.inFlight === 0 && this.actor.pending === 0 && !this.#isFlushing;
  }
}
