/** The files of the connector process that runs at the moment. */
import { disk } from "../disk.ts";

export const constants = { O_WRONLY: 1, O_CREAT: 64, O_APPEND: 1024, O_NOFOLLOW: 131072 };
export const mkdirSync = (): void => undefined;
export const chmodSync = (): void => undefined;
export const rmdirSync = (): void => undefined;
export const existsSync = (path: string): boolean => disk().exists(path);
export const openSync = (path: string, flags: string | number): number => disk().open(path, flags);
export const closeSync = (handle: number): void => disk().close(handle);
export const fsyncSync = (handle: number): void => disk().sync(handle);
export const fstatSync = (handle: number): { size: number } => ({ size: disk().size(handle) });
export const ftruncateSync = (handle: number, size: number): void => disk().truncate(handle, size);
export const readFileSync = (path: string): string => disk().read(path).toString("utf8");
export const readdirSync = (): string[] => disk().names();
export const renameSync = (from: string, to: string): void => disk().rename(from, to);
export const rmSync = (path: string): void => disk().remove(path);
export function writeSync(handle: number, data: string | Buffer, offset = 0): number {
  return disk().write(handle, (typeof data === "string" ? Buffer.from(data) : data).subarray(offset));
}
