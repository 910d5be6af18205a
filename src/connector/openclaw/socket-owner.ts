/** Whose program listens on a port of this machine, as Linux tells every user (proc_net_tcp of the kernel's documentation). */
import { readFileSync } from "node:fs";

const LISTEN = "0A";

/** @returns the owners' numeric ids in one table of /proc/net */
export function listenersIn(table: string, port: number): readonly number[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  return table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === LISTEN && fields[1]?.split(":")[1] === wanted)
    .map((fields) => Number(fields[7]));
}

/** @returns the user whose program listens there; null where it is unknown, or several do */
export function ownerOfPort(port: number): number | null {
  const owners = new Set<number>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    try {
      for (const uid of listenersIn(readFileSync(table, "utf8"), port)) owners.add(uid);
    } catch {
      // No Linux, or no IPv6.
    }
  }
  const [uid] = owners;
  return owners.size === 1 && uid !== undefined && Number.isInteger(uid) ? uid : null;
}
