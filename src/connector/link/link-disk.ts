/** A disk that refuses does not end the link: the room is acknowledged later (PROTOCOL.md MA6). */
import type { GatewayReport } from "../../protocol/link-messages.ts";
import type { MachineFault } from "../../protocol/words.ts";
import type { StateFiles } from "../state/state-files.ts";

/** The disk is tried again this often while it refuses. */
const TRY_AGAIN_MS = 30_000;

export interface LinkDiskOptions {
  readonly files: StateFiles;
  /** Whether OpenClaw runs as the same user of this machine. */
  readonly isSharedUser: () => boolean;
  /** The generation is on disk. */
  readonly ack: (generation: number) => void;
  /** The disk began or stopped to refuse. */
  readonly changed: (fault: MachineFault | null) => void;
}

export class LinkDisk {
  readonly #options: LinkDiskOptions;
  /** Of the link that is up, not on disk yet. Until then the room accepts the one before, too (LINK3). */
  #unwritten: number | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LinkDiskOptions) {
    this.#options = options;
    options.files.onDisk = (fault) => {
      if (fault !== null) this.#later();
      options.changed(fault);
    };
  }

  /** @returns what the room hears of OpenClaw and of this machine */
  said(report: GatewayReport, clockAheadMs: number | null): GatewayReport {
    const { files, isSharedUser } = this.#options;
    const { diskFault } = files;
    const machine = [...(diskFault === null ? [] : [diskFault]), ...(isSharedUser() ? ["shared-user" as const] : [])];
    return { ...report, ...(clockAheadMs === null ? {} : { clockAheadMs }), ...(machine.length === 0 ? {} : { machine }) };
  }

  /** The room gave this generation. */
  welcomed(generation: number): void {
    this.#unwritten = generation;
    this.#write();
  }

  /** The link ended: the next one brings a generation of its own. */
  gone(): void {
    this.#unwritten = null;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #write(): void {
    const { files, ack } = this.#options;
    const generation = this.#unwritten;
    try {
      const file = files.read("gateway");
      if (file === null) return;
      files.write("gateway", generation === null ? file : { ...file, generation });
    } catch {
      // Noted by the files, tried again by the timer.
      return;
    }
    this.#unwritten = null;
    if (generation !== null) ack(generation);
  }

  #later(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#write();
      if (this.#options.files.diskFault !== null) this.#later();
    }, TRY_AGAIN_MS);
    this.#timer.unref();
  }
}
