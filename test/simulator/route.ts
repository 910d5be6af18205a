/** Where what the connector dials goes: set by the world of the run. */
import type { EventEmitter } from "node:events";
import type { Data, Endpoint } from "./network.ts";
import type { Actor } from "./scheduler.ts";

/** The body of an answer that was not expected, as `ws` and `http` hand it out. */
export interface IncomingAnswer extends EventEmitter {
  readonly statusCode: number;
  readonly rawHeaders: string[];
  resume(): void;
  pause(): void;
  destroy(): void;
}

export type Dialled =
  { readonly endpoint: Endpoint } | { readonly status: number; readonly response: IncomingAnswer } | { readonly error: string };

export interface Route {
  dial(url: string, headers: Readonly<Record<string, string>>, actor: Actor, answered: (answer: Dialled) => void): void;
  /** A request to the gateway. @returns what takes its body, or null when nobody listens there */
  request(
    head: { method: string; path: string; headers: Readonly<Record<string, string | string[]>> },
    events: { answer(response: IncomingAnswer): void; lost(): void },
    actor: Actor,
  ): GatewayRequest | null;
  connectorSends(socket: object, data: Data): void;
}

/** The gateway's end of a request. */
export interface GatewayRequest {
  body(part: Uint8Array): void;
  end(): void;
  gone(): void;
}

let current: Route | null = null;

export function setRoute(route: Route): void {
  current = route;
}

export function route(): Route {
  if (current === null) throw new Error("no world");
  return current;
}
