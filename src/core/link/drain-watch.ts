/** Finds out that a browser, or a gateway, takes nothing any more, from what its socket has not sent (PROTOCOL.md CR8, CR11). Plain numbers, no clock of its own. */
import { BROWSER_LOOK_MS, BROWSER_STILL_MS, BROWSER_STILL_MS_PER_STEP, CREDIT_STEP_BYTES } from "../../protocol/limits.ts";

/**
 * One socket's unsent bytes over time. The platform counts a message as unsent until the whole of it has left (measured on workerd), so
 * that a large one may stand still for longer than a small one.
 */
export class DrainWatch {
  readonly #msPerStep: number;
  #writtenBytes = 0;
  /** Largest message since the queue was last seen empty. */
  #largestBytes = 0;
  /** Bytes that had left, and when that was first seen. */
  #still: { readonly leftBytes: number; readonly sinceMs: number } | null = null;

  /** @param msPerStep added patience for each CREDIT_STEP_BYTES of the largest message there */
  constructor(msPerStep = BROWSER_STILL_MS_PER_STEP) {
    this.#msPerStep = msPerStep;
  }

  /**
   * One message was given to the socket.
   *
   * @param unsentBytes what the socket holds now, this message included
   * @returns whether an earlier message still waits there, so that `look` is due; nothing is watched for one message on its way
   */
  wrote(bytes: number, unsentBytes: number): boolean {
    this.#writtenBytes += bytes;
    if (unsentBytes <= bytes) {
      this.#largestBytes = bytes;
      this.#still = null;
      return false;
    }
    this.#largestBytes = Math.max(this.#largestBytes, bytes);
    return true;
  }

  /**
   * @param unsentBytes what the socket holds now
   * @returns when to look again in ms, null when nothing waits, or `still` when the browser took nothing for too long
   */
  look(unsentBytes: number, nowMs: number): number | "still" | null {
    if (unsentBytes === 0) {
      this.#still = null;
      return null;
    }
    const leftBytes = this.#writtenBytes - unsentBytes;
    if (this.#still === null || leftBytes > this.#still.leftBytes) this.#still = { leftBytes, sinceMs: nowMs };
    const patienceMs = BROWSER_STILL_MS + Math.floor(this.#largestBytes / CREDIT_STEP_BYTES) * this.#msPerStep;
    return nowMs - this.#still.sinceMs >= patienceMs ? "still" : nowMs + BROWSER_LOOK_MS;
  }

  /** Whether something was seen waiting and has not been seen gone. */
  get isWatching(): boolean {
    return this.#still !== null;
  }
}
