/** Whether an `npm start` has a state folder: asked before anything is installed or built, so plain JavaScript for Node 20. */
import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import net from "node:net";
import path from "node:path";

/** Below the state folder: the lock's own folder (`src/connector/state/state-lock.ts`), and what its holder says of itself. */
export const LOCK_FOLDER = "instance";
export const INSTANCE_FILE = "instance.json";

/** @param {string} state folder @returns {string} the sentence for who finds it taken */
export function takenSentence(state) {
  let who = "another process";
  try {
    const { pid, address } = JSON.parse(readFileSync(path.join(state, INSTANCE_FILE), "utf8"));
    if (Number.isInteger(pid) && typeof address === "string") who = `process ${pid}, ${address}`;
  } catch {
    // It has just begun.
  }
  return `Gatehouse runs already with the state folder ${state}: ${who}. End that one with Ctrl-C, or name another folder and port: GATEHOUSE_STATE=<folder> PORT=8788 npm start`; // prettier-ignore
}

/**
 * Looks, and changes nothing. The kernel closes a process's socket with the process, so a lock that is left behind is nobody's.
 *
 * @param {string} state folder
 * @returns {Promise<boolean>} whether a living process has it
 */
export async function isTaken(state) {
  const folder = path.join(state, LOCK_FOLDER);
  let socketPath;
  try {
    const numbers = readdirSync(folder).flatMap((name) => /^lock\.(\d{1,9})$/.exec(name)?.[1] ?? []);
    socketPath = path.join(folder, path.basename(readlinkSync(path.join(folder, `lock.${Math.max(...numbers.map(Number))}`))));
  } catch {
    return false;
  }
  return new Promise((resolve) => {
    const socket = net.connect(socketPath);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
