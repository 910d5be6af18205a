/** What the room hears of this machine's key log, and the alarm when the two do not tell the same story (PROTOCOL.md KL6). */
import { compareHeads } from "../../core/trust/key-log.ts";
import type { KeyLogAlarm, KeyLogHead } from "../../protocol/key-log.ts";
import type { ToRoom } from "../../protocol/link-messages.ts";
import type { Admitted } from "../trust/admissions.ts";
import type { KeyLog } from "../trust/key-log-file.ts";
import type { StateFiles } from "../state/state-files.ts";

export interface LinkKeyLogOptions {
  readonly files: StateFiles;
  readonly log: KeyLog;
  readonly admitted: Admitted;
  readonly now: () => number;
  readonly send: (message: ToRoom) => void;
  /** Whether the room is of a version that has heard of key logs. */
  readonly isKnown: () => boolean;
  /** Nobody new is admitted from here on. */
  readonly onAlarm: (alarm: KeyLogAlarm) => void;
}

export class LinkKeyLog {
  readonly #options: LinkKeyLogOptions;

  /** Whatever is added to the log from here on is told. */
  constructor(options: LinkKeyLogOptions) {
    this.#options = options;
    options.log.onAppend = (line) => this.#sendLine(line);
    options.log.onRotated = (seq) => {
      if (options.isKnown()) options.send({ type: "rotated", seq });
    };
  }

  /** A link came up. @param room end of the room's copy; what it lacks is sent */
  linkUp(room: KeyLogHead | null): void {
    const { files, log } = this.#options;
    const { alarm, sendFrom } = compareHeads(log.state, room, files.read("roomHead"));
    if (alarm !== null) this.raise(alarm);
    if (sendFrom !== null) for (const line of log.linesFrom(sendFrom)) this.#sendLine(line);
    this.sayAlarm();
  }

  /** It stands, on disk as soon as that takes it, until somebody at the machine has looked. */
  raise(alarm: KeyLogAlarm): void {
    const { admitted, log, now, onAlarm, send } = this.#options;
    // A resume settles what was raised before it, never this one.
    const atMs = Math.max(now(), (log.state.resumed?.atMs ?? -1) + 1);
    admitted.raiseAlarm({ alarm, atMs });
    onAlarm(alarm);
    send({ type: "alarm", alarm, atMs });
  }

  /** What stands, or that nothing does any more: the owner's pages show it. */
  sayAlarm(): void {
    const { admitted, isKnown, send } = this.#options;
    if (!isKnown()) return;
    const alarm = admitted.alarm();
    send(alarm === null ? { type: "alarm-over" } : { type: "alarm", ...alarm });
  }

  #sendLine(line: string): void {
    if (this.#options.isKnown()) this.#options.send({ type: "log", lines: [line] });
  }
}
