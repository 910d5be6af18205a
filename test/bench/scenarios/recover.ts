/** What breaks, and comes back: connector killed, room evicted, link reset, link silent. Each under load, each client dials again. */
import { setTimeout as sleep } from "node:timers/promises";
import { Load, closeSockets, openSocket, openSockets, quantile } from "../load.ts";
import type { OpenSocket, Target } from "../load.ts";
import type { FaultyGatehouse } from "../peers/gatehouse.ts";
import { LOADED } from "./scenario.ts";
import type { Note, OwnScenario, Pace } from "./scenario.ts";

/** How long a client waits after a refusal before it dials again. */
const RETRY_MS = 100;
const GIVE_UP_MS = 40_000;
const LOADED_MS = 500;

interface Fault {
  readonly name: string;
  readonly times: (pace: Pace) => number;
  readonly strike: (world: FaultyGatehouse) => Promise<void> | void;
}

function link(world: FaultyGatehouse) {
  const found = world.linkProxy.connections("GET /link/").at(-1);
  if (found === undefined) throw new Error("no link through the proxy");
  return found;
}

const FAULTS: readonly Fault[] = [
  {
    name: "connector killed",
    times: ({ kills }) => kills,
    strike: async (world) => {
      await world.killConnector();
      world.startConnector();
    },
  },
  { name: "room evicted", times: ({ kills }) => kills, strike: (world) => world.evictRooms() },
  { name: "link reset", times: ({ kills }) => kills, strike: (world) => link(world).reset() },
  { name: "link silent", times: ({ silences }) => silences, strike: (world) => link(world).silence() },
];

/** Dials until it is served. @returns the socket with its first echo, or null when it took too long */
async function comeBack(target: Target): Promise<OpenSocket | null> {
  const until = performance.now() + GIVE_UP_MS;
  while (performance.now() < until) {
    const socket = await openSocket(target).catch(() => null);
    if (socket !== null) return socket;
    await sleep(RETRY_MS);
  }
  return null;
}

interface Outage {
  readonly endedMs: number[];
  readonly backMs: number[];
  readonly outMs: number[];
  /** How often each close was seen. */
  readonly closes: Map<string, number>;
  /** Sockets without an end, and clients that did not come back. */
  lost: number;
}

async function one(world: FaultyGatehouse, { strike }: Fault, seen: Outage): Promise<void> {
  const sockets = await openSockets(LOADED, LOADED, (socket) => world.target(socket));
  await new Load(sockets, { inFlight: 1, bytes: 128 }).measure(LOADED_MS);
  const startedAt = performance.now();
  const struck = strike(world);
  const clients = sockets.map(async ({ closed, ws }, i) => {
    const timer = setTimeout(() => ws.terminate(), GIVE_UP_MS);
    const { code, reason, atMs } = await closed;
    clearTimeout(timer);
    const name = `${code} ${reason}`.trim();
    seen.closes.set(name, (seen.closes.get(name) ?? 0) + 1);
    seen.endedMs.push(atMs - startedAt);
    const again = await comeBack(world.target(i));
    if (again === null || atMs - startedAt >= GIVE_UP_MS) seen.lost += 1;
    if (again === null) return;
    seen.backMs.push(performance.now() - atMs);
    seen.outMs.push(performance.now() - startedAt);
    await closeSockets([again]);
  });
  await struck;
  await Promise.all(clients);
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(20);
}

/**
 * A connector without a past: one that lost its link again within a minute waits longer each time (PROTOCOL.md LINK6), which faults one right after
 * the other would measure instead.
 */
async function freshConnector(world: FaultyGatehouse): Promise<void> {
  const newest = () => world.linkProxy.connections("GET /link/").at(-1);
  const before = newest();
  await world.killConnector();
  world.startConnector();
  await until(() => newest() !== before && newest() !== undefined);
}

async function outages(world: FaultyGatehouse, fault: Fault, pace: Pace, note: Note): Promise<Record<string, number | null>> {
  const seen: Outage = { endedMs: [], backMs: [], outMs: [], closes: new Map(), lost: 0 };
  for (let i = 0; i < fault.times(pace); i += 1) {
    await freshConnector(world);
    await world.isLinkUp();
    await one(world, fault, seen);
  }
  const closes = [...seen.closes].map(([name, times]) => `${times} x ${name}`).join(", ");
  const lost = seen.lost === 0 ? "" : `; ${seen.lost} WITHOUT AN END OR NOT BACK within ${GIVE_UP_MS / 1000} s`;
  note(`${fault.name}, ${fault.times(pace)} times: closed with ${closes}${lost}`);
  return {
    [`${fault.name}: ended p50 ms`]: quantile(seen.endedMs, 0.5),
    [`${fault.name}: ended max ms`]: quantile(seen.endedMs, 1),
    [`${fault.name}: back p50 ms`]: quantile(seen.backMs, 0.5),
    [`${fault.name}: back p99 ms`]: quantile(seen.backMs, 0.99),
    [`${fault.name}: out in all max ms`]: quantile(seen.outMs, 1),
  };
}

export const recover: OwnScenario = {
  name: "recover",
  about: `${LOADED} sockets under load on a Gatehouse of their own: its connector is killed and started again at once (the systemd unit that \`gatehouse install\` prints waits 1 s), its room is taken out of memory with its sockets, its link is reset by the network, its link falls silent. Each time with a connector that has just started, as one whose link has been up for a minute. Ended: from the fault to each socket's close. Back: from that close until this client, which dials again ${RETRY_MS} ms after each refusal, has its echo. Goals: ended within 15 s, within 1 s where TCP says so; back p50 below 2 s, p99 below 10 s`,
  longestMs: 300_000,
  run: async (own, pace, note) => {
    const world = await own.faulty(LOADED);
    try {
      const figures: Record<string, number | null> = {};
      for (const fault of FAULTS) Object.assign(figures, await outages(world, fault, pace, note));
      return figures;
    } finally {
      await world.stop();
    }
  },
};
