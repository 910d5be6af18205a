/** What the fakes of one process share: the run that is going on. Set by `World`, read by everything that stands in for a platform. */
import { Random } from "./random.ts";
import { Actor, Scheduler } from "./scheduler.ts";

/** A checker found that a promise does not hold. */
export class Violation extends Error {
  override name = "Violation";
  readonly rule: string;

  constructor(rule: string, text: string) {
    super(`${rule}: ${text}`);
    this.rule = rule;
  }
}

/** One run's clock, randomness and notebook. */
export class Sim {
  readonly scheduler: Scheduler;
  readonly seed: number;
  /** Randomness of the code under test: nonces, ids, jitter. */
  readonly entropy: Random;
  /** How long things take. */
  readonly timing: Random;
  readonly violations: Violation[] = [];
  /** Whether each line of the trace is kept, or only its hash. */
  readonly lines: string[] | null;
  #hash = [0x811c9dc5, 0x01000193];

  constructor(seed: number, isVerbose: boolean) {
    this.seed = seed;
    this.scheduler = new Scheduler(START_MS);
    this.entropy = new Random(seed, "entropy");
    this.timing = new Random(seed, "timing");
    this.lines = isVerbose ? [] : null;
  }

  /** Whether both ends of the link say that they read several frames in one message; in a quarter of the runs one is older. */
  get hasBatches(): boolean {
    return this.seed % 4 !== 0;
  }

  /** Whether both ends say that frames say their place (PROTOCOL.md FR6); in another quarter one is older. */
  get hasPlaces(): boolean {
    return this.seed % 4 !== 1;
  }

  /** One line of the trace; the trace of a seed is always the same. */
  trace(text: string): void {
    const line = `${this.scheduler.nowMs - START_MS} ${text}`;
    let [a = 0, b = 0] = this.#hash;
    for (let i = 0; i < line.length; i += 1) {
      const code = line.charCodeAt(i);
      a = Math.imul(a ^ code, 0x85ebca77);
      b = Math.imul(b ^ code, 0xc2b2ae3d);
    }
    this.#hash = [a ^ (b >>> 15), b ^ (a >>> 13)];
    this.lines?.push(line);
  }

  get traceHash(): string {
    return this.#hash.map((part) => (part >>> 0).toString(16).padStart(8, "0")).join("");
  }

  /** A promise is broken; the run ends with the first. */
  fail(rule: string, text: string): void {
    this.trace(`VIOLATION ${rule}: ${text}`);
    this.violations.push(new Violation(rule, text));
  }
}

export const START_MS = 1_800_000_000_000;

/** The run that is going on. */
export let sim = new Sim(0, false);

/** Makes another run the current one. */
export function setSim(next: Sim): void {
  sim = next;
}

export { Actor };
