/** Which gateways may be served: 2026.8.1 or newer (openclaw.md R13). */
import { MIN_OPENCLAW_VERSION } from "../../protocol/version.ts";

function parse(version: string): { readonly numbers: readonly number[]; readonly isPre: boolean } | null {
  const match = /^v?(\d{4})\.(\d{1,2})\.(\d{1,3})(-.+)?$/.exec(version.trim());
  if (match === null) return null;
  // `-demo` marks our own demo gateway, `-1` and the like a rebuild; only named pre-releases come before their release.
  return { numbers: [Number(match[1]), Number(match[2]), Number(match[3])], isPre: /^-(alpha|beta|rc|dev|canary)/.test(match[4] ?? "") };
}

/** @returns whether a gateway of this version protects against the loopback trap; false for a version that cannot be read */
export function isSupportedVersion(version: string): boolean {
  const own = parse(version);
  const least = parse(MIN_OPENCLAW_VERSION);
  if (own === null || least === null) return false;
  for (let i = 0; i < 3; i += 1) {
    const difference = (own.numbers[i] ?? 0) - (least.numbers[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return !own.isPre;
}
