/**
 * One connector per state folder, and a standby that hears when it is gone (PROTOCOL.md LINK11). Numbered symbolic links name the holder's socket:
 * making one is atomic, the newest number counts and is never taken away, and whether its holder lives is told by the kernel, which closes a
 * process's socket with the process. Two that find the same dead holder want the same next number, and one gets it.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, readdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { prepareFolder } from "./state-folder.ts";

/** This process has the folder. */
export interface StateLock {
  readonly isMine: true;
  /** Gives it up. @param last what standbys hear: null to take over, else the exit code with which they end, too */
  release(last: number | null): Promise<void>;
}

/** Another process has it. */
export interface HeldElsewhere {
  readonly isMine: false;
  /** Waits until that one is gone. Who does not ask is not kept by it. @returns its last word, or null when it said none */
  gone(): Promise<number | null>;
}

const LINK = /^lock\.(\d{1,9})$/;
const SOCKET = /^lock-[0-9a-f]{12}\.sock$/;

/** Path of a socket, without its end: 108 bytes on Linux, 104 on macOS and the BSDs (`sun_path`, unix(7) and unix(4)). */
const MAX_SOCKET_PATH_BYTES = process.platform === "linux" ? 107 : 103;
/** The longest path of a state folder that leaves room for the sockets in it, in bytes. */
export const MAX_STATE_PATH_BYTES = MAX_SOCKET_PATH_BYTES - "/lock-0123456789ab.sock".length;

/** Nobody listens; `ECONNRESET`: whoever did is ending in this very moment. */
const NOBODY: ReadonlySet<string> = new Set(["ECONNREFUSED", "ENOENT", "ECONNRESET"]);

function newest(dir: string): { readonly number: number; readonly socket: string } | null {
  const number = Math.max(0, ...readdirSync(dir).map((name) => Number(LINK.exec(name)?.[1] ?? 0)));
  if (number === 0) return null;
  try {
    return { number, socket: readlinkSync(path.join(dir, `lock.${number}`)) };
  } catch {
    // Cleared meanwhile: a newer one is there.
    return newest(dir);
  }
}

/** @returns a connection to the holder, or null when nobody listens there any more. @throws whatever else keeps it from connecting */
function dial(socketPath: string): Promise<net.Socket | null> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(socketPath);
    socket.once("connect", () => resolve(socket));
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (NOBODY.has(error.code ?? "")) resolve(null);
      else reject(error);
    });
  });
}

function lastWord(holder: net.Socket): Promise<number | null> {
  let text = "";
  holder.on("error", () => undefined);
  holder.on("data", (chunk: Buffer) => {
    text = (text + chunk.toString("utf8")).slice(0, 8);
  });
  return new Promise((resolve) => {
    holder.once("close", () => resolve(/^\d{1,3}$/.test(text) ? Number(text) : null));
  });
}

/**
 * Takes the folder when nobody has it. Waits for no one.
 *
 * @param dir state folder; made when it is not there
 * @throws StateFolderError when the folder cannot be made or is somebody else's; Error when sockets cannot be in it
 */
export async function takeState(dir: string): Promise<StateLock | HeldElsewhere> {
  prepareFolder(dir);
  const name = `lock-${randomBytes(6).toString("hex")}.sock`;
  const standbys = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    standbys.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => standbys.delete(socket));
    socket.resume();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path.join(dir, name), () => resolve());
  });
  const close = (last: number | null): Promise<void> => {
    for (const socket of standbys) {
      socket.end(last === null ? "" : String(last));
      // A standby that stands still must not keep this process.
      socket.destroySoon();
    }
    return new Promise((resolve) => server.close(() => resolve()));
  };
  try {
    // Nothing of this may keep a process that is done.
    server.unref();
    chmodSync(path.join(dir, name), 0o600);
    for (;;) {
      const top = newest(dir);
      // A folder that was copied may name a socket elsewhere: whoever holds that one does not hold this folder.
      const holder = top === null || !SOCKET.test(top.socket) ? null : await dial(path.join(dir, top.socket));
      if (holder !== null) {
        await close(null);
        holder.unref();
        const gone = lastWord(holder);
        return {
          isMine: false,
          gone: () => {
            holder.ref();
            return gone;
          },
        };
      }
      const mine = (top?.number ?? 0) + 1;
      if (!named(dir, mine, name)) continue;
      if (newest(dir)?.number !== mine) {
        // A number that had been cleared: somebody else was faster by more than one, and may have taken this socket for a dead holder's.
        rmSync(path.join(dir, `lock.${mine}`), { force: true });
        await close(null);
        return await takeState(dir);
      }
      clear(dir, mine, name);
      return { isMine: true, release: close };
    }
  } catch (error) {
    await close(null);
    throw error;
  }
}

function named(dir: string, number: number, socket: string): boolean {
  try {
    symlinkSync(socket, path.join(dir, `lock.${number}`));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** What dead holders left. Sockets of others that are just trying stay: they are named by nothing yet. */
function clear(dir: string, mine: number, socket: string): void {
  for (const entry of readdirSync(dir)) {
    const number = Number(LINK.exec(entry)?.[1] ?? mine);
    if (number >= mine) continue;
    const left = readlinkSync(path.join(dir, entry));
    if (left !== socket && SOCKET.test(left)) rmSync(path.join(dir, left), { force: true });
    rmSync(path.join(dir, entry), { force: true });
  }
}
