/** OpenClaw answers 503 at 32 unauthenticated sockets of one address, and all of ours come from one: so only so many at once. */
import { MAX_LOCAL_HANDSHAKES } from "../protocol/limits.ts";

export class HandshakePlaces {
  #taken = 0;
  readonly #waiting: (() => void)[] = [];

  /** @param run called once there is a place, at once or later; what it gets gives the place back, and may be called more than once */
  take(run: (release: () => void) => void): void {
    const start = (): void => {
      this.#taken += 1;
      let isReleased = false;
      run(() => {
        if (isReleased) return;
        isReleased = true;
        this.#taken -= 1;
        this.#waiting.shift()?.();
      });
    };
    if (this.#taken < MAX_LOCAL_HANDSHAKES) start();
    else this.#waiting.push(start);
  }
}
