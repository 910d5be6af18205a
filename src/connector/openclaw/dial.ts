/** How each leg dials the gateway: its address, and the one certificate that it may show (PROTOCOL.md OC4). */
import http from "node:http";
import https from "node:https";
import type { ConnectionOptions, PeerCertificate } from "node:tls";
import type { GatewayTarget } from "./openclaw-port.ts";

const LIVE_WITHIN_MS = 5_000;

/** @returns the gateway's base address without a path: an IPv6 host stands in brackets (RFC 3986 §3.2.2) */
export function gatewayUrl({ host, port, tls }: GatewayTarget, scheme: "ws" | "http"): string {
  return `${scheme}${tls === undefined ? "" : "s"}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** @returns what a TLS socket needs so that it takes the pinned certificate and no other; nothing for a plain one */
export function pinnedTls({ tls }: GatewayTarget): ConnectionOptions {
  if (tls === undefined) return {};
  return {
    ca: [tls.certificate],
    // The file may hold a leaf whose issuer nobody here knows.
    allowPartialTrustChain: true,
    // Its name is another one than loopback: the key is what counts.
    checkServerIdentity: (_host: string, { fingerprint256 }: PeerCertificate) =>
      fingerprint256 === tls.fingerprint ? undefined : new Error("another certificate than OpenClaw's own"),
  };
}

/** @returns a pool of connections of the data leg that are kept open; the control leg has a socket of its own */
export function newAgent({ tls }: GatewayTarget, options: http.AgentOptions): http.Agent {
  return tls === undefined ? new http.Agent(options) : new https.Agent(options);
}

/** Begins one request at the gateway. @throws TypeError for a method or a header field that cannot be written */
export function requestGateway(target: GatewayTarget, options: http.RequestOptions): http.ClientRequest {
  const { host, port, tls } = target;
  const request = tls === undefined ? http.request : https.request;
  return request({ ...options, ...pinnedTls(target), host, port });
}

/** @returns whether a gateway answers there. Loopback: never through a proxy */
export function isLive(target: GatewayTarget): Promise<boolean> {
  return new Promise((resolve) => {
    const request = requestGateway(target, { path: "/healthz", timeout: LIVE_WITHIN_MS });
    request.on("response", (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
    request.end();
  });
}
