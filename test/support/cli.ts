/** The built `gatehouse` command as a person or a script runs it: one process a call, to its end. */
import { once } from "node:events";
import path from "node:path";
import { root, start } from "../../scripts/children.ts";

export interface Ran {
  /** Exit code; null when a signal ended it. */
  readonly code: number | null;
  /** Everything that it printed. */
  readonly text: string;
  /** Its lines as JSON. @throws SyntaxError when one is none */
  json<T = Record<string, unknown>>(): readonly T[];
}

/** @param env added to an environment without OpenClaw's and Gatehouse's own variables */
export async function cli(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const lines: string[] = [];
  const inherited = Object.entries(process.env).filter(([name]) => !/^(?:OPENCLAW|GATEHOUSE_(?!RECORD))/.test(name));
  const child = start({
    args: [path.join(root, "dist/connector/gatehouse.mjs"), ...args],
    env: { ...Object.fromEntries(inherited), ...env },
    onLine: (line) => lines.push(line),
  });
  const [code] = (await once(child.process, "close")) as [number | null];
  return { code, text: lines.join("\n"), json: <T>() => lines.map((line) => JSON.parse(line) as T) };
}
