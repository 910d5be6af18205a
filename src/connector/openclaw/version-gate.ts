/** Which gateways are probed at all: 2026.8.1 or newer. Whether one is served is the probes' answer (PROTOCOL.md R13). */
import { MIN_OPENCLAW_VERSION } from "../../protocol/version.ts";

/** Older ones take a forwarded stranger for a local user: the probe itself would be let in. */
const PROBED_FROM = "2026.8.1";

function parse(version: string): { readonly numbers: readonly number[]; readonly isPre: boolean } | null {
  const match = /^v?(\d{4})\.(\d{1,2})\.(\d{1,3})(-.+)?$/.exec(version.trim());
  if (match === null) return null;
  // `-demo` marks our own demo gateway, `-1` and the like a rebuild; only named pre-releases come before their release.
  return { numbers: [Number(match[1]), Number(match[2]), Number(match[3])], isPre: /^-(alpha|beta|rc|dev|canary)/.test(match[4] ?? "") };
}

/** @returns whether `version` is `least` or newer, by its numbers; false for one that cannot be read */
function isAtLeast(version: string, least: string): boolean {
  const own = parse(version);
  const other = parse(least);
  if (own === null || other === null) return false;
  for (let i = 0; i < 3; i += 1) {
    const difference = (own.numbers[i] ?? 0) - (other.numbers[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return !own.isPre;
}

/** @returns whether a gateway of this version tells strangers from local users; false for a version that cannot be read */
export function mayBeProbed(version: string): boolean {
  return isAtLeast(version, PROBED_FROM);
}

/** @returns whether releases of this number take the way in, as far as is known. A hint for sentences: long-term builds count apart */
export function isKnownToServe(version: string): boolean {
  return isAtLeast(version, MIN_OPENCLAW_VERSION);
}
