/** Telling door pages and the inboxes of the gateway's persons; nothing is decided or stored here. */
import type { PersonAction } from "../../../core/trust/roles.ts";
import type { ToDoor } from "../../../protocol/door-messages.ts";
import type { GatewayState } from "../../../protocol/words.ts";
import type { Env } from "../../env.ts";
import type { FailureReport } from "../../failures.ts";
import { attachmentOf, closeQuietly } from "../storage/attachments.ts";
import { accountsThatMay } from "../roles.ts";
import type { RoomStorage } from "../storage/storage.ts";

type InboxStub = ReturnType<Env["INBOX"]["getByName"]>;

export interface NoticesOptions {
  /** Counts a call of an inbox. */
  readonly called: () => void;
  readonly report: FailureReport;
}

export class Notices {
  readonly #ctx: DurableObjectState;
  readonly #env: Env;
  readonly #storage: RoomStorage;
  readonly #options: NoticesOptions;

  constructor(ctx: DurableObjectState, env: Env, storage: RoomStorage, options: NoticesOptions) {
    this.#options = options;
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
    if (meta !== null) void this.inboxes("see", (inbox) => inbox.gatewayChanged({ gateway: meta.gateway, state }));
  }

  /** Tells everybody who may do this here. */
  async inboxes(action: PersonAction, work: (inbox: InboxStub) => Promise<unknown>): Promise<void> {
    await Promise.all(accountsThatMay(this.#storage, action).map((account) => this.inboxOf(account, work)));
  }

  /** An inbox is a convenience of its account: its failure never breaks the room. */
  async inboxOf(account: string, work: (inbox: InboxStub) => Promise<unknown>): Promise<void> {
    this.#options.called();
    try {
      await work(this.#env.INBOX.getByName(account));
    } catch (error) {
      // Shown again by the next list.
      this.#options.report("inbox", error);
    }
  }
}

/** Tells one door page; one that is gone is told nothing. */
export function sendToDoor(ws: WebSocket, message: ToDoor): void {
  if (ws.readyState !== WebSocket.OPEN) return;
  try {
    ws.send(JSON.stringify(message));
  } catch {
    closeQuietly(ws, 1011, "try again");
  }
}
