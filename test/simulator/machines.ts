/** Machines and the copies that were made of them: which of them knows what another wrote, and which alarm that is a reason for. */
import type { KeyLogAlarm } from "../../src/protocol/key-log.ts";
import type { Disk } from "./disk.ts";
import { keyLogPath } from "./state-names.ts";

export interface Machine {
  readonly disk: Disk;
  /** The machine that this one is a copy of; null for the first. */
  readonly copyOf: Machine | null;
  /** Entries of the key log that were copied with it. */
  readonly copied: number;
  readonly copiedAtMs: number;
}

/** @returns the complete lines of a disk's key log */
export function keyLogOn(disk: Disk): readonly string[] {
  return disk.read(keyLogPath).toString("utf8").split("\n").slice(0, -1);
}

/** @returns the machine that wrote the entry which `machine` has at this place */
function writerOf(machine: Machine, seq: number): Machine {
  return machine.copyOf !== null && seq < machine.copied ? writerOf(machine.copyOf, seq) : machine;
}

/** @returns whether `machine` ever had what `writer` wrote at this place: it is that one, or was copied from it later */
function hasHad(machine: Machine, writer: Machine, seq: number): boolean {
  return machine === writer || (machine.copyOf !== null && seq < machine.copied && hasHad(machine.copyOf, writer, seq));
}

/** @returns whether `machine` has what the one with this disk wrote at that time: it is that one, or was copied from it later */
export function knows(machine: Machine, disk: Disk, atMs: number): boolean {
  return machine.disk === disk || (machine.copyOf !== null && atMs < machine.copiedAtMs && knows(machine.copyOf, disk, atMs));
}

/**
 * The alarm that a machine must raise for what its room knows (PROTOCOL.md KL6): its copy, or the machine that it was made of, wrote on without it.
 * What it once had itself, or what nobody wrote, is no reason.
 *
 * @param room the last entry of the room's copy; undefined when it has none
 * @param machines all that there ever were
 * @returns null when there is no reason for any
 */
export function dueAlarm(
  machine: Machine,
  room: { readonly seq: number; readonly line: string } | undefined,
  machines: readonly Machine[],
): KeyLogAlarm | null {
  const own = keyLogOn(machine.disk);
  if (room === undefined || own[room.seq] === room.line) return null;
  const who = machines.find(({ disk }) => keyLogOn(disk)[room.seq] === room.line);
  if (who === undefined || hasHad(machine, writerOf(who, room.seq), room.seq)) return null;
  return room.seq >= own.length ? "log-rolled-back" : "fork";
}
