/** The one address that goes to the gateway as the visitor's (openclaw.md 1.1, R1). */

const DOCUMENTATION_PREFIX = "203.0.113.";

function ipv4(text: string): readonly number[] | null {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return null;
  return parts.map(Number);
}

function isPublicIpv4([a = 0, b = 0, c = 0]: readonly number[]): boolean {
  if (a === 0 || a === 10 || a === 127 || a >= 224) return false;
  if (a === 100 && b >= 64 && b <= 127) return false;
  if ((a === 169 && b === 254) || (a === 192 && b === 168) || (a === 172 && b >= 16 && b <= 31)) return false;
  return !(a === 192 && b === 0 && c === 0);
}

/** Expands an IPv6 text to eight groups; null when it is none. Mapped IPv4 is read as groups. */
function ipv6(text: string): readonly number[] | null {
  if (!/^[0-9a-f:.]+$/i.test(text)) return null;
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  let source = text;
  if (tail !== null) {
    const v4 = ipv4(tail[2] ?? "");
    if (v4 === null) return null;
    const [a = 0, b = 0, c = 0, d = 0] = v4;
    source = `${tail[1] ?? ""}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const halves = source.split("::");
  if (halves.length > 2) return null;
  const groups = (half: string | undefined): string[] => (half === undefined || half === "" ? [] : half.split(":"));
  const head = groups(halves[0]);
  const rest = groups(halves[1]);
  const missing = 8 - head.length - rest.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const all = [...head, ...Array.from({ length: halves.length === 1 ? 0 : missing }, () => "0"), ...rest];
  return all.every((group) => /^[0-9a-f]{1,4}$/i.test(group)) ? all.map((group) => Number.parseInt(group, 16)) : null;
}

/**
 * @param text an address as the edge wrote it
 * @returns whether it is one well-formed address that is neither loopback, private, link-local nor unspecified: anything else could make a
 *   stranger look local
 */
export function isPublicAddress(text: string): boolean {
  const v4 = ipv4(text);
  if (v4 !== null) return isPublicIpv4(v4);
  const v6 = ipv6(text);
  if (v6 === null) return false;
  const [first = 0] = v6;
  // Mapped and compatible forms hide an IPv4 address, loopback included: none comes from an edge.
  return first >= 0x2000 && first <= 0x3fff;
}

/**
 * The address to pass on. Behind the runtime on one machine every visitor is loopback or private; such a one is replaced by an address of the
 * documentation range (RFC 5737), the same for the same input, so that the gateway always sees a remote visitor.
 *
 * @param observed what the edge saw; may be missing
 */
export function visitorAddress(observed: string | null): string {
  if (observed !== null && isPublicAddress(observed)) return observed;
  let sum = 0;
  for (const char of observed ?? "") sum = (sum * 31 + char.charCodeAt(0)) % 250;
  return `${DOCUMENTATION_PREFIX}${sum + 1}`;
}

/** @returns what a person is shown of a visitor's address; null: it stands in for one of the gateway's own network */
export function shownAddress(address: string): string | null {
  return address.startsWith(DOCUMENTATION_PREFIX) ? null : address;
}

/** @returns the first `groups` groups of an IPv6 address as a prefix, or null for anything else */
function ipv6Prefix(address: string, groups: number): string | null {
  const v6 = ipv4(address) === null ? ipv6(address) : null;
  if (v6 === null) return null;
  const head = v6.slice(0, groups).map((group) => group.toString(16));
  return `${head.join(":")}::/${groups * 16}`;
}

/**
 * What limits per address count by: an IPv4 address, or the /64 that one IPv6 customer holds.
 *
 * @param address as `visitorAddress` gave it
 * @returns a key; the text itself when it is no address
 */
export function addressGroup(address: string): string {
  return ipv6Prefix(address, 4) ?? address;
}

/**
 * What a second, wider limit counts by: one IPv6 customer may hold a whole /48, which is 65,536 of the groups above.
 *
 * @returns a key, or null for everything but an IPv6 address
 */
export function addressSite(address: string): string | null {
  return ipv6Prefix(address, 3);
}
