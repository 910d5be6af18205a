/** Finds what a person means by an id, its beginning, or a name. Never guesses: what fits several is all of them. */

export interface NamedThing {
  readonly id: string;
  readonly name: string;
}

/**
 * @param things among which is looked
 * @param text an id, the beginning of one, or a name in any case
 * @returns all that fit; an exact id is the only one that fits itself
 */
export function matchesOf<Thing extends NamedThing>(things: readonly Thing[], text: string): readonly Thing[] {
  if (text === "") return [];
  const exact = things.filter((thing) => thing.id === text);
  if (exact.length > 0) return exact;
  const wanted = text.toLowerCase();
  return things.filter((thing) => thing.id.startsWith(text) || thing.name.toLowerCase() === wanted);
}
