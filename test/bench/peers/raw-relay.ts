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
if (role === "relay") {
  /** `/link/<room>` is a room's connector, `/rooms/<room>` a device; any other path is a device of the room without a name. */
  const rooms = new Map<string, { link?: WebSocket; last: number; readonly ends: Map<number, WebSocket> }>();
  new WebSocketServer({ ...plain, host: "127.0.0.1", port: Number(first) }, () => process.stdout.write("ready\n")).on(
    "connection",
    (ws, request) => {
      const [, kind, name = ""] = (request.url ?? "").split("/");
      const room = rooms.get(name) ?? { last: 0, ends: new Map<number, WebSocket>() };
      rooms.set(name, room);
      if (kind === "link") {
        room.link = ws;
        ws.on("message", (data: Buffer) => deliver(data, room.ends));
        return;
      }
      room.last += 1;
      pump(ws, room.last, room.ends, () => room.link);
      room.link?.send(frame(OPEN, room.last));
    },
  );
} else {
  const ends = new Map<number, WebSocket>();
  const link = new WebSocket(first, plain);
  link.on("open", () => process.stdout.write("ready\n"));
  link.on("message", (data: Buffer) => {
    if (data[0] !== OPEN) return deliver(data, ends);
    const id = data.readUInt32BE(1);
    // The gateway speaks first, so nothing can arrive for it before it is open.
    pump(new WebSocket(second, plain), id, ends, () => link);
  });
}
