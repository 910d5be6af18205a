/** What a soak does to a running system: each fault is made, and ended, by itself. */
import { setTimeout as sleep } from "node:timers/promises";
import type { FaultWorld, RecordedStream } from "../support/fault-world.ts";
import { until } from "../support/fault-world.ts";
import type { EndName } from "../support/history.ts";
import type { Random } from "../simulator/random.ts";
import type { BenchControl } from "../bench/peers/control.ts";

/** What a fault leaves for the checker to know. */
export interface Damage {
  /** Ends whose own connection was broken: they alone may end without a close. */
  readonly broken: readonly EndName[];
  /** Of which streams; of all that were there when it is not said. May name new ones. */
  readonly of?: readonly RecordedStream[];
}

export interface Fault {
  readonly name: string;
  /** Whether a process ends by it: a soak that looks for leaks must let processes live. */
  readonly endsProcess: boolean;
  make(world: FaultWorld, streams: readonly RecordedStream[], random: Random): Promise<Damage>;
}

const KIB = 1024;
const BURST_BYTES = 25 * KIB * KIB;
const nothing: Damage = { broken: [] };
/** Devices that were admitted to be cut again. */
let number = 100;

function allOver(streams: readonly RecordedStream[]): Promise<void> {
  return until(() => streams.every((stream) => stream.isOver));
}

/** Nobody answers for so long that the link is given up, or the process goes on before that. */
async function standStill(signal: (name: NodeJS.Signals) => void, ms: number): Promise<Damage> {
  signal("SIGSTOP");
  try {
    await sleep(ms);
  } finally {
    signal("SIGCONT");
  }
  return nothing;
}

export const FAULTS: readonly Fault[] = [
  {
    name: "nothing, for a while",
    endsProcess: false,
    make: async (_world, _streams, random) => {
      await sleep(random.int(500, 3_000));
      return nothing;
    },
  },
  {
    name: "connector killed",
    endsProcess: true,
    make: async (world, streams) => {
      await world.connector.kill();
      await allOver(streams);
      world.connector = world.connect();
      return { broken: ["gateway"] };
    },
  },
  {
    name: "connector stopped and started",
    endsProcess: true,
    make: async (world, streams) => {
      await world.connector.stop();
      await allOver(streams);
      world.connector = world.connect();
      return nothing;
    },
  },
  {
    name: "connector stands still",
    endsProcess: false,
    make: (world, _streams, random) =>
      standStill((signal) => void world.connector.child.process.kill(signal), random.pick([500, 3_000, 9_000, 18_000])),
  },
  {
    name: "workerd stands still",
    endsProcess: false,
    make: (world, _streams, random) => standStill((signal) => world.signalWorkerd(signal), random.pick([500, 3_000, 9_000])),
  },
  {
    name: "workerd crashes",
    endsProcess: true,
    make: async (world) => {
      await world.restartControl();
      return { broken: ["device"] };
    },
  },
  {
    name: "control plane updated",
    endsProcess: true,
    make: async (world) => {
      await world.restartControl("update");
      return { broken: ["device"] };
    },
  },
  {
    name: "rooms evicted",
    endsProcess: false,
    make: async (world, streams) => {
      await (world.control as BenchControl).evictRooms();
      await allOver(streams);
      return { broken: ["device"] };
    },
  },
  {
    name: "link half open",
    endsProcess: false,
    make: async (world, streams) => {
      const old = world.link();
      old.silence();
      await allOver(streams);
      old.speakAgain();
      return nothing;
    },
  },
  {
    name: "link reset",
    endsProcess: false,
    make: async (world, streams, random) => {
      world.link()[random.pick(["up", "down"] as const)].resetAfterBytes = random.int(1, 200 * KIB);
      await allOver(streams);
      return nothing;
    },
  },
  {
    name: "slow, far link with a burst of 25 MiB",
    endsProcess: false,
    make: async (world, streams, random) => {
      const { up, down } = world.link();
      for (const lane of [up, down]) {
        lane.rate = random.int(64, 4_096) * KIB;
        lane.latencyMs = random.int(0, 150);
      }
      const large = streams[0];
      if (large !== undefined && large.gateway.readyState === large.gateway.OPEN) {
        const burst = Buffer.alloc(BURST_BYTES, 7);
        world.recorder.add({ stream: large.name, direction: "down", what: "sent" }, burst, false);
        large.gateway.send(burst);
      }
      await sleep(random.int(2_000, 8_000));
      for (const lane of [up, down]) {
        lane.rate = null;
        lane.latencyMs = 0;
      }
      return nothing;
    },
  },
  {
    name: "a browser falls silent",
    endsProcess: false,
    make: async (world) => {
      const silent = await world.open(world.devices[0] as (typeof world.devices)[number], world.deviceProxy.port);
      if (silent === null) return nothing;
      const connection = world.deviceProxy.connections("GET /record").at(-1);
      connection?.silence();
      silent.talk(["down"], 60_000);
      await until(() => silent.gateway.readyState === silent.gateway.CLOSED);
      silent.device.terminate();
      // In the end TCP gives up; until then the room cannot be taken out of memory.
      connection?.reset();
      return { broken: ["device"], of: [silent] };
    },
  },
  {
    name: "browsers vanish",
    endsProcess: false,
    make: async (_world, streams) => {
      for (const { device } of streams.slice(0, 2)) device.terminate();
      await allOver(streams.slice(0, 2));
      // Nobody closed: neither does the room, towards the gateway.
      return { broken: ["device", "gateway"], of: streams.slice(0, 2) };
    },
  },
  {
    name: "a device is admitted and cut",
    endsProcess: false,
    make: async (world) => {
      const device = await world.owner.admit(world.gatewayId, (number += 1));
      const own = await world.talking(2, [device]);
      await world.owner.cut(world.gatewayId, device.id);
      await allOver(own);
      // A cut ends the gateway's own sockets at once, without a close that it could ignore.
      return { broken: ["gateway"], of: own };
    },
  },
];
