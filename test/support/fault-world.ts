/** Real processes with a fault proxy on each leg, and streams whose both ends write down what they send and see. */
import { readFileSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { WebSocket } from "ws";
import { freePort, startControlPlane } from "../../scripts/control-plane.ts";
import type { ControlPlane, ControlPlaneOptions } from "../../scripts/control-plane.ts";
import { startDemoGateway } from "../../src/demo/gateway.ts";
import type { DemoGateway } from "../../src/demo/gateway.ts";
import { FaultProxy } from "./fault-proxy.ts";
import type { ProxiedConnection } from "./fault-proxy.ts";
import { Recorder } from "./history.ts";
import type { Direction } from "./history.ts";
import { newPerson, untilOnline } from "./person.ts";
import type { AdmittedDevice, Person } from "./person.ts";
import { copyState, isLinkUp, scratch, startConnector } from "./stack.ts";
import type { RunningConnector } from "./stack.ts";

const TOKEN = "demo-token-of-the-fault-tests";
const RECORD_PATH = "/record";
const HELLO = "recorded";
const LOOK_MS = 20;
const SEND_MS = 20;
/** So little of a device's own that its credit outlasts any fault here: such streams are still open when the link itself is given up. */
const LITTLE_BYTES = 100;
/** Above this an end waits: what matters is that bytes are under way, not how many. */
const FULL_BYTES = 128 * 1024;
const DEVICES = 3;

export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds()))
    await new Promise((resolve) => {
      setTimeout(resolve, LOOK_MS);
    });
}

/** Messages of every kind and of lengths that fill frames, end just before or after one, or cross several. */
function message(): { readonly data: Buffer; readonly isText: boolean } {
  const kind = Math.random();
  const bytes = kind < 0.7 ? 1 + Math.floor(Math.random() * 2_000) : kind < 0.95 ? Math.floor(Math.random() * 20_000) : 65_520 + Math.floor(Math.random() * 16); // prettier-ignore
  const isText = Math.random() < 0.5;
  const data = Buffer.from(crypto.getRandomValues(new Uint8Array(bytes)));
  return { data: isText ? Buffer.from(data.toString("base64")) : data, isText };
}

/** One stream with both of its ends in this process. */
export class RecordedStream {
  readonly name: string;
  readonly device: WebSocket;
  readonly gateway: WebSocket;
  readonly #recorder: Recorder;
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(name: string, device: WebSocket, gateway: WebSocket, recorder: Recorder) {
    this.name = name;
    this.device = device;
    this.gateway = gateway;
    this.#recorder = recorder;
    for (const [end, ws, direction] of [
      ["device", device, "down"],
      ["gateway", gateway, "up"],
    ] as const) {
      ws.on("message", (data: Buffer, isBinary: boolean) => recorder.add({ stream: name, direction, what: "received" }, data, !isBinary));
      ws.on("close", (code, reason) => recorder.ended({ stream: name, end, code, reason: reason.toString("utf8") }));
    }
  }

