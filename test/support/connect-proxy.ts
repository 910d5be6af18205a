/** An HTTP proxy for tests: it tunnels every name to one port of this machine, as the only way to names that do not resolve. */
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import type { AddressInfo } from "node:net";

export interface ConnectProxy {
  /** Without name and password. */
  readonly url: string;
  /** What was asked for, in order: `host:port`. */
  readonly asked: readonly string[];
  /** Answers every further CONNECT with this status; null tunnels again. */
  refuse(status: number | null): void;
  stop(): Promise<void>;
}

/**
 * @param to port on loopback that every tunnel leads to
 * @param login `name:password` that it wants, or null
 */
export async function startConnectProxy(to: number, login: string | null = null): Promise<ConnectProxy> {
  const asked: string[] = [];
  const sockets = new Set<net.Socket>();
  let refusal: number | null = null;
  const server = http.createServer((_request, response) => void response.writeHead(405).end());
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("connect", (request, client, head) => {
    asked.push(request.url ?? "");
    const isKnown = login === null || request.headers["proxy-authorization"] === `Basic ${Buffer.from(login).toString("base64")}`;
    const status = refusal ?? (isKnown ? null : 407);
    if (status !== null) return void client.end(`HTTP/1.1 ${status} No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n`);
    const target = net.connect(to, "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      target.write(head);
      target.pipe(client).pipe(target);
    });
    for (const [one, other] of [
      [target, client],
      [client, target],
    ] as const) {
      one.on("error", () => other.destroy());
      one.once("close", () => other.destroy());
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    refuse: (status) => {
      refusal = status;
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
