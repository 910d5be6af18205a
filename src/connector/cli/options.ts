/** What every command gets. */
import manifest from "../../../package.json" with { type: "json" };
import type { Dialler } from "../network/dialler.ts";
import type { StateFiles } from "../state/state-files.ts";
import type { Terminal } from "./terminal.ts";

export const VERSION: string = manifest.version;

export interface Options {
  readonly terminal: Terminal;
  readonly files: StateFiles;
  /** Opens every connection to the control plane. */
  readonly dialler: Dialler;
  readonly app: string | undefined;
  readonly checkWords: string | undefined;
  readonly yes: boolean;
  /** Where metrics are served, as it was written; without it nowhere. */
  readonly metrics?: string | undefined;
  /** Where a code goes on a machine that has a gateway already. */
  readonly second?: "add" | "replace" | undefined;
  /** A file that holds the enrolment code. */
  readonly codeFile?: string | undefined;
  /** Waits for the state folder instead of giving up when another connector has it. */
  readonly standby: boolean;
}
