/** Places for handshakes at the gateway. OpenClaw answers 503 at 32 unauthenticated sockets of one address, and all of ours share one. */
import { MAX_DEVICE_HANDSHAKES, MAX_LOCAL_HANDSHAKES } from "../../protocol/limits.ts";

export interface Place {
  /** Gives the place back. Safe to call more than once. */
  release(): void;
  /** Counts the place again although it was given back: the socket is in a handshake after all. */
  retake(): void;
}

interface Queue {
  taken: number;
  readonly waiting: (() => void)[];
}

export class HandshakePlaces {
  #taken = 0;
  #isServing = false;
  /** In order of turns: the device that started last stands at the end. */
  readonly #queues = new Map<string, Queue>();

  /** @param run called once the device has a place, at once or later, in the order of its calls */
  take(device: string, run: (place: Place) => void): void {
    this.#queueOf(device).waiting.push(() => run(this.#newPlace(device)));
    this.#serve();
  }

  #queueOf(device: string): Queue {
    const queue = this.#queues.get(device) ?? { taken: 0, waiting: [] };
    this.#queues.set(device, queue);
    return queue;
  }

  #newPlace(device: string): Place {
    let isTaken = false;
    const move = (by: 1 | -1): void => {
      const queue = this.#queueOf(device);
      isTaken = by === 1;
      this.#taken += by;
      queue.taken += by;
      if (queue.taken === 0 && queue.waiting.length === 0) this.#queues.delete(device);
    };
    move(1);
    return {
      release: () => {
        if (!isTaken) return;
        move(-1);
        this.#serve();
      },
      retake: () => {
        if (!isTaken) move(1);
      },
    };
  }

  #serve(): void {
    if (this.#isServing) return;
    this.#isServing = true;
    while (this.#taken < MAX_LOCAL_HANDSHAKES) {
      const next = [...this.#queues].find(([, { taken, waiting }]) => waiting.length > 0 && taken < MAX_DEVICE_HANDSHAKES);
      if (next === undefined) break;
      const [device, queue] = next;
      const before = queue.taken;
      queue.waiting.shift()?.();
      // A stream that ended while it waited gives its place back at once, and takes no turn.
      if (queue.taken === before) continue;
      this.#queues.delete(device);
      this.#queues.set(device, queue);
    }
    this.#isServing = false;
  }
}
