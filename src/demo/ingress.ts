/** Who counts as local, as OpenClaw 2026.9.6 decides it (openclaw.md 1.1), the loopback trap included: tests must be able to fall into it. */
import net from "node:net";

export interface Ingress {
  readonly kind: "direct-local" | "direct-remote" | "trusted-proxy" | "unattributable-proxy";
  /** The visitor's own address; null when nobody said one. */
  readonly remoteIp: string | null;
}

const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/;

function isProxyHeader(name: string): boolean {
  return name === "forwarded" || name === "x-real-ip" || name.startsWith("x-forwarded-") || name.startsWith("tailscale-");
}

/**
 * @param headers of the request, names in lower case
 * @param trustsLoopback whether `gateway.trustedProxies` names this peer
 * @param isElsewhere the peer's address is not of this machine, as behind a container's published port
 */
export function ingressOf(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  trustsLoopback: boolean,
  isElsewhere = false,
): Ingress {
  if (!Object.keys(headers).some(isProxyHeader)) return { kind: isElsewhere ? "direct-remote" : "direct-local", remoteIp: null };
  if (!trustsLoopback) return { kind: "unattributable-proxy", remoteIp: null };
  const forwarded = headers["x-forwarded-for"];
  const text = Array.isArray(forwarded) ? forwarded.join(",") : (forwarded ?? "");
  const hops = text.split(",").map((each) => each.trim()).toReversed(); // prettier-ignore
  const remoteIp = hops.find((hop) => !LOOPBACK.test(hop)) ?? "";
  return net.isIP(remoteIp) === 0 ? { kind: "unattributable-proxy", remoteIp: null } : { kind: "trusted-proxy", remoteIp };
}
