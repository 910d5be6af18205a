/** The Durable Object class itself, for a plain Node process. Type-checked with the Worker's types, hence a file of its own. */
import { signingKey } from "../../src/worker/auth/mac-keys.ts";
import type { Env } from "../../src/worker/env.ts";
import { Room } from "../../src/worker/room/room.ts";
import type { RoomPort } from "./ports.ts";

export function makeRoom(ctx: object, env: object): RoomPort {
  return new Room(ctx as DurableObjectState, env as Env);
}

/** Keys are derived once a process; done before any run, so that every run finds them. */
export async function warmUp(env: object): Promise<void> {
  for (const purpose of ["room-nonce", "session-cookie", "device-token", "log-id"] as const) await signingKey(env as Env, purpose);
}
