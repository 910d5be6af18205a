/** OpenClaw devices whose own token the gateway takes no more: their stock page sends it once, hears no, and stops for good (PROTOCOL.md R14). */
import type { StaleTokenStore } from "../openclaw/openclaw-port.ts";
import type { StateFiles } from "../state/state-files.ts";

/** A household has a dozen devices; what is dropped costs one reload of a page. */
const MAX_MARKS = 200;

export class StaleTokens implements StaleTokenStore {
  readonly #files: StateFiles;
  /** Oldest first. */
  #marks: readonly string[];

  /** @throws DamagedStateError */
  constructor(files: StateFiles) {
    this.#files = files;
    this.#marks = files.read("staleTokens") ?? [];
  }

  has(openclawDevice: string): boolean {
    return this.#marks.includes(openclawDevice);
  }

  add(openclawDevice: string): void {
    if (!this.has(openclawDevice)) this.#keep([...this.#marks, openclawDevice].slice(-MAX_MARKS));
  }

  delete(openclawDevice: string): void {
    if (this.has(openclawDevice)) this.#keep(this.#marks.filter((each) => each !== openclawDevice));
  }

  #keep(marks: readonly string[]): void {
    this.#marks = marks;
    try {
      this.#files.write("staleTokens", [...marks]);
    } catch {
      // A removal must not fail for its mark: this process knows it, and after a restart the page needs one reload.
    }
  }
}
