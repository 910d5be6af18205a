/** Every Durable Object by its name: the one place that makes stubs, so that placement is decided in one line. */
import type { Env } from "./env.ts";

/** The room of a gateway, made by the first call: enrolment makes that call when the connector confirms, near the connector. */
export function roomOf(env: Env, gateway: string) {
  return env.ROOM.getByName(gateway);
}

/** The inbox of an account. */
export function inboxOf(env: Env, account: string) {
  return env.INBOX.getByName(account);
}

/** One enrolment ceremony. */
export function ceremonyOf(env: Env, id: string) {
  return env.ENROLMENT.getByName(id);
}
