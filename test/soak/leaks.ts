/** Whether a process keeps what it should have given back: its open files and its memory, each looked at when nothing is under way. */

/** One look at one process. */
export interface Look {
  readonly pid: number;
  /** Open file descriptors. */
  readonly files: number;
  readonly residentMib: number;
}

/** What became of the process that was looked at most often. */
export interface Growth {
  readonly looks: number;
  readonly files: readonly [first: number, last: number];
  readonly residentMib: readonly [first: number, last: number];
  /** In words; empty when it stayed flat. */
  readonly leaks: readonly string[];
}

/** Fewer say nothing: a third must be more than a handful. */
const FEWEST_LOOKS = 15;
/** The first looks of a process see it warm up: under streams that come and go workerd grows from 160 to 230 MiB within a dozen of them, and stays. */
const WARM_UP_LOOKS = 15;
/** Sockets that a keep-alive pool may hold or not. */
const MORE_FILES = 8;
/** Both at once: garbage that is not collected yet is no leak. */
const [MORE_SHARE, MORE_MIB] = [1.3, 32];

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/**
 * Compares the first third of the looks with the last one.
 *
 * @param looks in order, of one program; a process that was started again has another pid
 * @returns null when no process was looked at often enough
 */
export function growth(looks: readonly Look[]): Growth | null {
  const byPid = Map.groupBy(looks, ({ pid }) => pid);
  const longest = [...byPid.values()].toSorted((a, b) => b.length - a.length)[0]?.slice(WARM_UP_LOOKS) ?? [];
  if (longest.length < FEWEST_LOOKS) return null;
  const third = Math.floor(longest.length / 3);
  const [early, late] = [longest.slice(0, third), longest.slice(-third)];
  const files = [median(early.map((look) => look.files)), median(late.map((look) => look.files))] as const;
  const residentMib = [median(early.map((look) => look.residentMib)), median(late.map((look) => look.residentMib))] as const;
  const leaks: string[] = [];
  if (files[1] > files[0] + MORE_FILES) leaks.push(`open files grew from ${files[0]} to ${files[1]}`);
  if (residentMib[1] > residentMib[0] * MORE_SHARE && residentMib[1] > residentMib[0] + MORE_MIB)
    leaks.push(`memory grew from ${Math.round(residentMib[0])} to ${Math.round(residentMib[1])} MiB`);
  return { looks: longest.length, files, residentMib, leaks };
}
