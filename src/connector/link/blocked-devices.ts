/** Asks the room which devices may not ask, and lets one ask again. The list lives there, so nothing is known without a link (PROTOCOL.md BL). */
import { randomUUID } from "node:crypto";
import type { BlockedDevice, BlockedMessage } from "../../protocol/blocks.ts";
import { LINK_ANSWER_MS } from "../../protocol/limits.ts";
import type { ToRoom } from "../../protocol/link-messages.ts";

export interface BlockedAnswer {
  readonly devices: readonly BlockedDevice[];
  readonly wasBlocked: boolean;
}

export class BlockedDevices {
  readonly #send: (message: ToRoom) => void;
  readonly #open = new Map<string, (answer: BlockedAnswer | null) => void>();

  constructor(send: (message: ToRoom) => void) {
    this.#send = send;
  }

  /**
   * Sends only on a link that is up.
   *
   * @param unblock a device that may ask again, or null
   * @returns the room's answer, or null when none came in time or the link went
   */
  ask(unblock: string | null): Promise<BlockedAnswer | null> {
    const id = randomUUID();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#open.get(id)?.(null), LINK_ANSWER_MS);
      this.#open.set(id, (answer) => {
        clearTimeout(timer);
        this.#open.delete(id);
        resolve(answer);
      });
      this.#send({ type: "ask-blocked", id, unblock });
    });
  }

  answered({ id, devices, wasBlocked }: BlockedMessage): void {
    this.#open.get(id)?.({ devices, wasBlocked });
  }

  linkGone(): void {
    for (const end of this.#open.values()) end(null);
  }
}
