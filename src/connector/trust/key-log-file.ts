/** The key log on this machine's disk: one line an entry, on disk before anything acts on it. A log that cannot be trusted admits nobody. */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
  constants,
} from "node:fs";
import path from "node:path";
import { applyLine, isFault, readLine, verifyLog, writeLine } from "../../core/trust/key-log.ts";
import type { KeyLogProblem, KeyLogState } from "../../core/trust/key-log-state.ts";
import type { KeyLogBody, KeyLogHead } from "../../protocol/key-log.ts";
import { MAX_ROTATIONS_SHOWN } from "../../protocol/limits.ts";
import type { Identity } from "./identity.ts";
import { DamagedStateError } from "../state/state-files.ts";
import type { StateFiles } from "../state/state-files.ts";

const FILE_NAME = "key-log.jsonl";

/** The disk refused: nothing was appended, what was admitted before stays admitted. */
export class LogWriteError extends Error {
  override name = "LogWriteError";
}

/** @returns where the log of a state folder is */
export function keyLogPath(files: StateFiles): string {
  return path.join(files.dir, FILE_NAME);
}

/**
 * The complete lines of a log file, and what stands after the last of them.
 *
 * @param text as read from disk
 */
export function splitLog(text: string): { readonly lines: readonly string[]; readonly torn: string } {
  const parts = text.split("\n");
  const torn = parts.pop() ?? "";
  return { lines: parts, torn };
}

export class KeyLog {
  readonly #files: StateFiles;
  readonly #identity: Identity;
  #state: KeyLogState;
  #lines: string[];
  readonly #rotations: string[];
  /** Hears of every entry once it is on disk. */
  onAppend: (line: string) => void = () => undefined;
  /** Hears of a new key once it is in use; `seq` is its entry's place. */
  onRotated: (seq: number) => void = () => undefined;
  /** One append at a time. */
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(files: StateFiles, identity: Identity, lines: readonly string[], state: KeyLogState) {
    this.#files = files;
    this.#identity = identity;
    this.#lines = [...lines];
    this.#rotations = lines.filter((line) => readLine(line)?.body.type === "rotate");
    this.#state = state;
  }

  get state(): KeyLogState {
    return this.#state;
  }

  /** @returns entries from place `seq` on, as they stand on disk */
  linesFrom(seq: number): readonly string[] {
    return this.#lines.slice(seq);
  }

  /** @returns the newest `rotate` entries, oldest first */
  rotations(): readonly string[] {
    return this.#rotations.slice(-MAX_ROTATIONS_SHOWN);
  }

  /**
   * Starts a log with its genesis; an older one in the folder is set aside, never overwritten.
   *
   * @throws LogWriteError
   */
  static async create(
    files: StateFiles,
    identity: Identity,
    genesis: { readonly gateway: string; readonly atMs: number; readonly body: Extract<KeyLogBody, { type: "genesis" }> },
  ): Promise<KeyLog> {
    const file = keyLogPath(files);
    if (existsSync(file)) renameSync(file, `${file}.${genesis.atMs}.old`);
    const line = await writeLine(null, genesis, (bytes) => identity.signRaw(bytes));
    const state = await applyLine(null, line);
    if (typeof state === "string") throw new TypeError(`genesis is not sound: ${state}`);
    appendLine(file, line);
    files.write("head", state.head);
    return new KeyLog(files, identity, [line], state);
  }

  /**
   * Reads and verifies the whole log. What was torn off while it was being written, and was never acted upon, is cut away.
   *
   * @throws DamagedStateError when it is missing, does not verify, or lacks entries that were there before
   */
  static async open(files: StateFiles, identity: Identity): Promise<KeyLog> {
    const file = keyLogPath(files);
    const { lines, torn, state, head } = await readLog(files);
    identity.settle(state.key);
    if (torn !== "") truncate(file, Buffer.byteLength(torn));
    if (state.head.seq !== head.seq) files.write("head", state.head);
    return new KeyLog(files, identity, lines, state);
  }

  /**
   * Judges, appends and syncs one entry, in this order; only then is it part of `state`.
   *
   * @param atMs this machine's clock; never earlier than the entry before
   * @returns the problem, or null when the entry is on disk
   * @throws LogWriteError the disk refused; nothing changed
   */
  append(body: KeyLogBody, atMs: number): Promise<KeyLogProblem | null> {
    const done = this.#queue.then(() => this.#append(body, atMs));
    this.#queue = done.catch(() => undefined);
    return done;
  }

