/** Second secrets of the links that this browser made: they stay here, so that the owner's page can tell later who opened them (PROTOCOL.md PE3). */

const PREFIX = "gatehouse-invitation-";

/** Keeps one. A browser that keeps nothing has the check words instead. */
export function keepSecret(invitation: string, secret: string): void {
  try {
    localStorage.setItem(PREFIX + invitation, secret);
  } catch {
    // Said at the confirmation: the words are compared then.
  }
}

/** @returns null when another browser made the link */
export function secretOf(invitation: string): string | null {
  try {
    return localStorage.getItem(PREFIX + invitation);
  } catch {
    return null;
  }
}

export function dropSecret(invitation: string): void {
  try {
    localStorage.removeItem(PREFIX + invitation);
  } catch {
    // Nothing was kept.
  }
}
