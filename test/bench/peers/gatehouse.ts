/** Gatehouse itself with every check on: built Worker in workerd, bundled connector, devices admitted by a passkey's signature. */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { root } from "../../../scripts/children.ts";
import { freePort } from "../../../scripts/control-plane.ts";
import type { ControlPlane } from "../../../scripts/control-plane.ts";
import { ECHO_PATH } from "../../support/echo.ts";
import { FaultProxy } from "../../support/fault-proxy.ts";
import { newPerson, untilOnline } from "../../support/person.ts";
import type { AdmittedDevice, Person } from "../../support/person.ts";
import { startConnector } from "../../support/stack.ts";
import type { RunningConnector } from "../../support/stack.ts";
import { workerdPids } from "../machine.ts";
import { startBenchControl } from "./control.ts";
import { gatehouseFleet } from "./gatehouse-fleet.ts";
import type { GatehouseFleet } from "./gatehouse-fleet.ts";
import { each, pidsOf } from "./peer.ts";
import type { FleetSize, Peer } from "./peer.ts";

/** More at a time take no less together: two cores are busy with four. */
export const ADMIT_AT_ONCE = 4;

export interface Gatehouse extends Peer {
  readonly control: ControlPlane;
  readonly person: Person;
  readonly gateway: string;
  /** The gateway itself, without Gatehouse. */
  readonly gatewayPort: number;
  readonly token: string;
  /** Milliseconds that each admission took that ran alone, allow and session together. */
  readonly admissionsMs: readonly number[];
  /** One more device, for scenarios that use it up. */
  admit(): Promise<AdmittedDevice>;
  targetOf(device: AdmittedDevice): ReturnType<Peer["target"]>;
  /** The same again, in processes of its own and with the link led through a proxy. Ends with this one at the latest. */
  faulty(devices: number): Promise<FaultyGatehouse>;
  readonly fleet: (size: FleetSize) => Promise<GatehouseFleet>;
}

/** One that is broken on purpose. */
export interface FaultyGatehouse extends Gatehouse {
  readonly linkProxy: FaultProxy;
  /** SIGKILL to the connector, as a crash is. */
  killConnector(): Promise<void>;
  startConnector(): void;
  evictRooms(): Promise<void>;
  isLinkUp(): Promise<void>;
}

export interface GatehouseOptions {
  readonly gatewayPort: number;
  readonly token: string;
  readonly dir: string;
  readonly devices: number;
  /** Another checkout that is built already: measured beside this one. */
  readonly checkout?: string;
}

/** Starts it and admits `devices` devices; sockets are spread over them evenly. */
export async function gatehouse(options: GatehouseOptions): Promise<Gatehouse> {
  return started(options, null);
}

async function started(
  options: GatehouseOptions,
  linkProxied: { readonly port: number; readonly proxy: FaultProxy } | null,
): Promise<FaultyGatehouse> {
  const { gatewayPort, token, dir, checkout = root } = options;
  const control = await startBenchControl({
    stateDir: path.join(dir, "control-plane"),
    checkout,
    ...(linkProxied === null ? {} : { port: linkProxied.port, publicPort: linkProxied.proxy.port }),
  });
  const stateDir = path.join(dir, "connector");
  mkdirSync(stateDir, { recursive: true });
  const connect = (args: readonly string[]): RunningConnector =>
    startConnector({ args, stateDir, appOrigin: control.appOrigin, gatewayPort, token, checkout });
  let connector = connect(["up", "--yes"]);
  const others: Peer[] = [];
  let fleets = 0;
  const stop = async (): Promise<void> => {
    for (const other of others) await other.stop();
    await connector.stop();
    await control.stop();
    await linkProxied?.proxy.stop();
  };
  try {
    const person = await newPerson(control);
    const gateway = await person.claim(connector, "Bench");
    await untilOnline(person, gateway);
    const devices: AdmittedDevice[] = [];
    const admissionsMs: number[] = [];
    let number = 0;
    const admitOne = (): Promise<AdmittedDevice> => person.admit(gateway, (number += 1));
    const admit = async (): Promise<AdmittedDevice> => {
      const startedAt = performance.now();
      const device = await admitOne();
      admissionsMs.push(performance.now() - startedAt);
      return device;
    };
    for (let i = 0; i < options.devices; i += 1) devices.push(await admit());
    const url = `ws://127.0.0.1:${control.port}${ECHO_PATH}`;
    const targetOf = ({ headers }: AdmittedDevice) => ({ url, headers });
    return {
      name: checkout === root ? "Gatehouse" : "Gatehouse before",
      kind: "reverse, workerd, all checks",
      control,
      person,
      gateway,
      gatewayPort,
      token,
      admissionsMs,
      admit,
      targetOf,
      target: (socket) => {
        const device = devices[socket % devices.length];
        if (device === undefined) throw new Error("no device was admitted");
        return targetOf(device);
      },
      admitAll: (count) => each(Math.max(0, count - devices.length), ADMIT_AT_ONCE, async () => void devices.push(await admitOne())),
      fleet: (size) => {
        fleets += 1;
        return gatehouseFleet({ ...size, gatewayPort, token, dir: path.join(dir, `fleet-${fleets}`), checkout });
      },
      relayPids: () => workerdPids(control.child.process.pid ?? 0),
      connectorPids: () => pidsOf(connector.child),
      faulty: async (count) => {
        const port = await freePort();
        const proxy = await FaultProxy.start({ port: 0, targetPort: () => port });
        const own = { gatewayPort, token, checkout, dir: path.join(dir, `faulty-${others.length}`), devices: count };
        const other = await started(own, { port, proxy });
        others.push(other);
        return other;
      },
      get linkProxy() {
        if (linkProxied === null) throw new Error("this one has no proxy before its link");
        return linkProxied.proxy;
      },
      killConnector: () => connector.kill(),
      startConnector: () => {
        connector = connect(["run"]);
      },
      evictRooms: () => control.evictRooms(),
      isLinkUp: () => untilOnline(person, gateway),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
