/** How a socket of the gateway shows what it is: OpenClaw speaks first, with its challenge, on every path that no plugin took (openclaw.md 3.1). */

/** A challenge is some 150 bytes. */
const MAX_CHALLENGE_CHARS = 4_096;

/** @param path path and query of an upgrade @returns whether the stock Control UI connects there and waits for the challenge (PROTOCOL.md ST3) */
export function awaitsChallenge(path: string): boolean {
  return path === "/" || path.startsWith("/?");
}

/** @param text a text message of the gateway @returns whether it is the one that begins a handshake */
export function isChallenge(text: string): boolean {
  if (text.length > MAX_CHALLENGE_CHARS) return false;
  try {
    const frame = JSON.parse(text) as { event?: unknown } | null;
    return frame?.event === "connect.challenge";
  } catch {
    return false;
  }
}
