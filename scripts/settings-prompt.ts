/** `npm start` asks for OpenClaw's settings in its own terminal, and hands the answer to the connector, which runs without one. */
import { diffText } from "../src/core/trust/settings-diff.ts";
import type { SettingLine } from "../src/protocol/link-local-acts.ts";
import { askRunning } from "../src/connector/trust/local-control.ts";
import { Terminal } from "../src/connector/cli/terminal.ts";

/** A line of the connector's `--json` output about the question. */
export interface SettingsEvent {
  readonly event: string;
  readonly hash?: string;
  readonly lines?: readonly SettingLine[];
  /** Whether anybody has to answer: not with `--yes`. */
  readonly asked?: boolean;
  readonly page?: string;
}

export class SettingsPrompt {
  readonly #stateDir: string;
  readonly #terminal: Pick<Terminal, "say" | "fail" | "confirm" | "isInteractive">;
  #end: AbortController | null = null;

  /** @param stateDir of the connector */
  constructor(stateDir: string, terminal: Pick<Terminal, "say" | "fail" | "confirm" | "isInteractive"> = new Terminal({ json: false })) {
    this.#stateDir = stateDir;
    this.#terminal = terminal;
  }

  /** Takes one line of the connector; others than `settings-needed` and `settings-over` are nothing to it. */
  take({ event, hash, lines = [], asked = false, page = "" }: SettingsEvent): void {
    if (event === "settings-over") {
      // After an answer given here there is no question left to take back.
      if (this.#end !== null || !this.#terminal.isInteractive)
        this.#terminal.say(event, "The settings were answered elsewhere, or OpenClaw changed.");
      this.#end?.abort();
      this.#end = null;
    }
    if (event !== "settings-needed" || hash === undefined) return;
    this.#terminal.say(event, `OpenClaw needs these settings:\n${diffText(lines)}`);
    if (!asked) return;
    const where = this.#terminal.isInteractive ? "Answer here, or on" : "Nobody can answer in this terminal. Apply them on";
    this.#terminal.say(event, `Nothing is served until they are applied. ${where} the gateway's page: ${page}`);
    if (this.#terminal.isInteractive) void this.#ask(hash);
  }

  async #ask(hash: string): Promise<void> {
    this.#end?.abort();
    const end = new AbortController();
    this.#end = end;
    const yes = await this.#terminal.confirm("Apply them now?", end.signal);
    if (end.signal.aborted) return;
    this.#end = null;
    const answer: { readonly outcome?: string } | null = await askRunning(this.#stateDir, { ask: "answer-settings", hash, yes });
    if (!yes) this.#terminal.say("settings", "Not applied. To be asked again, end this with Ctrl-C and run npm start again.");
    else if (answer?.outcome !== "done") this.#terminal.fail("settings", `Not applied (${answer?.outcome ?? "no answer"}).`);
  }

  stop(): void {
    this.#end?.abort();
  }
}
