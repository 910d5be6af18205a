/** Telling door pages and the owner's inbox; nothing is decided or stored here. */
import type { ToDoor } from "../../protocol/door-messages.ts";
import type { GatewayState } from "../../protocol/words.ts";
import type { Env } from "../env.ts";
import { attachmentOf, closeQuietly } from "./attachments.ts";
import type { RoomStorage } from "./storage.ts";

type InboxStub = ReturnType<Env["INBOX"]["getByName"]>;

export class Notices {
  readonly #ctx: DurableObjectState;
  readonly #env: Env;
  readonly #storage: RoomStorage;
  readonly #called: () => void;

  /** @param called counts a call of the inbox */
  constructor(ctx: DurableObjectState, env: Env, storage: RoomStorage, called: () => void) {
    this.#called = called;
    this.#ctx = ctx;
    this.#env = env;
    this.#storage = storage;
  }

  device(device: string, message: ToDoor): void {
    for (const ws of this.waitingPages(device)) sendToDoor(ws, message);
  }

  /** Open door pages of a device. Tags are fixed when a socket is accepted, before its key is known, so the attachment tells. */
  waitingPages(device: string): WebSocket[] {
    return this.#ctx.getWebSockets("wait").filter((ws) => {
      const attachment = attachmentOf(ws);
      return ws.readyState === WebSocket.OPEN && attachment?.kind === "wait" && attachment.device === device;
    });
  }

  doors(message: ToDoor): void {
    for (const ws of this.#ctx.getWebSockets("wait")) sendToDoor(ws, message);
  }

  gatewayChanged(state: GatewayState): void {
    const meta = this.#storage.meta();
    if (meta !== null) void this.inbox((inbox) => inbox.gatewayChanged({ gateway: meta.gateway, state }));
  }

  /** The inbox is a convenience of the owner: its failure never breaks the room. */
  async inbox(work: (inbox: InboxStub) => Promise<unknown>): Promise<void> {
    const meta = this.#storage.meta();
    if (meta === null) return;
    this.#called();
    try {
      await work(this.#env.INBOX.getByName(meta.account));
    } catch {
      // Shown again by the next list.
    }
  }
}

function sendToDoor(ws: WebSocket, message: ToDoor): void {
  if (ws.readyState !== WebSocket.OPEN) return;
  try {
    ws.send(JSON.stringify(message));
  } catch {
    closeQuietly(ws, 1011, "try again");
  }
}
