/** The only place that prints: lines for people, or one JSON object per line for scripts. Never secrets, except what the person must see. */
import { createInterface } from "node:readline/promises";
import { COMMANDS } from "./cli/commands.ts";

/** A command in a text, which names the program as it is called on a machine that has it installed. */
const COMMAND_IN_TEXT = new RegExp(`(?<![\\w/])gatehouse (?=(?:${Object.keys(COMMANDS).join("|")})(?![\\w-]))`, "g");

export class Terminal {
  readonly isJson: boolean;
  readonly isInteractive: boolean;
  /** What stands before a command where this person runs one. */
  program = "gatehouse";

  constructor(options: { readonly json: boolean }) {
    this.isJson = options.json;
    this.isInteractive = !options.json && process.stdin.isTTY && process.stdout.isTTY;
  }

  /** @param event stable name for scripts @param text the line for people @param data more members for scripts */
  say(event: string, text: string, data: object = {}): void {
    console.log(this.isJson ? this.#json(event, data) : this.#runnable(text));
  }

  /** As it stands: commands in it name no place to run them. */
  print(event: string, text: string, data: object): void {
    console.log(this.isJson ? this.#json(event, data) : text);
  }

  fail(event: string, text: string, data: object = {}): void {
    if (this.isJson) console.log(this.#json(event, { error: this.#runnable(text), ...data }));
    else console.error(this.#runnable(text));
  }

  /**
   * Asks on a terminal.
   *
   * @param signal takes the question back
   * @returns whether the person typed y or yes; false when the question was taken back
   */
  async confirm(question: string, signal?: AbortSignal): Promise<boolean> {
    return /^y(es)?$/i.test(await this.ask(`${this.#runnable(question)} [y/N] `, signal));
  }

  /** Asks on a terminal. @returns what was typed, trimmed; nothing when the question was taken back. Ctrl-C ends the program as it does elsewhere. */
  async ask(question: string, signal?: AbortSignal): Promise<string> {
    const reader = createInterface({ input: process.stdin, output: process.stdout });
    try {
      const answer = signal === undefined ? await reader.question(question) : await reader.question(question, { signal });
      return answer.trim();
    } catch (error) {
      if (!(error instanceof Error && error.name === "AbortError")) throw error;
      // The question is left half way down the line.
      process.stdout.write("\n");
      if (signal?.aborted !== true) process.kill(process.pid, "SIGINT");
      return "";
    } finally {
      reader.close();
    }
  }

  #json(event: string, data: object): string {
    return JSON.stringify({ at: new Date().toISOString(), event, ...data });
  }

  #runnable(text: string): string {
    return text.replace(COMMAND_IN_TEXT, () => `${this.program} `);
  }
}
