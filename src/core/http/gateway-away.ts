/** What a visitor is told in the place of a gateway that is not served: one sentence per state, and when to ask again. */
import type { GatewayState } from "../../protocol/words.ts";

export interface Away {
  /** For people and logs; names the leg that is down (PROTOCOL.md ST9). */
  readonly text: string;
  readonly retrySeconds: number;
}

const RETRY_SECONDS = 5;
const RETRY_UNSAFE_SECONDS = 60;
const MAX_RETRY_SECONDS = 120;

/**
 * @param state as the room knows it
 * @param restartExpectedMs what a restarting gateway announced, milliseconds
 * @returns null while the gateway is served
 */
export function gatewayAway(state: GatewayState, restartExpectedMs?: number): Away | null {
  const seconds = Math.min(MAX_RETRY_SECONDS, Math.max(1, Math.ceil((restartExpectedMs ?? RETRY_SECONDS * 1000) / 1000)));
  switch (state) {
    case "online":
      return null;
    case "unclaimed":
      return { text: "No machine has been connected to this gateway yet.", retrySeconds: RETRY_UNSAFE_SECONDS };
    case "no-link":
      return { text: "The gateway's machine is off or without internet (room-connector).", retrySeconds: RETRY_SECONDS };
    case "offline":
      return { text: "OpenClaw is not running on the gateway's machine (connector-gateway).", retrySeconds: RETRY_SECONDS };
    case "starting":
      return { text: "The gateway is starting (connector-gateway).", retrySeconds: RETRY_SECONDS };
    case "restarting":
      return { text: "The gateway is restarting (connector-gateway).", retrySeconds: seconds };
    case "needs-settings":
      return { text: "The gateway waits for its owner to apply its settings (connector-gateway).", retrySeconds: RETRY_SECONDS };
    case "unsafe":
      return { text: "The gateway is not set up safely, so nobody is let in (connector-gateway).", retrySeconds: RETRY_UNSAFE_SECONDS };
  }
}
