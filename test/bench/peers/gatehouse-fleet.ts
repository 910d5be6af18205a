/** Many gateways on one control plane: a room each, a connector process each, a few admitted devices each. */
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { ECHO_PATH } from "../../support/echo.ts";
import { newPerson } from "../../support/person.ts";
import type { AdmittedDevice } from "../../support/person.ts";
import { isLinkUp, isOnline, startConnector } from "../../support/stack.ts";
import type { RunningConnector } from "../../support/stack.ts";
import { residentMib, workerdPids } from "../machine.ts";
import { startBenchControl } from "./control.ts";
import { each, pidsOf } from "./peer.ts";
import type { Fleet, FleetSize, Memory } from "./peer.ts";

/** Node processes that start together, and admissions under way: two cores are busy with four. */
const AT_ONCE = 4;

export interface GatehouseFleet extends Fleet {
  /** How many times each connector has said that its link is up. */
  linkUps(): readonly number[];
  /** @returns performance.now() when a connector's link has come up more than `times` times */
  linkUp(room: number, times: number): Promise<number>;
  /** Kills workerd; fulfilled when it is dead. @returns starts it again; fulfilled when it is ready */
  crash(): Promise<() => Promise<void>>;
}

interface Options extends FleetSize {
  readonly gatewayPort: number;
  readonly token: string;
  readonly dir: string;
  readonly checkout: string;
}

function ups({ events }: RunningConnector): number {
  return events.filter(isLinkUp).length;
}

/** Starts it all. One account holds 50 gateways. */
export async function gatehouseFleet({ rooms, devicesPerRoom, gatewayPort, token, dir, checkout }: Options): Promise<GatehouseFleet> {
  let control = await startBenchControl({ stateDir: path.join(dir, "control-plane"), checkout });
  const connectors: RunningConnector[] = [];
  const memory = (): Memory => ({
    relay: residentMib(workerdPids(control.child.process.pid ?? 0)),
    connectors: residentMib(connectors.flatMap(({ child }) => pidsOf(child))),
  });
  const stop = async (): Promise<void> => {
    await Promise.all(connectors.map((connector) => connector.stop()));
    await control.stop();
  };
  try {
    const person = await newPerson(control);
    const empty = memory();
    const gateways: string[] = [];
    await each(rooms, AT_ONCE, async (room) => {
      const stateDir = path.join(dir, `connector-${room}`);
      mkdirSync(stateDir, { recursive: true });
      const connector = startConnector({ args: ["up", "--yes"], stateDir, appOrigin: control.appOrigin, gatewayPort, token, checkout });
      connectors[room] = connector;
      gateways[room] = await person.claim(connector, `Room ${room}`);
      await connector.until(isOnline, "online");
    });
    const withRooms = memory();
    const devices: AdmittedDevice[] = [];
    // The i-th device is on the i-th room, in turn: so are the sockets.
    await each(rooms * devicesPerRoom, AT_ONCE, async (i) => {
      devices[i] = await person.admit(gateways[i % rooms] ?? "", i);
    });
    const withDevices = memory();
    const url = `ws://127.0.0.1:${control.port}${ECHO_PATH}`;
    return {
      rooms,
      devices: devices.length,
      target: (socket) => ({ url, headers: devices[socket % devices.length]?.headers ?? {} }),
      memory,
      relayPids: () => workerdPids(control.child.process.pid ?? 0),
      grown: { empty, rooms: withRooms, devices: withDevices },
      linkUps: () => connectors.map(ups),
      linkUp: async (room, times) => {
        const connector = connectors[room];
        const lines = connector?.child.process.stdout ?? null;
        if (connector === undefined || lines === null) throw new Error(`no room ${room}`);
        while (ups(connector) <= times) await once(lines, "data");
        return performance.now();
      },
      hibernate: () => control.hibernateRooms(),
      crash: async () => {
        const again = await control.crash();
        return async () => {
          control = await again();
        };
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
