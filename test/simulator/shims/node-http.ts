/** `node:http` as the connector's HTTP streams use it: one request, one answer, bodies with back-pressure. */
import { EventEmitter } from "node:events";
import { route } from "../route.ts";
import type { GatewayRequest } from "../route.ts";
import { sim } from "../sim.ts";

/** Connections are not played: none is ever kept. */
class Agent {
  readonly sockets = {};
  readonly freeSockets = {};
  readonly requests = {};
  destroy(): void {}
}

/** What visitors here send can always be written. */
function validated(): void {}

class ClientRequest extends EventEmitter {
  writableEnded = false;
  writableLength = 0;
  readonly #actor = sim.scheduler.actor;
  #peer: GatewayRequest | null = null;
  #isGone = false;

  constructor(options: { method: string; path: string; headers: Record<string, string | string[]> }) {
    super();
    const events = {
      answer: (response: EventEmitter) => {
        if (!this.#isGone) this.emit("response", response);
      },
      lost: () => this.#lost("ECONNRESET"),
    };
    const peer = route().request(options, events, this.#actor);
    if (peer === null) sim.scheduler.after(1, () => this.#lost("ECONNREFUSED"), this.#actor);
    this.#peer = peer;
  }

  flushHeaders(): void {}

  write(part: Uint8Array, taken: () => void): void {
    const bytes = part.byteLength;
    this.writableLength += bytes;
    sim.scheduler.after(
      1,
      () => {
        this.writableLength -= bytes;
        if (!this.#isGone) this.#peer?.body(part);
        taken();
      },
      this.#actor,
    );
  }

  end(): void {
    if (this.writableEnded) return;
    this.writableEnded = true;
    sim.scheduler.after(
      1,
      () => {
        if (!this.#isGone) this.#peer?.end();
      },
      this.#actor,
    );
  }

  destroy(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#peer?.gone();
  }

  #lost(code: string): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.emit("error", Object.assign(new Error(code), { code }));
  }
}

const request = (options: { method: string; path: string; headers: Record<string, string | string[]> }): ClientRequest =>
  new ClientRequest(options);

// oxlint-disable-next-line import/no-default-export -- `node:http` is imported by its default export
export default { Agent, request, validateHeaderName: validated, validateHeaderValue: validated };
