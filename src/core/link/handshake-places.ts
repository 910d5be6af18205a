/** Who gives way when the places for sockets that have proven nothing are taken (PROTOCOL.md AB4). Pure. */

export interface TakenPlace {
  /** Address, or IPv6 /64. */
  readonly group: string;
  readonly acceptedAtMs: number;
}

/**
 * Frees a place for a newcomer: the owner's machine must not wait behind strangers, and each of these shows up again if it means it.
 *
 * @param taken every place, in any order
 * @param group of the newcomer
 * @returns the place whose socket ends: the oldest of the newcomer's own address when that has all it may, else of the address with most; null: one is free
 */
export function placeToFree<T extends TakenPlace>(
  taken: readonly T[],
  group: string,
  limits: { readonly all: number; readonly perGroup: number },
): T | null {
  const own = taken.filter((each) => each.group === group);
  if (own.length >= limits.perGroup) return oldest(own);
  if (taken.length < limits.all) return null;
  const sizes = new Map<string, number>();
  for (const each of taken) sizes.set(each.group, (sizes.get(each.group) ?? 0) + 1);
  const most = Math.max(...sizes.values());
  return oldest(taken.filter((each) => sizes.get(each.group) === most));
}

function oldest<T extends TakenPlace>(places: readonly T[]): T | null {
  return places.reduce<T | null>((first, each) => (first === null || each.acceptedAtMs < first.acceptedAtMs ? each : first), null);
}
