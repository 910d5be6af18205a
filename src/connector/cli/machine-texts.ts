/** What is wrong with this machine, for the person at it. */
import type { MachineFault } from "../../protocol/words.ts";
import { diskFaultOf } from "../state/state-files.ts";

/** @param dir the state folder */
export function machineText(fault: MachineFault, dir: string): string {
  switch (fault) {
    case "disk-full":
      return `The disk of ${dir} is full. Approved devices still connect, but nothing new is kept. Free some space.`;
    case "disk-refused":
      return `${dir} cannot be written. Approved devices still connect, but nothing new is kept. Check its disk, owner and mode.`;
    case "shared-user":
      return "The connector shares OpenClaw's user: programs there can imitate the host. `gatehouse install --system` separates them.";
  }
}

/** @returns what a command says that the disk stopped, or null when the error is another */
export function diskErrorText(error: unknown, dir: string): { readonly event: string; readonly text: string } | null {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === undefined || !["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO"].includes(code)) return null;
  const event = diskFaultOf(error);
  const why = event === "disk-full" ? `The disk of ${dir} is full` : `${dir} cannot be written`;
  const cure = event === "disk-full" ? "Free some space" : "Check its disk, owner and mode";
  return { event, text: `${why} (${code}). ${cure}, then run this again.` };
}
