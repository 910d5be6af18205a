/** What somebody probably meant by a word that nobody knows. */

/** Edits between two words: a letter put in, left out, changed, or two neighbours swapped (Damerau-Levenshtein, optimal string alignment). */
function edits(left: string, right: string): number {
  let before: number[] = [];
  let last = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row += 1) {
    const now = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const isSame = left[row - 1] === right[column - 1];
      let best = Math.min((last[column] ?? 0) + 1, (now[column - 1] ?? 0) + 1, (last[column - 1] ?? 0) + (isSame ? 0 : 1));
      if (row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1])
        best = Math.min(best, (before[column - 2] ?? 0) + 1);
      now.push(best);
    }
    [before, last] = [last, now];
  }
  return last[right.length] ?? 0;
}

const MAX_CHARS = 40;

/**
 * @param text what was written
 * @param words what is known
 * @returns the nearest known word, or null when none is near: at most one edit for each three letters
 */
export function nearestWord(text: string, words: readonly string[]): string | null {
  if (text.length > MAX_CHARS) return null;
  let best: { readonly word: string; readonly far: number } | null = null;
  for (const word of words) {
    const far = word.startsWith(text) && text.length > 1 ? 1 : edits(text.toLowerCase(), word);
    if (far <= Math.max(1, Math.floor(word.length / 3)) && (best === null || far < best.far)) best = { word, far };
  }
  return best?.word ?? null;
}
