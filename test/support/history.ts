/**
 * What both ends of every stream saw, and whether the promise held (PROTOCOL.md ST6): each end writes `(stream, direction, n, sha256 of the
 * first n messages)`, and the checker compares them afterwards. It knows nothing of how the bytes travelled.
 */
import { createHash } from "node:crypto";

export type Direction = "up" | "down";
export type EndName = "device" | "gateway";

/** One line of the history: this end has sent, or received, so many messages in this direction, and this is their digest. */
export interface HistoryLine {
  readonly stream: string;
  readonly direction: Direction;
  readonly what: "sent" | "received";
  readonly n: number;
  readonly sha256: string;
}

/** How a stream ended at one of its ends. */
export interface Ending {
  readonly stream: string;
  readonly end: EndName;
  readonly code: number;
  readonly reason: string;
}

export interface History {
  readonly lines: readonly HistoryLine[];
  readonly endings: readonly Ending[];
  /** Messages that an end got after its stream had ended there. */
  readonly late: readonly string[];
}

/** Digest of a growing list of messages; kind and length of each are part of it, so that boundaries count. */
class Chain {
  #hash = createHash("sha256");
  n = 0;

  add(data: Buffer, isText: boolean): string {
    this.#hash.update(`${isText ? "text" : "binary"} ${data.byteLength}\n`).update(data);
    this.n += 1;
    return this.#hash.copy().digest("hex");
  }
}

/** Takes down what happens at both ends. */
export class Recorder implements History {
  readonly lines: HistoryLine[] = [];
  readonly endings: Ending[] = [];
  readonly late: string[] = [];
  readonly #chains = new Map<string, Chain>();

  add(where: Pick<HistoryLine, "stream" | "direction" | "what">, data: Buffer, isText: boolean): void {
    const { stream, direction, what } = where;
    const end: EndName = (direction === "up") === (what === "sent") ? "device" : "gateway";
    if (what === "received" && this.endings.some((each) => each.stream === stream && each.end === end))
      this.late.push(`${stream} ${direction}`);
    const name = `${stream} ${direction} ${what}`;
    const chain = this.#chains.get(name) ?? new Chain();
    this.#chains.set(name, chain);
    const sha256 = chain.add(data, isText);
    this.lines.push({ ...where, n: chain.n, sha256 });
  }

  /** Messages so far. */
  count(stream: string, direction: Direction, what: HistoryLine["what"]): number {
    return this.#chains.get(`${stream} ${direction} ${what}`)?.n ?? 0;
  }

  ended(ending: Ending): void {
    this.endings.push(ending);
  }
}

/**
 * Judges a history whose streams are all over.
 *
 * @param streams that were opened
 * @param broken ends whose own connection was broken on purpose: they alone may end without a close (1006)
 * @returns what was violated, in words; empty when the promise held
 */
export function violations(history: History, streams: readonly string[], broken: readonly EndName[] = []): string[] {
  const found: string[] = history.late.map((where) => `${where}: a message after the close`);
  const sent = new Map<string, string>();
  for (const { stream, direction, what, n, sha256 } of history.lines) if (what === "sent") sent.set(`${stream} ${direction} ${n}`, sha256);
  const expected = new Map<string, number>();
  for (const { stream, direction, what, n, sha256 } of history.lines) {
    if (what === "sent") continue;
    const lane = `${stream} ${direction}`;
    if (n !== (expected.get(lane) ?? 0) + 1) found.push(`${lane}: line ${n} out of turn`);
    expected.set(lane, n);
    const digest = sent.get(`${lane} ${n}`);
    if (digest === undefined) found.push(`${lane}: received ${n}, more than was sent`);
    else if (digest !== sha256) found.push(`${lane}: the first ${n} are not what was sent`);
  }
  for (const stream of streams) {
    for (const end of ["device", "gateway"] as const) {
      const endings = history.endings.filter((each) => each.stream === stream && each.end === end);
      if (endings.length !== 1) found.push(`${stream}: ended ${endings.length} times at the ${end}`);
      for (const { code, reason } of endings) {
        const isBroken = broken.includes(end) && code === 1006;
        if (!isBroken && (code === 1006 || reason === ""))
          found.push(`${stream}: ended at the ${end} with ${code} and the reason "${reason}"`);
      }
    }
  }
  return found;
}
