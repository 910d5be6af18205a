/** One `npm start` per state folder (`src/connector/state/state-lock.ts`): the kernel says whether its holder lives. */
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { takeState } from "../src/connector/state/state-lock.ts";
import { INSTANCE_FILE, LOCK_FOLDER, takenSentence } from "./running-instance.mjs";

/** A living process has the folder; the message names it. */
export class InstanceRunningError extends Error {
  override name = "InstanceRunningError";
}

/**
 * Takes a state folder for this process, until it ends. A lock whose holder is gone is taken over.
 *
 * @param state folder; made when it is not there
 * @param address what a second start tells of this one
 * @throws InstanceRunningError when another process has it; Error when the folder cannot be written
 */
export async function takeInstance(state: string, address: string): Promise<void> {
  await mkdir(state, { recursive: true, mode: 0o700 });
  const lock = await takeState(path.join(state, LOCK_FOLDER));
  if (!lock.isMine) throw new InstanceRunningError(takenSentence(state));
  await writeFile(path.join(state, INSTANCE_FILE), `${JSON.stringify({ pid: process.pid, address })}\n`, { mode: 0o600 });
}
