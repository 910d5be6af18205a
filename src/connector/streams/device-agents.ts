/** Connections to the gateway's port for HTTP, one pool per device: no device waits for a connection that another one holds (PROTOCOL.md IS2). */
import type http from "node:http";
import { MAX_FREE_SOCKETS_PER_DEVICE } from "../../protocol/limits.ts";
import { newAgent } from "../openclaw/dial.ts";
import type { GatewayTarget } from "../openclaw/openclaw-port.ts";

export class DeviceAgents {
  /** By device, and whether the gateway speaks TLS: that may change while a connector runs. */
  readonly #agents = new Map<string, http.Agent>();

  /** @returns the device's own pool; the room bounds how many exchanges use it at once */
  of(device: string, target: GatewayTarget): http.Agent {
    const key = `${device} ${target.tls === undefined ? "plain" : "tls"}`;
    const known = this.#agents.get(key);
    if (known !== undefined) return known;
    const agent = newAgent(target, { keepAlive: true, maxFreeSockets: MAX_FREE_SOCKETS_PER_DEVICE });
    this.#agents.set(key, agent);
    return agent;
  }

  /** Drops pools without a connection, so that devices that left cost nothing. */
  sweep(): void {
    for (const [key, { sockets, freeSockets, requests }] of this.#agents)
      if ([sockets, freeSockets, requests].every((lists) => Object.keys(lists).length === 0)) this.#agents.delete(key);
  }

  get size(): number {
    return this.#agents.size;
  }

  destroy(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }
}
