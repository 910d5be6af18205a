/** Many rooms, each with a connector process of its own: what they take of memory, and how thousands of devices come. */
import { setTimeout as sleep } from "node:timers/promises";
import { closeSockets, lossesOf, openSockets, openUpTo, quantile, roundTrips } from "../load.ts";
import type { OpenSocket, Target } from "../load.ts";
import { fileLimit } from "../machine.ts";
import type { Gatehouse } from "../peers/gatehouse.ts";
import type { GatehouseFleet } from "../peers/gatehouse-fleet.ts";
import type { Fleet, Memory, Peer } from "../peers/peer.ts";
import type { Figures, Pace, Scenario } from "./scenario.ts";

const KIB = 1024;
const AT_ONCE = 20;
const ASKED = 200;
/** The runtime takes an idle object out of memory after 10 s. */
const ASLEEP_MS = 12_000;

const fleets = new Map<Peer, Promise<Fleet>>();

/** Starts a peer's fleet at its first call. @throws Error for a peer that has none */
export function fleetOf(peer: Gatehouse, pace: Pace): Promise<GatehouseFleet>;
export function fleetOf(peer: Peer, pace: Pace): Promise<Fleet>;
export function fleetOf(peer: Peer, pace: Pace): Promise<Fleet> {
  if (peer.fleet === undefined) throw new Error("it has no rooms");
  const fleet = fleets.get(peer) ?? peer.fleet(pace);
  fleets.set(peer, fleet);
  return fleet;
}

/** Ends the fleets of these peers, whether they came up or not. */
export async function endFleets(peers: readonly Peer[]): Promise<void> {
  for (const peer of peers) {
    const fleet = fleets.get(peer);
    fleets.delete(peer);
    await fleet?.then((each) => each.stop(), () => undefined); // prettier-ignore
  }
}

/** @returns KiB that each of `count` things took between two moments */
function kibEach(from: number | null, to: number | null, count: number | null): number | null {
  return from === null || to === null || count === null || count === 0 ? null : ((to - from) * KIB) / count;
}

const idleMemory: Scenario = {
  name: "idle-memory",
  about: `resident memory before the first room, with 50 rooms, with 10 devices admitted on each, with 1,000 sockets open over them, and after ${ASLEEP_MS / 1000} s of silence (the runtime takes an idle object out of memory after 10 s); differences divided by the number. The relay is workerd or the Node relay alone: its resident memory also has garbage, fragments and the Workers with which Miniflare plays D1 and the like`,
  columns: {
    "relay MiB, no room": 0,
    "relay KiB per room": 0,
    "connector MiB per room": 1,
    "relay KiB per admitted device": 1,
    "relay KiB per socket": 1,
    "relay KiB per socket, asleep": 1,
    "connector KiB per socket": 1,
  },
  maxRounds: 1,
  longestMs: 420_000,
  usesFleet: true,
  isFor: (peer) => peer.fleet !== undefined,
  run: async (peer, pace) => {
    const fleet = await fleetOf(peer, pace);
    const { empty, rooms, devices } = fleet.grown;
    const before = fleet.memory();
    const [count] = pace.steps;
    const sockets = await openSockets(count, AT_ONCE, (socket) => fleet.target(socket));
    const open = fleet.memory();
    await sleep(ASLEEP_MS);
    const asleep = fleet.memory();
    // None may have been lost meanwhile.
    await roundTrips(sockets).finally(() => closeSockets(sockets));
    return {
      "relay MiB, no room": empty.relay,
      "relay KiB per room": kibEach(empty.relay, rooms.relay, fleet.rooms),
      "connector MiB per room": rooms.connectors === null ? null : rooms.connectors / fleet.rooms,
      "relay KiB per admitted device": kibEach(rooms.relay, devices.relay, fleet.devices),
      "relay KiB per socket": kibEach(before.relay, open.relay, count),
      "relay KiB per socket, asleep": kibEach(before.relay, asleep.relay, count),
      "connector KiB per socket": kibEach(before.connectors, open.connectors, count),
    };
  },
};

const STEPS = ["opens/s to 1,000", "opens/s to 5,000", "opens/s to 10,000"] as const;

interface Rooms {
  target(socket: number): Target;
  memory(): Memory;
}

const NOTHING: Memory = { relay: null, connectors: null };

/** What workerd has open beside sockets: libraries, databases, links. */
const OTHER_FILES = 400;

/** @returns sockets that one workerd can hold, for every peer alike; one that finds no file left ends (measured) */
function mostSockets(): number {
  const files = Number(fileLimit());
  return Number.isNaN(files) ? Infinity : Math.floor((files - OTHER_FILES) / 2);
}

const manyRooms: Scenario = {
  name: "many-rooms",
  about: `sockets over 50 rooms with a connector process each, opened ${AT_ONCE} at a time until 1,000, 5,000 and 10,000 are open together, each with the gateway's first message and one echo; then one round trip each of ${ASKED} of them in turn; resident memory while all are open. Direct has no rooms and shows what client and gateway alone do`,
  columns: { [STEPS[0]]: 0, [STEPS[1]]: 0, [STEPS[2]]: 0, "echo p50 ms": 2, "echo p99 ms": 2, "relay MiB": 0, "relay KiB each": 1, "connectors KiB each": 1 }, // prettier-ignore
  maxRounds: 2,
  longestMs: 420_000,
  usesFleet: true,
  isFor: (peer) => peer.fleet !== undefined || peer.name === "direct",
  run: async (peer, pace, note) => {
    const rooms: Rooms =
      peer.fleet === undefined ? { target: (socket) => peer.target(socket), memory: () => NOTHING } : await fleetOf(peer, pace);
    const before = rooms.memory();
    const figures: Record<string, number | null> = {};
    const sockets: OpenSocket[] = [];
    const most = mostSockets();
    for (const [i, step] of pace.steps.entries()) {
      const goal = Math.min(step, most);
      if (goal < step)
        note(
          `the step to ${step} ends at ${most}: workerd under Miniflare takes two files a socket, and a process may have ${fileLimit()} here`,
        );
      const from = sockets.length;
      const startedAt = performance.now();
      const opened = await openUpTo(goal - from, AT_ONCE, (socket) => rooms.target(from + socket));
      const tookMs = performance.now() - startedAt;
      sockets.push(...opened.sockets);
      const losses = await lossesOf(sockets);
      if (opened.error === null && losses === null) {
        figures[STEPS[i] ?? ""] = ((goal - from) * 1000) / tookMs;
        continue;
      }
      const cause = [opened.error?.message ?? [], losses ?? []].flat().join("; ");
      note(`${peer.name}: ${sockets.length} of ${goal} sockets had opened when this ended it: ${cause}`);
      break;
    }
    const after = rooms.memory();
    const stride = Math.max(1, Math.floor(sockets.length / ASKED));
    const count = sockets.length;
    const asked = sockets.filter(({ ws }, i) => i % stride === 0 && ws.readyState === ws.OPEN).slice(0, ASKED);
    const echoes = await roundTrips(asked).finally(() => closeSockets(sockets));
    const found: Figures = {
      ...figures,
      "echo p50 ms": quantile(echoes, 0.5),
      "echo p99 ms": quantile(echoes, 0.99),
      "relay MiB": after.relay,
      "relay KiB each": kibEach(before.relay, after.relay, count),
      "connectors KiB each": kibEach(before.connectors, after.connectors, count),
    };
    return found;
  },
};

export const FLEET: readonly Scenario[] = [idleMemory, manyRooms];
