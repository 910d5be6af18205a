/** What the log says of the link: one line per change of state, tries counted (PROTOCOL.md MA8). */
import { aheadText } from "../../core/measure/clock-difference.ts";
import type { LinkStatus } from "../link/link.ts";
import type { Terminal } from "./terminal.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;

export const STOP_TEXTS: Readonly<Record<Extract<LinkStatus, { state: "stopped" }>["why"], string>> = {
  refused: "This machine's access was withdrawn. Enrol it again with Add gateway.",
  superseded: "Another connector took over this gateway. This one stops.",
  stale:
    "A newer copy of this connector's state is in use elsewhere. This one stops. If it came from a backup, stop the other, download the key log on the gateway's page, and run: gatehouse restore <file>",
  version: "The control plane speaks a newer protocol. Start the connector with the command that the page shows.",
};

function lasted(ms: number): string {
  return ms < MINUTE_MS ? `${Math.ceil(ms / SECOND_MS)} s` : `${Math.round(ms / MINUTE_MS)} min`;
}

export class LinkLog {
  readonly #terminal: Pick<Terminal, "log">;
  readonly #now: () => number;
  /** The outage that lasts: since when, how many tries, and the causes that were said. */
  #outage: { readonly sinceMs: number; tries: number; readonly said: Set<string> } | null = null;

  constructor(terminal: Pick<Terminal, "log">, now: () => number) {
    this.#terminal = terminal;
    this.#now = now;
  }

  /** Says what changed; what is known already is only counted. */
  status(status: LinkStatus): void {
    const data = { link: status };
    switch (status.state) {
      case "dialing":
        return this.#terminal.log("debug", "link", "Connecting …", data);
      case "up":
        return this.#up(status);
      case "waiting":
        return this.#waiting(status);
      case "stopped":
        return this.#terminal.log("error", "link", STOP_TEXTS[status.why], data);
    }
  }

  #up(status: Extract<LinkStatus, { state: "up" }>): void {
    const outage = this.#outage;
    this.#outage = null;
    const after =
      outage === null ? "" : ` after ${lasted(this.#now() - outage.sinceMs)} and ${outage.tries} ${outage.tries === 1 ? "try" : "tries"}`;
    const data = { link: status, ...(outage === null ? {} : { tries: outage.tries }) };
    const { clockAheadMs } = status;
    if (clockAheadMs === null) return this.#terminal.log("info", "link", `Connected${after}.`, data);
    const clock = `This machine's clock is ${aheadText(clockAheadMs, "the relay's")}. Set it, or decisions and sessions are refused.`;
    this.#terminal.log("warn", "link", `Connected${after}. ${clock}`, data);
  }

  #waiting(status: Extract<LinkStatus, { state: "waiting" }>): void {
    this.#outage ??= { sinceMs: this.#now(), tries: 0, said: new Set() };
    this.#outage.tries += 1;
    const { tries, said } = this.#outage;
    const isNew = !said.has(status.why);
    said.add(status.why);
    const text = `Not connected: ${status.why.replace(/\.$/, "")}. It keeps trying, next in ${(status.ms / SECOND_MS).toFixed(1)} s.`;
    this.#terminal.log(isNew ? "warn" : "debug", "link", text, { link: status, tries });
  }
}
