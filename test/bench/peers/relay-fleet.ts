/** Many rooms of a relay that has no devices: the raw relay and the mux object. */
import type { Child } from "../../../scripts/children.ts";
import { residentMib } from "../machine.ts";
import { BROWSER_HEADERS, each, pidsOf } from "./peer.ts";
import type { Fleet, Memory } from "./peer.ts";

/** Node processes that start together. */
const AT_ONCE = 4;

interface Parts {
  readonly rooms: number;
  readonly port: number;
  readonly relay: Child;
  readonly relayPids: () => readonly number[];
  /** Starts the connector of one room; fulfilled when its link is up. */
  readonly connect: (room: number) => Promise<Child>;
}

export async function relayFleet({ rooms, port, relay, relayPids, connect }: Parts): Promise<Fleet> {
  const connectors: Child[] = [];
  const memory = (): Memory => ({ relay: residentMib(relayPids()), connectors: residentMib(pidsOf(...connectors)) });
  const stop = async (): Promise<void> => {
    await Promise.all(connectors.map((child) => child.stop()));
    await relay.stop();
  };
  try {
    const empty = memory();
    await each(rooms, AT_ONCE, async (room) => {
      connectors[room] = await connect(room);
    });
    const withRooms = memory();
    return {
      rooms,
      devices: null,
      target: (socket) => ({ url: `ws://127.0.0.1:${port}/rooms/${socket % rooms}`, headers: BROWSER_HEADERS }),
      memory,
      relayPids,
      grown: { empty, rooms: withRooms, devices: withRooms },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
