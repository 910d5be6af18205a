/** The smallest reverse relay in plain Node: one link, many devices, no checks, no flow control. `raw-relay.ts relay <port>` or `raw-relay.ts connector <relay url> <gateway url>`. */
import { WebSocket, WebSocketServer } from "ws";

const OPEN = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 3;
const HEADER_BYTES = 5;

function frame(type: number, id: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const out = Buffer.allocUnsafe(HEADER_BYTES + data.byteLength);
  out[0] = type;
  out.writeUInt32BE(id, 1);
  data.copy(out, HEADER_BYTES);
  return out;
}

/** Passes one end's messages to the link, until it closes. */
function pump(ws: WebSocket, id: number, ends: Map<number, WebSocket>, link: () => WebSocket | undefined): void {
  ends.set(id, ws);
  ws.on("message", (data: Buffer, isBinary: boolean) => link()?.send(frame(isBinary ? BINARY : TEXT, id, data)));
  ws.on("close", () => {
    if (ends.delete(id)) link()?.send(frame(CLOSE, id));
  });
  ws.on("error", () => undefined);
}

/** Passes one frame of the link to its end. */
function deliver(data: Buffer, ends: Map<number, WebSocket>): void {
  const id = data.readUInt32BE(1);
  const ws = ends.get(id);
  if (data[0] === CLOSE) {
    ends.delete(id);
    ws?.close();
  } else ws?.send(data.subarray(HEADER_BYTES), { binary: data[0] === BINARY });
}

const plain = { perMessageDeflate: false } as const;
const [role, first = "", second = ""] = process.argv.slice(2);
const ends = new Map<number, WebSocket>();
if (role === "relay") {
  let link: WebSocket | undefined;
  let last = 0;
  new WebSocketServer({ ...plain, host: "127.0.0.1", port: Number(first) }, () => process.stdout.write("ready\n")).on(
    "connection",
    (ws, request) => {
      if (request.url === "/link") {
        link = ws;
        ws.on("message", (data: Buffer) => deliver(data, ends));
        return;
      }
      last += 1;
      pump(ws, last, ends, () => link);
      link?.send(frame(OPEN, last));
    },
  );
} else {
  const link = new WebSocket(first, plain);
  link.on("open", () => process.stdout.write("ready\n"));
  link.on("message", (data: Buffer) => {
    if (data[0] !== OPEN) return deliver(data, ends);
    const id = data.readUInt32BE(1);
    // The gateway speaks first, so nothing can arrive for it before it is open.
    pump(new WebSocket(second, plain), id, ends, () => link);
  });
}
