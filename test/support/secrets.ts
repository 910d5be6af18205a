/** What no process may print: the patterns that the suite reads every output for (fault case 44). */

/** In a Worker's log: tokens of ours, and anything as long as a key, a MAC, a nonce or a signature. */
export const IN_A_LOG = /gth[a-z]_[0-9A-Za-z]{20}|[A-Za-z0-9_-]{43}|__Host-gth/;

/** In what a program says to a person: tokens of ours, cookies, credentials in headers, and secrets of gateways, which tests begin with `canary`. */
export const ON_A_TERMINAL = /gth[a-z]_[0-9A-Za-z]{20}|__Host-gth|authorization: |canary-[0-9a-f]{8}/i;

/** @returns the lines that hold a secret */
export function leaksIn(lines: readonly string[], secrets: RegExp): string[] {
  return lines.filter((line) => secrets.test(line));
}
