/** Gatehouse itself with every check on: built Worker in workerd, bundled connector, devices admitted by a passkey's signature. */
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { root, run, start } from "../../../scripts/children.ts";
import { freePort, quietEnv, wrangler } from "../../../scripts/control-plane.ts";
import type { ControlPlane } from "../../../scripts/control-plane.ts";
import { ECHO_PATH } from "../../support/echo.ts";
import { newPerson, untilOnline } from "../../support/person.ts";
import type { AdmittedDevice, Person } from "../../support/person.ts";
import { startConnector } from "../../support/stack.ts";
import type { RunningConnector } from "../../support/stack.ts";
import { pidsOf } from "./peer.ts";
import type { Peer } from "./peer.ts";

export interface Gatehouse extends Peer {
  readonly control: ControlPlane;
  readonly person: Person;
  readonly gateway: string;
  /** The gateway itself, without Gatehouse. */
  readonly gatewayPort: number;
  readonly token: string;
  readonly devices: readonly AdmittedDevice[];
  /** Milliseconds that each admission took, allow and session together. */
  readonly admissionsMs: readonly number[];
  /** One more device, for scenarios that use it up. */
  admit(): Promise<AdmittedDevice>;
  targetOf(device: AdmittedDevice): ReturnType<Peer["target"]>;
  /** SIGKILL to the connector, as a crash is. */
  killConnector(): Promise<void>;
  startConnector(): void;
}

/** The built Worker in one workerd, without what `wrangler dev` adds around it (workerd.ts). */
async function startWorkerd(stateDir: string, checkout: string): Promise<ControlPlane> {
  const port = await freePort();
  mkdirSync(stateDir, { recursive: true });
  const persist = ["--local", "--persist-to", path.join(stateDir, "workerd")];
  await run("Migrating the local D1", {
    args: [...wrangler, "d1", "migrations", "apply", "gatehouse", ...persist],
    cwd: checkout,
    env: quietEnv(),
  });
  const env = { ...quietEnv(), GATEHOUSE_SECRET: randomBytes(32).toString("base64url") };
  const child = start({ args: [path.join(import.meta.dirname, "workerd.ts"), "gatehouse", String(port), stateDir, checkout], env });
  await child.line((line) => line === "ready", "The control plane");
  return {
    appOrigin: `http://localhost:${port}`,
    approveOrigin: `http://approve.localhost:${port}`,
    port,
    child,
    stop: () => child.stop(),
  };
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
  const { gatewayPort, token, dir, checkout = root } = options;
  const control = await startWorkerd(path.join(dir, "control-plane"), checkout);
  const stateDir = path.join(dir, "connector");
  mkdirSync(stateDir, { recursive: true });
  const connect = (args: readonly string[]): RunningConnector =>
    startConnector({ args, stateDir, appOrigin: control.appOrigin, gatewayPort, token, checkout });
  let connector = connect(["up", "--yes"]);
  const stop = async (): Promise<void> => {
    await connector.stop();
    await control.stop();
  };
  try {
    const person = await newPerson(control);
    const gateway = await person.claim(connector, "Bench");
    await untilOnline(person, gateway);
    const devices: AdmittedDevice[] = [];
    const admissionsMs: number[] = [];
    let number = 0;
    const admit = async (): Promise<AdmittedDevice> => {
      const startedAt = performance.now();
      const device = await person.admit(gateway, (number += 1));
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
      devices,
      admissionsMs,
      admit,
      targetOf,
      target: (socket) => {
        const device = devices[socket % devices.length];
        if (device === undefined) throw new Error("no device was admitted");
        return targetOf(device);
      },
      relayPids: () => pidsOf(control.child),
      connectorPids: () => pidsOf(connector.child),
      killConnector: () => connector.kill(),
      startConnector: () => {
        connector = connect(["run"]);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
