/**
 * Compares the gateway's own pairing list with the grants at every reconnect to the gateway, after pairing events and at every link, and tells
 * the room what differs (PROTOCOL.md DR).
 */
import { differenceMark, findDrift } from "../../core/trust/drift.ts";
import type { Difference } from "../../protocol/drift.ts";
import { DRIFT_SETTLE_MS } from "../../protocol/limits.ts";
import type { ToRoom } from "../../protocol/link-messages.ts";
import type { Admitted } from "./admissions.ts";
import type { OpenclawGateway } from "../openclaw/openclaw-port.ts";
import { GatewayAwayError } from "../openclaw/openclaw-port.ts";

export interface DriftWatchOptions {
  readonly admitted: Admitted;
  readonly gateway: OpenclawGateway;
  readonly now: () => number;
  /** Dropped without a link. */
  readonly send: (message: ToRoom) => void;
}

export class DriftWatch {
  readonly #options: DriftWatchOptions;
  /** What the last comparison named: nothing else is removed for the room. */
  #found: readonly Difference[] = [];
  #told: string | null = null;
  #settle: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(options: DriftWatchOptions) {
    this.#options = options;
    options.gateway.onPairing(() => this.soon());
  }

  /** A link came up: the room hears the whole picture, also when nothing changed. */
  async linkUp(): Promise<void> {
    this.#told = null;
    await this.compare();
  }

  /** Compares once the events of one change have come. */
  soon(): void {
    clearTimeout(this.#settle);
    if (!this.#isOver) this.#settle = setTimeout(() => void this.compare(), DRIFT_SETTLE_MS);
  }

  stop(): void {
    this.#isOver = true;
    clearTimeout(this.#settle);
  }

  /** Compares now and tells what is new. A gateway that is away, or answers something else, is compared when it is back. @returns what differs, as far as is known */
  async compare(): Promise<readonly Difference[]> {
    const { admitted, gateway, now, send } = this.#options;
    let differences: readonly Difference[];
    try {
      const paired = await gateway.paired();
      const bound = admitted.boundDevices();
      const ids = new Set(paired.map((entry) => entry.id));
      // Somebody took them out on the gateway, and their tokens with them.
      for (const entry of bound.flatMap(({ entries }) => entries)) if (!ids.has(entry)) admitted.staleTokens.add(entry);
      differences = findDrift(paired, bound);
    } catch {
      return this.#found;
    }
    this.#found = differences;
    const picture = differences.map(differenceMark).join("\n");
    if (picture !== this.#told) {
      this.#told = picture;
      send({ type: "drift", atMs: now(), differences: [...differences] });
    }
    return differences;
  }

  /**
   * Takes an entry out of the gateway's list, for the room: only one that this machine itself named as a difference, and that still is one.
   *
   * @returns `not-serving`: the gateway is away
   */
  async remove(entry: string): Promise<"done" | "no-difference" | "not-serving"> {
    const { admitted, gateway } = this.#options;
    if (!this.#found.some((each) => each.entry === entry)) return "no-difference";
    if (!(await this.compare()).some((each) => each.entry === entry)) return "done";
    try {
      await gateway.removeEntry(entry);
    } catch (error) {
      if (!(error instanceof GatewayAwayError)) throw error;
      return "not-serving";
    }
    for (const { device, entries } of admitted.boundDevices()) if (entries.includes(entry)) admitted.unbind(device, entry);
    await this.compare();
    return "done";
  }
}
