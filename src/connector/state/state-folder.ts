/** Whose a folder is. A state folder's name comes from a command line, so nothing foreign in it or of it is ever changed (PROTOCOL.md SF). */
import { chmodSync, lstatSync, mkdirSync, readdirSync } from "node:fs";
import path from "node:path";
import { STATE_FILE_NAMES } from "./state-files.ts";

/** A folder that cannot be made, or is not this program's to write in. Says what to do instead. */
export class StateFolderError extends Error {
  override name = "StateFolderError";
}

const OUR_NAME = new RegExp(
  `^(?:(?:${STATE_FILE_NAMES.join("|")})\\.json(?:\\.\\d+\\.tmp)?|key-log\\.jsonl(?:\\.\\d+\\.old)?|control\\.sock|lock\\.\\d{1,9}|lock-[0-9a-f]{12}\\.sock|gateway-\\d{1,3})$`,
);
/** What no other program would have by chance. */
const SURE_NAME = /^(?:identity\.json|key-log\.jsonl|lock\.\d{1,9})$/;
/** The root of a fresh ext4 volume has it. */
const NOBODYS_NAME = "lost+found";

/** @returns whether this program makes files of this name */
export function isOurName(name: string): boolean {
  return OUR_NAME.test(name);
}

function entriesOf(dir: string): readonly string[] | null {
  try {
    return readdirSync(dir).filter((name) => name !== NOBODYS_NAME);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new StateFolderError(`The state folder ${dir} cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown"}). ${NAME_ANOTHER}`); // prettier-ignore
  }
}

const NAME_ANOTHER = "Name another one with --state <folder> or GATEHOUSE_STATE.";

/**
 * Looks, and changes nothing.
 *
 * @returns what a folder is: `ours` holds nothing else, `shared` holds our files among others
 * @throws StateFolderError when it cannot be read
 */
export function ownerOfFolder(dir: string): "missing" | "empty" | "ours" | "shared" | "foreign" {
  const entries = entriesOf(dir);
  if (entries === null) return "missing";
  if (entries.length === 0) return "empty";
  if (entries.every(isOurName)) return "ours";
  return entries.some((name) => SURE_NAME.test(name)) ? "shared" : "foreign";
}

/** Closes a file or folder to others. @returns whether it is closed now */
function close(file: string, mode: number): boolean {
  const stat = lstatSync(file, { throwIfNoEntry: false });
  if (stat === undefined || stat.isSymbolicLink() || stat.isSocket() || (stat.mode & 0o077) === 0) return true;
  if (stat.uid !== process.getuid?.()) return false;
  try {
    chmodSync(file, mode);
    return true;
  } catch {
    return false;
  }
}

/**
 * Makes a folder this program's, before it writes there for the first time in a process.
 *
 * @returns paths that others may read or change, and that are not ours to close
 * @throws StateFolderError when it cannot be made, or holds only files of somebody else
 */
export function prepareFolder(dir: string): readonly string[] {
  const owner = ownerOfFolder(dir);
  if (owner === "foreign") throw new StateFolderError(`${dir} holds files that are not Gatehouse's. Nothing was changed. ${NAME_ANOTHER}`);
  if (owner === "missing") {
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new StateFolderError(`The state folder ${dir} cannot be made (${(error as NodeJS.ErrnoException).code ?? "unknown"}). ${NAME_ANOTHER}`); // prettier-ignore
    }
  }
  const open: string[] = [];
  if (owner === "shared" ? (lstatSync(dir).mode & 0o077) !== 0 : !close(dir, 0o700)) open.push(dir);
  for (const name of entriesOf(dir) ?? []) {
    const file = path.join(dir, name);
    if (isOurName(name) && !/^gateway-\d+$/.test(name) && !close(file, 0o600)) open.push(file);
  }
  return open;
}
