/** What the log says of OpenClaw: one line per change of state, with address and cure (PROTOCOL.md MA8). */
import type { GatewayReport } from "../../protocol/link-messages.ts";
import { cureOf } from "./doctor.ts";
import type { Level, Terminal } from "./terminal.ts";

const LEVEL_OF: Readonly<Record<GatewayReport["state"], Level>> = {
  online: "info",
  starting: "info",
  restarting: "info",
  "needs-settings": "warn",
  offline: "warn",
  unsafe: "error",
};

export class OpenclawLog {
  readonly #terminal: Pick<Terminal, "log">;
  readonly #address: () => string;
  #said = "";

  /** @param address where OpenClaw is looked for */
  constructor(terminal: Pick<Terminal, "log">, address: () => string) {
    this.#terminal = terminal;
    this.#address = address;
  }

  /** An OpenClaw that is away is tried every few seconds: the same report is said once. */
  report(report: GatewayReport): void {
    const what = JSON.stringify(report);
    if (what === this.#said) return;
    this.#said = what;
    const { state, version, reason, restartExpectedMs } = report;
    const name = version === undefined ? "OpenClaw" : `OpenClaw ${version}`;
    const expected = restartExpectedMs === undefined ? "" : `, about ${Math.ceil(restartExpectedMs / 1000)} s`;
    const where = state === "offline" ? ` at ${this.#address()}` : "";
    const unsafe =
      state === "unsafe" ? " Nothing is served." : state === "needs-settings" ? " Nothing is served until they are applied." : "";
    const cure =
      reason === undefined ? (unsafe === "" ? "" : `.${unsafe.replace(/\.$/, "")}`) : ` (${reason}).${unsafe} Cure: ${cureOf(reason)}`;
    this.#terminal.log(LEVEL_OF[state], "openclaw", `${name}${where}: ${state}${expected}${cure}.`, { report });
  }
}
