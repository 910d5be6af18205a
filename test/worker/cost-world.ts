/** What a room costs, seen from outside, and what makes it cost something. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { vi } from "vitest";
import type { Usage } from "../../src/protocol/usage.ts";
import { Relay } from "../../src/worker/room/relay/relay.ts";
import { Room } from "../../src/worker/room/room.ts";
import type { FakeConnector } from "./fake-connector.ts";
import { ACCOUNT, connected, visit } from "./room-bench.ts";
import type { AllowedDevice, Bench, OpenStream } from "./room-bench.ts";

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
/** Of a day to come: an alarm at a time that is past would ring by itself. */
export const NOON = (Math.floor(Date.now() / DAY_MS) + 2) * DAY_MS + 12 * HOUR_MS;

/** What the room counted, as its owner sees it. */
export async function usageOf(bench: Bench): Promise<Usage> {
  const usage = await bench.room.usage({ account: ACCOUNT });
  if (!usage.ok) throw new Error("no usage");
  return usage.value;
}

/** Lets everything happen that was due when the link came up. */
export async function settled(bench: Bench): Promise<void> {
  for (let i = 0; i < 20 && (await runDurableObjectAlarm(bench.room)); i += 1);
}

/** Seen from outside: handlers that the runtime called, and how often a room was built, which is what waking one means. */
export function countWakes(): () => number {
  const names = ["fetch", "webSocketMessage", "webSocketClose", "webSocketError", "alarm"] as const;
  const handlers = names.map((name) => vi.spyOn(Room.prototype, name));
  const built = vi.spyOn(Relay.prototype, "setWaiting");
  return () => [...handlers, built].reduce((sum, { mock }) => sum + mock.calls.length, 0);
}

/** Every row of the room. */
export function rows(bench: Bench): Promise<string> {
  return runInDurableObject(bench.room, (_room, { storage: { sql } }) => {
    const tables = sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'").toArray(); // prettier-ignore
    return JSON.stringify(tables.map(({ name }) => sql.exec(`SELECT * FROM ${name}`).toArray()));
  });
}

/** Messages up and down, each answered before the next. */
export async function roundTrips({ stream, browser }: OpenStream, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    browser.ws.send(`up ${i}`);
    await stream.messages.next();
    await stream.send(`down ${i}`);
    await browser.messages.next();
  }
}

/** One HTTP exchange with a body of so many bytes. */
export async function download(bench: Bench, connector: FakeConnector, device: AllowedDevice, bytes: number): Promise<void> {
  const read = visit(bench, device, "/x").then((answer) => answer.arrayBuffer());
  const exchange = await connector.streams.next();
  exchange.opened(200);
  // One that the room ends takes no more: then the reading ends, too.
  void exchange.body(new Uint8Array(bytes)).then(() => exchange.end());
  await read;
}

/** A room with its connector up and one allowed device, and nothing due any more. */
export async function up() {
  const all = await connected();
  await settled(all.bench);
  return all;
}
