/** The only place that prints: lines for people, or one JSON object per line for scripts. Never secrets, except what the person must see. */
import { createInterface } from "node:readline/promises";
import { COMMANDS } from "./commands.ts";

/** A command in a text, which names the program as it is called on a machine that has it installed. */
const COMMAND_IN_TEXT = new RegExp(`(?<![\\w/])gatehouse (?=(?:${Object.keys(COMMANDS).join("|")})(?![\\w-]))`, "g");

export type Level = "debug" | "info" | "warn" | "error";
const LEVELS: readonly Level[] = ["debug", "info", "warn", "error"];

export class Terminal {
  readonly isJson: boolean;
  readonly isInteractive: boolean;
  /** What stands before a command where this person runs one. */
  program = "gatehouse";
  /** The same with another state folder. */
  programFor: (state: string) => string = () => this.program;
  /** How log lines are written, and from which level on. */
  logging: { readonly isJson: boolean; readonly from: Level };
  /** Lines that wait for the answer to a question; null while nobody is asked. */
  #held: (() => void)[] | null = null;

  constructor(options: { readonly json: boolean }) {
    this.isJson = options.json;
    this.isInteractive = !options.json && process.stdin.isTTY && process.stdout.isTTY;
    this.logging = { isJson: options.json, from: "info" };
  }

  /** From here on hints name this state folder. */
  useState(dir: string): void {
    this.program = this.programFor(dir);
  }

  /** @param event stable name for scripts @param text the line for people @param data more members for scripts */
  say(event: string, text: string, data: object = {}): void {
    this.#write(this.isJson ? this.#json({ event, ...data }) : this.#runnable(text), false);
  }

  /** As it stands: commands in it name no place to run them. */
  print(event: string, text: string, data: object): void {
    this.#write(this.isJson ? this.#json({ event, ...data }) : text, false);
  }

  fail(event: string, text: string, data: object = {}): void {
    const shown = this.#runnable(text);
    this.#write(this.isJson ? this.#json({ event, error: shown, ...data }) : shown, !this.isJson);
  }

  /** One line of the running connector's log, with time and level. Warnings and errors go to stderr, unless they are JSON. */
  log(level: Level, event: string, text: string, data: object = {}): void {
    const { isJson, from } = this.logging;
    if (LEVELS.indexOf(level) < LEVELS.indexOf(from)) return;
    const shown = this.#runnable(text);
    const line = isJson
      ? this.#json({ level, event, text: shown, ...data })
      : `${new Date().toISOString()} ${level.toUpperCase().padEnd(5)} ${shown}`;
    this.#write(line, !isJson && (level === "warn" || level === "error"));
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

  /**
   * Asks on a terminal; what is printed meanwhile waits for the answer. Ctrl-C ends the program as it does elsewhere.
   *
   * @returns what was typed, trimmed; nothing when the question was taken back
   */
  async ask(question: string, signal?: AbortSignal): Promise<string> {
    const isFirst = this.#held === null;
    this.#held ??= [];
    try {
      return (await this.question(question, signal)).trim();
    } finally {
      if (isFirst) {
        const held = this.#held;
        this.#held = null;
        for (const write of held) write();
      }
    }
  }

  protected async question(question: string, signal?: AbortSignal): Promise<string> {
    const reader = createInterface({ input: process.stdin, output: process.stdout });
    try {
      return signal === undefined ? await reader.question(question) : await reader.question(question, { signal });
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

  #write(line: string, isProblem: boolean): void {
    const write = (): void => {
      if (isProblem) console.error(line);
      else console.log(line);
    };
    if (this.#held === null) write();
    else this.#held.push(write);
  }

  #json(data: object): string {
    return JSON.stringify({ at: new Date().toISOString(), ...data });
  }

  #runnable(text: string): string {
    return text.replace(COMMAND_IN_TEXT, () => `${this.program} `);
  }
}
