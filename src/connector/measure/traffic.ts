/** What crossed the link's sockets, read from the operating system's own counts: nothing is added to what each frame costs. */
import type { Socket } from "node:net";
import type { WebSocket } from "ws";

export class LinkTraffic {
  #ended = { toRoom: 0, fromRoom: 0 };
  #wire: Socket | null = null;
  #socket: WebSocket | null = null;
  #ups = 0;

  /** A new socket is on its way. */
  dialled(socket: WebSocket): void {
    this.#socket = socket;
    socket.on("upgrade", (response) => {
      this.#wire = response.socket;
    });
  }

  /** The socket is gone; what it carried stays counted. */
  closed(): void {
    this.#ended = this.bytes;
    this.#wire = null;
    this.#socket = null;
  }

  /** The room took the proof. */
  up(): void {
    this.#ups += 1;
  }

  /** Bytes on the wire since the process started, frames' headers and heartbeats included. */
  get bytes(): { readonly toRoom: number; readonly fromRoom: number } {
    const { toRoom, fromRoom } = this.#ended;
    return { toRoom: toRoom + (this.#wire?.bytesWritten ?? 0), fromRoom: fromRoom + (this.#wire?.bytesRead ?? 0) };
  }

  /** Bytes that the room has not taken yet. */
  get queueBytes(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** Times that the link came up again. */
  get reconnects(): number {
    return Math.max(0, this.#ups - 1);
  }
}
