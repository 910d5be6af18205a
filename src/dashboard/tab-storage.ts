/** What this tab keeps over a reload; a browser without storage keeps nothing, and the page still works. */

/** @returns the kept value, or null. Only this page writes it, in the shape that the caller names. */
export function readKept<T>(item: string): T | null {
  try {
    const text = sessionStorage.getItem(item);
    return text === null ? null : (JSON.parse(text) as T);
  } catch {
    return null;
  }
}

export function keep(item: string, value: unknown): void {
  try {
    sessionStorage.setItem(item, JSON.stringify(value));
  } catch {
    // Lost at the next reload, no sooner.
  }
}
