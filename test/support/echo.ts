/** What load tests and benchmarks talk to behind every relay: an echo with a few commands, at a path of its own on the demo gateway. */
import { startDemoGateway } from "../../src/demo/gateway.ts";
import type { DemoGateway } from "../../src/demo/gateway.ts";
import type { WebSocket } from "ws";

export const ECHO_PATH = "/echo";
/** GET of it is answered with a head and then nothing, as an event stream without events is. */
export const SILENT_PATH = "/silent";
/** First message of every socket, as OpenClaw's challenge is: a relay that answers an upgrade early shows itself. */
export const ECHO_HELLO = "hello";

/** `!burst <messages> <bytes>`: that many binary messages, each beginning with its number (u32). */
export function burst(messages: number, bytes: number): string {
  return `!burst ${messages} ${bytes}`;
}
/** `!ticks <ms>`: a small text message every so often, until the socket closes. */
export function ticks(everyMs: number): string {
  return `!ticks ${everyMs}`;
}

function serve(ws: WebSocket): void {
  ws.on("error", () => undefined);
  ws.on("message", (data: Buffer, isBinary: boolean) => {
    const [command, first = "0", second = "0"] = !isBinary && data[0] === 0x21 ? data.toString("utf8").split(" ") : [];
    if (command === undefined) return ws.send(data, { binary: isBinary });
    if (command === "!burst") {
      for (let i = 0; i < Number(first); i += 1) {
        const message = Buffer.alloc(Number(second), i & 0xff);
        message.writeUInt32BE(i);
        ws.send(message);
      }
    } else if (command === "!ticks") {
      const timer = setInterval(() => ws.send("tick"), Number(first));
      ws.on("close", () => clearInterval(timer));
    }
  });
  ws.send(ECHO_HELLO);
}

export interface EchoOptions {
  readonly port: number;
  readonly token: string;
  /** A socket ended on the gateway's side; `query` is what its path had after `?`. */
  readonly onClose?: (query: string, code: number) => void;
}

/** Starts the demo gateway with the echo at ECHO_PATH. */
export function startEchoGateway({ onClose, ...options }: EchoOptions): Promise<DemoGateway> {
  return startDemoGateway({
    ...options,
    onRequest: (request, response) => {
      if (request.url !== SILENT_PATH) return false;
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
      return true;
    },
    onSocket: (ws, request) => {
      const [path, query = ""] = (request.url ?? "").split("?");
      if (path !== ECHO_PATH) return false;
      ws.on("close", (code) => onClose?.(query, code));
      serve(ws);
      return true;
    },
  });
}