  /**
   * Takes over entries that this key wrote on a disk that is gone: each is judged, appended and synced as one of its own.
   *
   * @param lines what follows the last own entry, in order
   * @throws LogWriteError the disk refused one; those before it stay
   * @throws TypeError a line does not belong here
   */
  adopt(lines: readonly string[]): Promise<void> {
    const done = this.#queue.then(async () => {
      for (const line of lines) {
        const next = await applyLine(this.#state, line);
        if (typeof next === "string") throw new TypeError(`not the next entry: ${next}`);
        this.#keep(line, next);
      }
    });
    this.#queue = done.catch(() => undefined);
    return done;
  }

  /**
   * Changes the connector's key: the new one on disk, its entry on disk, then it takes over. A crash in between is settled by the next `open`.
   *
   * @returns the problem, or null when the new key is in use
   * @throws LogWriteError the disk refused the entry; the old key stays
   */
  rotate(atMs: number): Promise<KeyLogProblem | null> {
    const done = this.#queue.then(async () => {
      let body: Extract<KeyLogBody, { type: "rotate" }>;
      try {
        body = this.#identity.prepareRotation(this.#state.gateway);
      } catch (error) {
        throw new LogWriteError(`${this.#files.dir} cannot be written. Is the disk full?`, { cause: error });
      }
      let problem: KeyLogProblem | null;
      try {
        problem = await this.#append(body, atMs, () => this.#identity.takeOver());
      } catch (error) {
        this.#identity.abandonRotation();
        throw error;
      }
      if (problem === null) this.onRotated(this.#state.head.seq);
      else this.#identity.abandonRotation();
      return problem;
    });
    this.#queue = done.catch(() => undefined);
    return done;
  }

  /** On disk first, then part of the state. */
  #keep(line: string, next: KeyLogState): void {
    try {
      appendLine(keyLogPath(this.#files), line);
    } catch (error) {
      this.#files.noteDisk(error instanceof LogWriteError ? error.cause : error);
      throw error;
    }
    this.#state = next;
    this.#lines.push(line);
    try {
      this.#files.write("head", next.head);
    } catch {
      // The entry is on disk and signed: the next start finds it beyond the noted head and takes it.
    }
  }

  async #append(body: KeyLogBody, atMs: number, beforeTold: () => void = () => undefined): Promise<KeyLogProblem | null> {
    const { gateway, lastAtMs } = this.#state;
    const line = await writeLine(this.#state, { gateway, atMs: Math.max(atMs, lastAtMs), body }, (bytes) => this.#identity.signRaw(bytes));
    const next = await applyLine(this.#state, line);
    if (typeof next === "string") return next;
    this.#keep(line, next);
    if (body.type === "rotate") this.#rotations.push(line);
    beforeTold();
    this.onAppend(line);
    return null;
  }
}

/**
 * What the log says, for commands that only look: repairs nothing, because another process may be writing.
 *
 * @throws DamagedStateError as `KeyLog.open`
 */
export async function lookAtLog(files: StateFiles): Promise<KeyLogState> {
  return (await readLog(files)).state;
}

async function readLog(
  files: StateFiles,
): Promise<{ readonly lines: readonly string[]; readonly torn: string; readonly state: KeyLogState; readonly head: KeyLogHead }> {
  const file = keyLogPath(files);
  const damaged = (why: string): DamagedStateError =>
    new DamagedStateError(
      `${file} ${why}. Nothing is admitted. Restore it, or start over with \`gatehouse reset\` and claim the gateway again.`,
    );
  const head = files.read("head");
  if (!existsSync(file) || head === null) throw damaged(existsSync(file) ? "has lost the note of its last entry" : "is missing");
  const { lines, torn } = splitLog(readFileSync(file, "utf8"));
  const state = await verifyLog(lines);
  if (isFault(state)) throw damaged(`does not verify at entry ${state.seq} (${state.problem})`);
  if (state.hashes[head.seq] !== head.hash) throw damaged("lacks entries that were there before");
  return { lines, torn, state, head };
}

/** Whole line or nothing: a write that fails half way is taken back before anybody hears of it. */
function appendLine(file: string, line: string): void {
  let handle: number;
  try {
    handle = openSync(file, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0), 0o600);
  } catch (error) {
    throw new LogWriteError(`${file} cannot be written.`, { cause: error });
  }
  try {
    const { size } = fstatSync(handle);
    try {
      const bytes = Buffer.from(`${line}\n`);
      let written = 0;
      while (written < bytes.byteLength) written += writeSync(handle, bytes, written);
      fsyncSync(handle);
    } catch (error) {
      ftruncateSync(handle, size);
      throw new LogWriteError(`${file} cannot be written. Is the disk full?`, { cause: error });
    }
  } finally {
    closeSync(handle);
  }
}

function truncate(file: string, bytes: number): void {
  const handle = openSync(file, "r+");
  try {
    ftruncateSync(handle, fstatSync(handle).size - bytes);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
