/** A machine's disk: what is synced survives a power cut, what is not may be torn or missing. It can be full, and it can lose power within a call. */
import { sim } from "./sim.ts";

interface File {
  content: Buffer;
  syncedBytes: number;
}

/** Thrown at the very call at which the machine loses power: nothing after it reaches the disk. */
export class PowerCut extends Error {
  override name = "PowerCut";
}

export class Disk {
  /** Names as they are, and as they are on the platter. */
  #names = new Map<string, File>();
  #synced = new Map<string, File>();
  #handles = new Map<number, File | null>();
  #nextHandle = 3;
  isFull = false;
  /** Counts down with each call that changes something; at 0 the machine loses power. */
  callsToPowerCut: number | null = null;
  hasPower = true;
  onPowerCut: () => void = () => undefined;

  /** The same files on another machine. */
  copy(): Disk {
    const other = new Disk();
    for (const [name, file] of this.#names)
      other.#names.set(name, { content: Buffer.from(file.content), syncedBytes: file.content.byteLength });
    other.#synced = new Map(other.#names);
    return other;
  }

  exists(path: string): boolean {
    return this.#names.has(path);
  }

  names(): string[] {
    return [...this.#names.keys()];
  }

  read(path: string): Buffer {
    const file = this.#names.get(path);
    if (file === undefined) throw Object.assign(new Error("ENOENT"), { code: "ENOENT" });
    return file.content;
  }

  open(path: string, flags: string | number): number {
    const handle = this.#nextHandle;
    this.#nextHandle += 1;
    if (flags === "r") {
      this.#handles.set(handle, this.#names.get(path) ?? null);
      return handle;
    }
    this.#change();
    let file = this.#names.get(path);
    if (file === undefined || flags === "w") {
      file = { content: Buffer.alloc(0), syncedBytes: 0 };
      this.#names.set(path, file);
    }
    this.#handles.set(handle, file);
    return handle;
  }

  write(handle: number, data: Buffer): number {
    const file = this.#file(handle);
    if (this.isFull) throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    // A call may write less than it was given, and power may go in the middle.
    const part = data.subarray(0, this.callsToPowerCut === 1 ? Math.floor(data.byteLength / 2) : data.byteLength);
    file.content = Buffer.concat([file.content, part]);
    this.#change();
    return part.byteLength;
  }

  truncate(handle: number, size: number): void {
    this.#change();
    const file = this.#file(handle);
    file.content = file.content.subarray(0, size);
    file.syncedBytes = Math.min(file.syncedBytes, size);
  }

  sync(handle: number): void {
    this.#change();
    const file = this.#handles.get(handle);
    if (file === null || file === undefined) this.#synced = new Map(this.#names);
    else {
      file.syncedBytes = file.content.byteLength;
      // Syncing a new file makes its name durable on the file systems in use.
      for (const [name, each] of this.#names) if (each === file) this.#synced.set(name, file);
    }
  }

  rename(from: string, to: string): void {
    this.#change();
    const file = this.#names.get(from);
    if (file === undefined) throw Object.assign(new Error("ENOENT"), { code: "ENOENT" });
    this.#names.delete(from);
    this.#names.set(to, file);
  }

  remove(path: string): void {
    this.#change();
    this.#names.delete(path);
  }

  size(handle: number): number {
    return this.#file(handle).content.byteLength;
  }

  close(handle: number): void {
    this.#handles.delete(handle);
  }

  /** Power is back: of what was not synced anything between nothing and all is there. */
  restorePower(): void {
    const { timing } = sim;
    const names = timing.chance(0.5) ? this.#synced : this.#names;
    this.#names = new Map(
      [...names].map(([name, file]) => {
        const kept = timing.int(file.syncedBytes, file.content.byteLength);
        return [name, { content: Buffer.from(file.content.subarray(0, kept)), syncedBytes: kept }];
      }),
    );
    this.#synced = new Map(this.#names);
    this.#handles.clear();
    this.callsToPowerCut = null;
    this.hasPower = true;
  }

  #file(handle: number): File {
    const file = this.#handles.get(handle);
    if (file === null || file === undefined) throw Object.assign(new Error("EBADF"), { code: "EBADF" });
    return file;
  }

  #change(): void {
    if (!this.hasPower) throw new PowerCut("no power");
    if (this.callsToPowerCut === null) return;
    this.callsToPowerCut -= 1;
    if (this.callsToPowerCut > 0) return;
    this.hasPower = false;
    this.onPowerCut();
    throw new PowerCut("no power");
  }
}

const disks = new WeakMap<object, Disk>();

/** Says on which disk an actor's files are. */
export function mount(actor: object, on: Disk): void {
  disks.set(actor, on);
}

/** @returns the disk of whoever runs at the moment */
export function disk(): Disk {
  const found = disks.get(sim.scheduler.actor);
  if (found === undefined) throw new Error(`${sim.scheduler.actor.name} has no disk`);
  return found;
}
