/** The machine beside the gateway: a disk, and connector processes that start, stop, are killed or lose power. */
import { Admitted } from "../../src/connector/trust/admissions.ts";
import { loadIdentity } from "../../src/connector/trust/identity.ts";
import { KeyLog } from "../../src/connector/trust/key-log-file.ts";
import { Link } from "../../src/connector/link/link.ts";
import type { LinkStatus } from "../../src/connector/link/link.ts";
import { StateFiles } from "../../src/connector/state/state-files.ts";
import type { KeyLogAlarm } from "../../src/protocol/key-log.ts";
import { mount } from "./disk.ts";
import type { Disk } from "./disk.ts";
import { SimOpenclaw } from "./gateway.ts";
import type { SimGateway } from "./gateway.ts";
import type { Endpoint } from "./network.ts";
import { Actor } from "./scheduler.ts";
import { sim } from "./sim.ts";

export const STATE_FOLDER = "/state";

export class ConnectorProcess {
  readonly actor: Actor;
  readonly disk: Disk;
  readonly #gateway: SimGateway;
  onStopped: (why: string) => void = () => undefined;
  onAlarm: (alarm: KeyLogAlarm) => void = () => undefined;
  link: Link | null = null;
  admitted: Admitted | null = null;
  files: StateFiles | null = null;
  stopped: Extract<LinkStatus, { state: "stopped" }>["why"] | null = null;
  failure: string | null = null;
  readonly alarms: KeyLogAlarm[] = [];
  /** Connections of this process, with what they are. */
  readonly endpoints = new Map<Endpoint, "link" | "gateway">();

  constructor(name: string, disk: Disk, gateway: SimGateway, skewMs: number) {
    this.actor = new Actor(name);
    this.actor.skewMs = skewMs;
    this.disk = disk;
    this.#gateway = gateway;
    mount(this.actor, disk);
    sim.scheduler.after(0, () => void this.#start(), this.actor);
  }

  get isAlive(): boolean {
    return !this.actor.isDead && this.stopped === null && this.failure === null;
  }

  async #start(): Promise<void> {
    sim.trace(`${this.actor.name} starts`);
    try {
      const files = new StateFiles(STATE_FOLDER);
      this.files = files;
      const identity = loadIdentity(files);
      const log = await KeyLog.open(files, identity);
      const now = (): number => Date.now();
      const admitted = new Admitted(files, log, now);
      this.admitted = admitted;
      this.link = new Link({
        files,
        identity,
        log,
        admitted,
        gateway: new SimOpenclaw(this.#gateway, admitted, this.actor),
        version: "0.1.0",
        now,
        clock: now,
        onAlarm: (alarm) => {
          sim.trace(`${this.actor.name} alarm ${alarm}`);
          this.alarms.push(alarm);
          this.onAlarm(alarm);
        },
        onStatus: (status) => {
          sim.trace(`${this.actor.name} link ${status.state}${"why" in status ? ` ${status.why}` : ""}`);
          if (status.state === "stopped") this.#stop(status.why);
        },
      });
      this.link.start();
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
      sim.trace(`${this.actor.name} does not start: ${this.failure}`);
      // Whatever keeps services running tries again.
      sim.scheduler.after(
        4_000,
        () => {
          this.failure = null;
          void this.#start();
        },
        this.actor,
      );
    }
  }

  #stop(why: NonNullable<ConnectorProcess["stopped"]>): void {
    this.stopped = why;
    this.link?.stop();
    this.onStopped(why);
    sim.scheduler.after(10, () => this.kill(), sim.scheduler.world);
  }

  /** kill -9: the machine closes what the process had open. */
  kill(): void {
    if (this.actor.isDead) return;
    sim.trace(`${this.actor.name} is killed`);
    this.actor.isDead = true;
    for (const endpoint of this.endpoints.keys()) endpoint.destroy();
  }

  /** The machine loses power: nobody on the network hears of it. */
  cutPower(): void {
    if (this.actor.isDead) return;
    sim.trace(`${this.actor.name} loses power`);
    this.actor.isDead = true;
    for (const [endpoint, kind] of this.endpoints) {
      if (kind === "link") {
        endpoint.out.isHole = true;
        endpoint.peer.out.isHole = true;
      } else endpoint.destroy();
    }
  }
}
