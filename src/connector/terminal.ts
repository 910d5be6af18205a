/** The only place that prints: lines for people, or one JSON object per line for scripts. Never secrets, except what the person must see. */
import { createInterface } from "node:readline/promises";

export class Terminal {
  readonly isJson: boolean;
  readonly isInteractive: boolean;

  constructor(options: { readonly json: boolean }) {
    this.isJson = options.json;
    this.isInteractive = !options.json && process.stdin.isTTY && process.stdout.isTTY;
  }

  /** @param event stable name for scripts @param text the line for people @param data more members for scripts */
  say(event: string, text: string, data: object = {}): void {
    console.log(this.isJson ? JSON.stringify({ event, ...data }) : text);
  }

  fail(event: string, text: string, data: object = {}): void {
    if (this.isJson) console.log(JSON.stringify({ event, error: text, ...data }));
    else console.error(text);
  }

  /** Asks on a terminal. @returns whether the person typed y or yes */
  async confirm(question: string): Promise<boolean> {
    const reader = createInterface({ input: process.stdin, output: process.stdout });
    try {
      return /^y(es)?$/i.test((await reader.question(`${question} [y/N] `)).trim());
    } finally {
      reader.close();
    }
  }
}
