/** The one alarm of a Durable Object: on disk like everything else, often late, at least once. */
import type { RoomPort } from "./ports.ts";
import { sim } from "./sim.ts";

/** A call of the object, awake or not. @returns null when it broke off */
type Call = <T>(work: (room: RoomPort) => Promise<T>) => Promise<T | null>;

export class RoomAlarm {
  readonly #call: Call;
  #writtenMs: number | null = null;
  #unwritten: number | null | undefined;
  #timer: { isGone: boolean } | null = null;

  constructor(call: Call) {
    this.#call = call;
  }

  /** What it is set to, also when that is not on disk yet; null: to nothing. */
  get atMs(): number | null {
    return this.#unwritten === undefined ? this.#writtenMs : this.#unwritten;
  }

  /** In force once it is on disk. */
  set(atMs: number | null): void {
    this.#unwritten = atMs;
  }

  commit(): void {
    if (this.#unwritten === undefined) return;
    this.#writtenMs = this.#unwritten;
    this.#unwritten = undefined;
    this.#arm();
  }

  /** What is not on disk is lost. */
  forget(): void {
    this.#unwritten = undefined;
  }

  #arm(): void {
    if (this.#timer !== null) this.#timer.isGone = true;
    this.#timer = null;
    const atMs = this.#writtenMs;
    if (atMs === null) return;
    const { scheduler, timing } = sim;
    const lateMs = timing.weighted([
      [0, 6],
      [timing.int(1, 200), 4],
      [timing.int(200, 8_000), 1],
    ] as const);
    this.#timer = scheduler.after(Math.max(0, atMs - scheduler.nowMs) + lateMs, () => this.#ring(atMs), scheduler.world);
  }

  #ring(atMs: number): void {
    this.#timer = null;
    if (this.#writtenMs !== atMs) return;
    // While it runs there is none, but what was set is only gone when it ended: at least once.
    this.#writtenMs = null;
    const isTwice = sim.timing.chance(0.05);
    void this.#call(async (room) => {
      await room.alarm();
      return true;
    }).then((isDone) => {
      if (isDone === true && !isTwice) return;
      const { scheduler, timing } = sim;
      scheduler.after(timing.int(0, 2_000), () => void this.#call((room) => room.alarm()), scheduler.world);
    });
  }
}
