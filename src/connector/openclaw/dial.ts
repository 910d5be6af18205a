/** How each leg dials the gateway: one place for its address. */
import type { GatewayTarget } from "./openclaw-port.ts";

/** @returns the address as it stands in a URL: an IPv6 host in brackets (RFC 3986 §3.2.2) */
export function authority({ host, port }: GatewayTarget): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