  /** Sends in both directions until `rest` or the end. @param sizes of the messages that the gateway sends, when it matters */
  talk(directions: readonly Direction[] = ["up", "down"], bytes?: number): void {
    for (const direction of directions) {
      const ws = direction === "up" ? this.device : this.gateway;
      this.#timers.push(
        setInterval(() => {
          if (ws.readyState !== WebSocket.OPEN || ws.bufferedAmount > FULL_BYTES) return;
          const { data, isText } = bytes === undefined ? message() : { data: Buffer.alloc(bytes, 7), isText: false };
          this.#recorder.add({ stream: this.name, direction, what: "sent" }, data, isText);
          ws.send(data, { binary: !isText });
        }, SEND_MS),
      );
      ws.on("close", () => this.rest());
    }
  }

  rest(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  /** Messages that have arrived at their other end. */
  received(direction: Direction): number {
    return this.#recorder.count(this.name, direction, "received");
  }

  get isOver(): boolean {
    return ["device", "gateway"].every((end) => this.#recorder.endings.some((each) => each.stream === this.name && each.end === end));
  }

  get isWhole(): boolean {
    return (["up", "down"] as const).every((direction) => this.#recorder.count(this.name, direction, "sent") === this.received(direction));
  }
}

/** How a control plane is started, first and after each end, on the same state folder. */
export type StartControl = (options: Pick<Required<ControlPlaneOptions>, "port" | "publicPort" | "stateDir">) => Promise<ControlPlane>;

export class FaultWorld {
  readonly gateway: DemoGateway;
  /** Before the control plane on the connector's way. */
  readonly linkProxy: FaultProxy;
  /** The same on the devices' way. */
  readonly deviceProxy: FaultProxy;
  stateDir: string;
  control: ControlPlane;
  connector: RunningConnector;
  owner: Person;
  gatewayId = "";
  readonly devices: AdmittedDevice[] = [];
  recorder = new Recorder();
  readonly #atGateway: Map<string, (ws: WebSocket) => void>;
  readonly #openAtGateway: ReadonlySet<WebSocket>;
  readonly #port: number;
  readonly #controlDir: string;
  readonly #startControl: StartControl;
  #streams = 0;

  private constructor(parts: {
    gateway: DemoGateway;
    atGateway: Map<string, (ws: WebSocket) => void>;
    openAtGateway: ReadonlySet<WebSocket>;
    linkProxy: FaultProxy;
    deviceProxy: FaultProxy;
    port: number;
    controlDir: string;
    startControl: StartControl;
    control: ControlPlane;
    connector: RunningConnector;
    owner: Person;
    stateDir: string;
  }) {
    this.gateway = parts.gateway;
    this.#atGateway = parts.atGateway;
    this.#openAtGateway = parts.openAtGateway;
    this.linkProxy = parts.linkProxy;
    this.deviceProxy = parts.deviceProxy;
    this.#port = parts.port;
    this.#controlDir = parts.controlDir;
    this.#startControl = parts.startControl;
    this.control = parts.control;
    this.connector = parts.connector;
    this.owner = parts.owner;
    this.stateDir = parts.stateDir;
  }

  static async start(startControl: StartControl = startControlPlane): Promise<FaultWorld> {
    const atGateway = new Map<string, (ws: WebSocket) => void>();
    const openAtGateway = new Set<WebSocket>();
    const gateway = await startDemoGateway({
      port: 0,
      token: TOKEN,
      onSocket: (ws, request) => {
        const [where, name = ""] = (request.url ?? "").split("?");
        if (where !== RECORD_PATH) return false;
        ws.on("error", () => undefined);
        openAtGateway.add(ws);
        ws.on("close", () => openAtGateway.delete(ws));
        ws.send(HELLO);
        // What follows is recorded; the first word only shows that the page speaks.
        ws.once("message", () => atGateway.get(name)?.(ws));
        return true;
      },
    });
    const port = await freePort();
    const linkProxy = await FaultProxy.start({ port: 0, targetPort: () => port });
    const deviceProxy = await FaultProxy.start({ port: 0, targetPort: () => port });
    const [controlDir, stateDir] = [await scratch(), await scratch()];
    const control = await startControl({ port, publicPort: linkProxy.port, stateDir: controlDir });
    const { appOrigin } = control;
    const connector = startConnector({ args: ["up", "--yes"], stateDir, appOrigin, gatewayPort: gateway.port, token: TOKEN });
    const owner = await newPerson(control);
    const world = new FaultWorld({ gateway, atGateway, openAtGateway, linkProxy, deviceProxy, port, controlDir, startControl, control, connector, owner, stateDir }); // prettier-ignore
    world.gatewayId = await owner.claim(connector, "Faulty");
    await untilOnline(owner, world.gatewayId);
    for (let number = 0; number < DEVICES; number += 1) world.devices.push(await owner.admit(world.gatewayId, number));
    return world;
  }

  async stop(): Promise<void> {
    await this.connector.stop();
    await this.control.stop();
    await this.linkProxy.stop();
    await this.deviceProxy.stop();
    await this.gateway.stop();
    for (const dir of [this.stateDir, this.#controlDir]) rmSync(dir, { recursive: true, force: true });
  }

  /** The connector's connection that is open, newest. */
  link(): ProxiedConnection {
    const found = this.linkProxy.connections("GET /link/").at(-1);
    if (found === undefined) throw new Error("no link through the proxy");
    return found;
  }

  /** Another connector process, on the state folder given. */
  connect(stateDir = this.stateDir): RunningConnector {
    return startConnector({
      args: ["run"],
      stateDir,
      appOrigin: this.control.appOrigin,
      gatewayPort: this.gateway.port,
      token: TOKEN,
    });
  }

  copyOfState(to: string): void {
    copyState(this.stateDir, to);
  }

  /** What the connector has written down as its generation. */
  generation(): number {
    return (JSON.parse(readFileSync(path.join(this.stateDir, "gateway.json"), "utf8")) as { generation: number }).generation;
  }

  /** How many times the connector that runs now has said that its link is up. */
  linkUps(): number {
    return this.connector.events.filter(isLinkUp).length;
  }

  /** How many times it has said that its link is gone. */
  linkLosses(): number {
    return this.connector.events.filter((event) => event.event === "link" && (event["link"] as { state?: string }).state === "waiting")
      .length;
  }

  /** The processes below wrangler that are workerd. */
  workerdPids(): number[] {
    const below = (pid: number): number[] => {
      try {
        const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
        return [...children, ...children.flatMap(below)];
      } catch {
        return [];
      }
    };
    const pid = this.control.child.process.pid ?? 0;
    return readdirSync(`/proc/${pid}/task`)
      .flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number))
      .flatMap((child) => [child, ...below(child)])
      .filter((child) => readFileSync(`/proc/${child}/comm`, "utf8").startsWith("workerd"));
  }

  signalWorkerd(signal: NodeJS.Signals): void {
    for (const pid of this.workerdPids()) process.kill(pid, signal);
  }

  /** Ends workerd as a crash does, or as an update does, and starts it again on what is on disk. */
  async restartControl(how: "crash" | "update" = "crash"): Promise<void> {
    if (how === "crash") this.signalWorkerd("SIGKILL");
    await this.control.stop();
    this.control = await this.#startControl({ port: this.#port, publicPort: this.linkProxy.port, stateDir: this.#controlDir });
  }

  /** A new history; streams of an earlier one count no more. */
  newHistory(): Recorder {
    this.recorder = new Recorder();
    return this.recorder;
  }

  /** Opens one stream of a device. @returns null when it was refused */
  async open(device: AdmittedDevice, port = this.#port): Promise<RecordedStream | null> {
    const name = `s${(this.#streams += 1)}`;
    const { recorder } = this;
    const atGateway = new Promise<WebSocket>((resolve) => this.#atGateway.set(name, resolve));
    const ws = new WebSocket(`ws://127.0.0.1:${port}${RECORD_PATH}?${name}`, { headers: { ...device.headers }, perMessageDeflate: false });
    ws.on("error", () => undefined);
    const ended = new Promise<null>((resolve) => ws.on("close", () => resolve(null)));
    const hello = new Promise<true>((resolve) => ws.once("message", () => resolve(true)));
    if ((await Promise.race([hello, ended])) === null) return null;
    ws.send(HELLO);
    const gateway = await Promise.race([atGateway, ended]);
    this.#atGateway.delete(name);
    return gateway === null ? null : new RecordedStream(name, ws, gateway, recorder);
  }

  /** Several streams over all devices, talking in both directions. Tries again while the gateway is away. */
  async talking(count: number, devices: readonly AdmittedDevice[] = this.devices): Promise<RecordedStream[]> {
    const streams: RecordedStream[] = [];
    for (let i = 0; i < count; i += 1) {
      let stream: RecordedStream | null = null;
      await until(async () => (stream = await this.open(devices[i % devices.length] as AdmittedDevice)) !== null);
      streams.push(stream as unknown as RecordedStream);
    }
    for (const [i, stream] of streams.entries()) {
      stream.talk(["down"]);
      stream.talk(["up"], i % 2 === 0 ? undefined : LITTLE_BYTES);
    }
    await flowing(streams);
    return streams;
  }

  /** Everybody is served again, and nothing is left over at the gateway. */
  async healthy(): Promise<void> {
    const recorder = this.newHistory();
    const streams = await this.talking(this.devices.length);
    for (const stream of streams) stream.rest();
    await until(() => streams.every((stream) => stream.isWhole));
    for (const { device } of streams) device.close(1000, "done");
    await until(() => streams.every((stream) => stream.isOver) && this.#openAtGateway.size === 0);
    const odd = recorder.endings.filter(({ code, reason }) => code !== 1000 || reason !== "done");
    if (odd.length > 0) throw new Error(`streams ended with ${JSON.stringify(odd)}`);
  }
}

/** Waits until so many more messages have crossed in each direction of each stream. */
export async function flowing(streams: readonly RecordedStream[], more = 20): Promise<void> {
  const goals = streams.map((stream) => ({ stream, up: stream.received("up") + more, down: stream.received("down") + more }));
  await until(() => goals.every(({ stream, up, down }) => stream.received("up") >= up && stream.received("down") >= down));
}
