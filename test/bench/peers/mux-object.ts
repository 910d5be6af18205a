/** The smallest multiplexing Durable Object: no checks, no flow control, no pieces. Hibernatable sockets, as Gatehouse's room has. Speaks raw-relay.ts's frames. */
import { DurableObject } from "cloudflare:workers";

interface Env {
  readonly MUX: DurableObjectNamespace;
}

const [OPEN, TEXT, BINARY, CLOSE, HEADER_BYTES] = [0, 1, 2, 3, 5];

export class Mux extends DurableObject {
  readonly #ends = new Map<number, WebSocket>();
  readonly #ids = new WeakMap<WebSocket, number>();
  #link: WebSocket | null = null;
  #last = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    // Back from hibernation: the tag says what each socket is, 0 for the link.
    for (const ws of ctx.getWebSockets()) this.#add(ws, Number(ctx.getTags(ws)[0]));
  }

  #add(ws: WebSocket, id: number): void {
    this.#last = Math.max(this.#last, id);
    if (id === 0) this.#link = ws;
    else {
      this.#ends.set(id, ws);
      this.#ids.set(ws, id);
    }
  }

  override fetch(request: Request): Response {
    const { 0: client, 1: server } = new WebSocketPair();
    const id = new URL(request.url).pathname.startsWith("/link/") ? 0 : this.#last + 1;
    this.ctx.acceptWebSocket(server, [String(id)]);
    this.#add(server, id);
    if (id > 0) this.#send(OPEN, id, new Uint8Array());
    return new Response(null, { status: 101, webSocket: client });
  }

  override webSocketMessage(ws: WebSocket, data: string | ArrayBuffer): void {
    const id = this.#ids.get(ws);
    if (id !== undefined) {
      if (typeof data === "string") this.#send(TEXT, id, new TextEncoder().encode(data));
      else this.#send(BINARY, id, new Uint8Array(data));
    } else if (typeof data !== "string") {
      const bytes = new Uint8Array(data);
      const target = new DataView(data).getUint32(1);
      const payload = bytes.subarray(HEADER_BYTES);
      if (bytes[0] === CLOSE) this.#ends.get(target)?.close(1000);
      else this.#ends.get(target)?.send(bytes[0] === TEXT ? new TextDecoder().decode(payload) : payload);
    }
  }

  override webSocketClose(ws: WebSocket): void {
    const id = this.#ids.get(ws);
    if (id !== undefined && this.#ends.delete(id)) this.#send(CLOSE, id, new Uint8Array());
    ws.close(1000);
  }

  #send(type: number, id: number, payload: Uint8Array): void {
    const out = new Uint8Array(HEADER_BYTES + payload.byteLength);
    out[0] = type;
    new DataView(out.buffer).setUint32(1, id);
    out.set(payload, HEADER_BYTES);
    this.#link?.send(out);
  }
}

/** `/link/<room>` is a room's connector, `/rooms/<room>` a device; any other path is a device of the room without a name. */
function roomOf(request: Request): string {
  return new URL(request.url).pathname.split("/")[2] ?? "";
}

// oxlint-disable-next-line import/no-default-export -- the runtime asks for it
export default {
  fetch: (request: Request, env: Env): Promise<Response> => env.MUX.getByName(`room ${roomOf(request)}`).fetch(request),
};
