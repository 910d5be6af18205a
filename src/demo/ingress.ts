/** Who counts as local, as OpenClaw 2026.9.6 decides it (openclaw.md 1.1), the loopback trap included: tests must be able to fall into it. */

export type Ingress = "direct-local" | "trusted-proxy" | "unattributable-proxy";

const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/;

function isProxyHeader(name: string): boolean {
  return name === "forwarded" || name === "x-real-ip" || name.startsWith("x-forwarded-") || name.startsWith("tailscale-");
}

function looksLikeAddress(text: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(text) || (text.includes(":") && /^[0-9a-f:.]+$/i.test(text));
}

/**
 * @param headers of the request, names in lower case
 * @param trustsLoopback whether `gateway.trustedProxies` names this peer
 */
export function ingressOf(headers: Readonly<Record<string, string | string[] | undefined>>, trustsLoopback: boolean): Ingress {
  if (!Object.keys(headers).some(isProxyHeader)) return "direct-local";
  if (!trustsLoopback) return "unattributable-proxy";
  const forwarded = headers["x-forwarded-for"];
  const text = Array.isArray(forwarded) ? forwarded.join(",") : (forwarded ?? "");
  const hops = text.split(",").map((each) => each.trim()).toReversed(); // prettier-ignore
  const client = hops.find((hop) => !LOOPBACK.test(hop));
  return client !== undefined && looksLikeAddress(client) ? "trusted-proxy" : "unattributable-proxy";
}
