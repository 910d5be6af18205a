/** The connector's metrics: numbers about this machine's connection, without a name, an id or an address of anything. */
import http from "node:http";
import type { AddressInfo } from "node:net";
import { PROMETHEUS_CONTENT_TYPE, prometheusText } from "../../core/measure/prometheus-text.ts";
import type { MetricFamily } from "../../core/measure/prometheus-text.ts";
import { OWN_HOPS } from "./latency-meter.ts";
import type { HopMeter } from "./latency-meter.ts";
import type { LinkTraffic } from "./traffic.ts";
import type { StreamCounts } from "./stream-counts.ts";

export interface Measured {
  readonly version: string;
  readonly isLinkUp: boolean;
  readonly isServing: boolean;
  readonly traffic: LinkTraffic;
  readonly openStreams: number;
  readonly streams: StreamCounts;
  readonly sessions: number;
  readonly cuts: number;
  readonly keyLogSeq: number;
  readonly hops: HopMeter;
}

/** @returns everything that a scrape gets, in the order in which it is written */
export function metricFamilies(now: Measured): readonly MetricFamily[] {
  const one = (type: "gauge" | "counter", name: string, help: string, value: number): MetricFamily => ({ name: `gatehouse_${name}`, help, type, samples: [{ value }] }); // prettier-ignore
  const { toRoom, fromRoom } = now.traffic.bytes;
  return [
    {
      name: "gatehouse_build_info",
      help: "Version of the connector.",
      type: "gauge",
      samples: [{ labels: { version: now.version }, value: 1 }],
    },
    one("gauge", "link_up", "1 while the link to the room is up.", Number(now.isLinkUp)),
    one("counter", "link_reconnects_total", "Times that the link came up again.", now.traffic.reconnects),
    {
      name: "gatehouse_link_bytes_total",
      help: "Bytes on the link's sockets.",
      type: "counter",
      samples: [
        { labels: { direction: "to_room" }, value: toRoom },
        { labels: { direction: "from_room" }, value: fromRoom },
      ],
    },
    one("gauge", "link_queue_bytes", "Bytes that wait for the network on their way to the room.", now.traffic.queueBytes),
    one("gauge", "gateway_ready", "1 while OpenClaw runs and is safe to serve.", Number(now.isServing)),
    one("gauge", "streams_open", "Streams that are open.", now.openStreams),
    one("counter", "streams_opened_total", "Streams that were opened.", now.streams.opened),
    {
      name: "gatehouse_streams_broken_total",
      help: "Streams that neither of their ends closed, by the leg where they broke.",
      type: "counter",
      samples: now.streams.broken.map(([leg, value]) => ({ labels: { leg }, value })),
    },
    one("gauge", "sessions", "Sessions of devices that are not over.", now.sessions),
    one("counter", "cuts_total", "Cuts that this process carried out.", now.cuts),
    one("gauge", "key_log_seq", "Place of the last entry of the key log.", now.keyLogSeq),
    {
      name: "gatehouse_hop_seconds",
      help: "Round trips over a hop.",
      type: "histogram",
      samples: OWN_HOPS.map((hop) => ({ labels: { hop }, histogram: now.hops.histograms[hop] })),
    },
    {
      name: "gatehouse_hop_median_seconds",
      help: "Median of the last round trips over a hop.",
      type: "gauge",
      samples: OWN_HOPS.flatMap((hop) => {
        const recent = now.hops.recent(hop);
        return recent === null ? [] : [{ labels: { hop }, value: recent.medianMs / 1000 }];
      }),
    },
  ];
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Where metrics are served.
 *
 * @param text `PORT`, `HOST:PORT` or `[IPv6]:PORT`; without a host, loopback
 * @returns null when it is none of these
 */
export function readListenAddress(text: string): ListenAddress | null {
  const [, ipv6, name, digits] = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):)?(\d{1,5})$/.exec(text) ?? [];
  if (digits === undefined || Number(digits) > 65_535) return null;
  return { host: ipv6 ?? name ?? "127.0.0.1", port: Number(digits) };
}

/** `Host` of a request to loopback (RFC 9110 §7.2). A page elsewhere can have its own name resolved to this machine, and then sends that name. */
const LOOPBACK_HOST = /^(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(?::\d{1,5})?$/i;

function isLoopback(address: string | undefined): boolean {
  return address === "::1" || /^(?:::ffff:)?127\./.test(address ?? "");
}

/**
 * Serves `GET /metrics`, and `GET /healthz` for supervisors: 200 while the gateway is connected and served, else 503. Nothing else; and over
 * loopback only to who names it (PROTOCOL.md OB8).
 *
 * @param read asked at every scrape
 * @returns the address that it has, and what ends it; rejects with the system's error when the address cannot be had
 */
export function serveMetrics(
  at: ListenAddress,
  read: () => Measured,
): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const server = http.createServer((request, response) => {
    if (isLoopback(request.socket.localAddress) && !LOOPBACK_HOST.test(request.headers.host ?? ""))
      return response.writeHead(403, { "content-type": "text/plain; charset=utf-8" }).end("Forbidden.\n");
    const asked = request.method === "GET" || request.method === "HEAD" ? request.url : undefined;
    if (asked === "/healthz") {
      const { isLinkUp, isServing } = read();
      const ok = isLinkUp && isServing;
      return response.writeHead(ok ? 200 : 503, { "content-type": "application/json" }).end(`${JSON.stringify({ ok })}\n`);
    }
    if (asked !== "/metrics") return response.writeHead(404, { "content-type": "text/plain; charset=utf-8" }).end("Not found.\n");
    return response.writeHead(200, { "content-type": PROMETHEUS_CONTENT_TYPE }).end(prometheusText(metricFamilies(read())));
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(at.port, at.host, () => {
      const { address, family, port } = server.address() as AddressInfo;
      const close = (): Promise<void> =>
        new Promise((done) => {
          server.close(() => done());
          server.closeAllConnections();
        });
      resolve({ url: `http://${family === "IPv6" ? `[${address}]` : address}:${port}/metrics`, close });
    });
  });
}
