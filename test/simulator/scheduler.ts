/** Virtual time: one event at a time, in the order of time and arrival. Whoever acts (a room instance, a connector process, a browser) is an actor. */
// Named, because the bundle's own `setImmediate` is one of virtual time.
import { setImmediate } from "node:timers";

/** Somebody who runs code: timers and promises of an actor that is dead never come back. */
export class Actor {
  readonly name: string;
  /** What its clock shows, less the virtual time. */
  skewMs = 0;
  isDead = false;
  /** Work outside (crypto, D1, another object) that it waits for. */
  pending = 0;
  /** Stopped, not dead: what came meanwhile is handled when it goes on. */
  isFrozen = false;
  readonly backlog: Event[] = [];

  constructor(name: string) {
    this.name = name;
  }
}

const EVENTS_A_TURN = 64;

interface Event {
  readonly atMs: number;
  readonly seq: number;
  /** Who runs it; for what is under way to somebody, whoever that is when it arrives. */
  readonly actor: Actor | (() => Actor);
  readonly run: () => void;
  isGone: boolean;
}

export type Timer = Pick<Event, "isGone"> & { unref(): void; ref(): void };

export class Scheduler {
  nowMs: number;
  readonly world = new Actor("world");
  /** On whose behalf code runs at the moment. */
  actor: Actor = this.world;
  events = 0;
  /** An exception that the actor's code let pass: a process would end with it. */
  onError: (actor: Actor, error: unknown) => void = () => undefined;
  #seq = 0;
  readonly #heap: Event[] = [];

  constructor(nowMs: number) {
    this.nowMs = nowMs;
  }

  /** Runs `run` after `delayMs`, on behalf of `actor`, unless that one is dead by then. */
  after(delayMs: number, run: () => void, actor: Actor | (() => Actor) = this.actor): Timer {
    this.#seq += 1;
    const event = { atMs: this.nowMs + Math.max(0, Math.ceil(delayMs)), seq: this.#seq, actor, run, isGone: false, unref() {}, ref() {} };
    this.#push(event);
    return event;
  }

  /** A promise of work outside: settled after `delayMs` with what `work` then gives. */
  io<T>(delayMs: number, work: () => T): Promise<T> {
    const { actor } = this;
    actor.pending += 1;
    return new Promise((resolve, reject) => {
      this.after(delayMs, () => {
        actor.pending -= 1;
        try {
          resolve(work());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  /** Lets an actor go on with what came while it was stopped. */
  thaw(actor: Actor): void {
    actor.isFrozen = false;
    for (const event of actor.backlog.splice(0)) {
      this.after(
        0,
        () => {
          if (!event.isGone) event.run();
        },
        actor,
      );
    }
  }

  /** Runs events until the virtual time is over, or `isOver` says so. */
  run(untilMs: number, isOver: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      let isDone = false;
      let queued = 0;
      // Everything that follows from an event without waiting for the outside happens before the next one: Node empties its microtasks between two
      // immediates. Several are queued at once, because a turn of Node's own loop costs more than most events.
      const next = (): void => {
        queued -= 1;
        if (isDone) return;
        try {
          isDone = !this.#step(untilMs, isOver);
        } catch (error) {
          isDone = true;
          reject(error);
        }
        if (isDone) resolve();
        else if (queued === 0) queue();
      };
      const queue = (): void => {
        for (; queued < EVENTS_A_TURN; queued += 1) setImmediate(next);
      };
      queue();
    });
  }

  /** @returns false when there is nothing more to run */
  #step(untilMs: number, isOver: () => boolean): boolean {
    for (;;) {
      if (isOver()) return false;
      const event = this.#heap[0];
      if (event === undefined || event.atMs > untilMs) {
        this.nowMs = Math.max(this.nowMs, untilMs);
        return false;
      }
      this.#pop();
      const actor = typeof event.actor === "function" ? event.actor() : event.actor;
      if (event.isGone || actor.isDead) continue;
      this.nowMs = event.atMs;
      if (actor.isFrozen) {
        actor.backlog.push(event);
        continue;
      }
      this.actor = actor;
      this.events += 1;
      try {
        event.run();
      } catch (error) {
        this.onError(actor, error);
      }
      return true;
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent] as Event)) break;
      heap[at] = heap[parent] as Event;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Event;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event)) child += 1;
      if (!isBefore(heap[child] as Event, last)) break;
      heap[at] = heap[child] as Event;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.seq < b.seq);
}
