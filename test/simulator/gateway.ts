/** The OpenClaw gateway of a run: takes what the connector dials, answers by script, goes down and comes back; and the connector's view of it. */
import { EventEmitter } from "node:events";
import type { Admitted } from "../../src/connector/trust/admissions.ts";
import { GatewayAwayError } from "../../src/connector/openclaw/openclaw-port.ts";
import type { HandshakeWatch, OpenclawGateway, Removal, WatchEvents } from "../../src/connector/openclaw/openclaw-port.ts";
import type { PairedEntry } from "../../src/core/trust/drift.ts";
import type { GatewayReport, StreamOpen } from "../../src/protocol/link-messages.ts";
import { disk } from "./disk.ts";
import type { Disk } from "./disk.ts";
import { Endpoint } from "./network.ts";
import { at } from "./oracle.ts";
import type { Dialled, GatewayRequest, IncomingAnswer } from "./route.ts";
import type { Actor } from "./scheduler.ts";
import { sim } from "./sim.ts";
import type { HttpVisit } from "./http-visit.ts";
import type { WsVisit } from "./visits.ts";

export type Headers = Readonly<Record<string, string | string[]>>;

export interface GatewayEvents {
  /** A socket or a request has reached the gateway: the place where I1 and I2 are checked. */
  arrived(path: string, headers: Headers): void;
  visit(path: string): WsVisit | HttpVisit | null;
}

/** An answer that the connector reads. */
export class Answer extends EventEmitter implements IncomingAnswer {
  readonly statusCode: number;
  readonly rawHeaders: string[];
  readonly headers: Readonly<Record<string, string>>;
  isPaused = false;
  isDestroyed = false;
  onResume: () => void = () => undefined;

  constructor(statusCode: number, rawHeaders: string[] = []) {
    super();
    this.statusCode = statusCode;
    this.rawHeaders = rawHeaders;
    const names = rawHeaders.filter((_, i) => i % 2 === 0);
    this.headers = Object.fromEntries(names.map((name, i) => [name.toLowerCase(), rawHeaders[2 * i + 1] ?? ""]));
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    this.onResume();
  }

  destroy(): void {
    this.isDestroyed = true;
  }
}

export class SimGateway {
  isUp = true;
  /** Control leg and self-test: whether connectors may serve. */
  report: GatewayReport = { state: "online", version: "2026.9.6" };
  /** Its own list of devices, with when and on which disk the connector noted the entry. */
  readonly paired = new Map<string, { readonly disk: Disk; readonly atMs: number }>();
  readonly listeners = new Set<() => void>();
  readonly #events: GatewayEvents;
  readonly open = new Map<Endpoint, WsVisit>();
  readonly requests = new Set<HttpVisit>();

  constructor(events: GatewayEvents) {
    this.#events = events;
  }

  setReport(report: GatewayReport): void {
    this.report = report;
    for (const listener of this.listeners) listener();
  }

  dial(path: string, headers: Headers, actor: Actor, answered: (answer: Dialled) => void): Endpoint | null {
    const { scheduler, timing } = sim;
    if (!this.isUp) {
      scheduler.after(1, () => answered({ error: "ECONNREFUSED" }), actor);
      return null;
    }
    this.#events.arrived(path, headers);
    const visit = this.#events.visit(path);
    if (visit === null || !("up" in visit)) {
      const response = new Answer(404);
      scheduler.after(2, () => answered({ status: 404, response }), actor);
      scheduler.after(3, () => response.emit("end"), actor);
      return null;
    }
    if (timing.chance(0.03)) {
      const response = new Answer(503, ["retry-after", "1"]);
      scheduler.after(2, () => answered({ status: 503, response }), actor);
      scheduler.after(3, () => response.emit("data", Buffer.from("busy")), actor);
      scheduler.after(3, () => response.emit("end"), actor);
      return null;
    }
    const [client, server] = Endpoint.pair(`gateway${visit.number}`, actor, scheduler.world, 1);
    visit.attachGateway(server);
    this.open.set(server, visit);
    scheduler.after(timing.int(1, 5), () => answered({ endpoint: client }), actor);
    // R9: it speaks first. A plugin's socket does not.
    if (!timing.chance(0.05))
      scheduler.after(
        timing.chance(0.1) ? timing.int(10, 6_000) : timing.int(6, 12),
        () => visit.sendDown({ bytes: 60, isText: true }),
        scheduler.world,
      );
    return client;
  }

  request(
    head: { path: string; headers: Headers; method: string },
    events: { answer(a: Answer): void; lost(): void },
    actor: Actor,
  ): GatewayRequest | null {
    if (!this.isUp) return null;
    this.#events.arrived(head.path, head.headers);
    const visit = this.#events.visit(head.path);
    if (visit === null || "up" in visit) {
      sim.scheduler.after(2, () => events.lost(), actor);
      return { body() {}, end() {}, gone() {} };
    }
    this.requests.add(visit);
    return visit.atGateway(head, events, actor, () => this.requests.delete(visit));
  }

  /** Everything that is open breaks; until `up` nobody listens. */
  down(): void {
    this.isUp = false;
    for (const endpoint of this.open.keys()) endpoint.cut();
    this.open.clear();
    for (const visit of this.requests) visit.breakAtGateway();
    this.requests.clear();
    this.setReport({ state: "offline", reason: "not-running" });
  }

  up(): void {
    this.isUp = true;
    this.setReport({ state: "online", version: "2026.9.6" });
  }
}

/** What one connector process knows of its gateway. */
export class SimOpenclaw implements OpenclawGateway {
  readonly target = { host: "127.0.0.1", port: 18789 };
  readonly #gateway: SimGateway;
  readonly #admitted: Admitted;
  readonly #actor: Actor;

  constructor(gateway: SimGateway, admitted: Admitted, actor: Actor) {
    this.#gateway = gateway;
    this.#admitted = admitted;
    this.#actor = actor;
  }

  get report(): GatewayReport {
    return this.#gateway.report;
  }

  get isServing(): boolean {
    return this.#gateway.report.state === "online";
  }

  readonly settings = null;

  rotateSecret(): Promise<"internal"> {
    return Promise.resolve("internal");
  }

  answerSettings(): Promise<"over"> {
    return Promise.resolve("over");
  }

  start(): void {}

  async stop(): Promise<void> {}

  onReport(listener: (report: GatewayReport) => void): () => void {
    const heard = (): void => {
      sim.scheduler.after(sim.timing.int(0, 300), () => listener(this.#gateway.report), this.#actor);
    };
    this.#gateway.listeners.add(heard);
    return () => this.#gateway.listeners.delete(heard);
  }

  watch(open: StreamOpen, events: WatchEvents, mayPair: () => Promise<boolean>): HandshakeWatch {
    let isDone = false;
    const id = `openclaw-${open.device}`;
    return {
      get isDone() {
        return isDone;
      },
      firstFromBrowser: (text) => {
        isDone = true;
        if (!this.#gateway.paired.has(id)) {
          const noted = { disk: disk(), atMs: this.#admitted.bound(open.device).includes(id) ? 0 : at() };
          // On disk first: what is not known here could not be removed later.
          this.#admitted.bind(open.device, id);
          void mayPair().then((may) => {
            if (!may) return events.refused();
            this.#gateway.paired.set(id, noted);
            return events.paired();
          });
        }
        return text;
      },
      fromGateway: () => null,
      page: null,
    };
  }

  removeBound(device: string): Promise<Removal> {
    return sim.scheduler.io(sim.timing.int(1, 60), () => {
      if (!this.#gateway.isUp) throw new GatewayAwayError();
      const bound = this.#admitted.bound(device);
      for (const id of bound) {
        this.#gateway.paired.delete(id);
        this.#admitted.unbind(device, id);
      }
      return { removed: bound.length, absent: 0, entries: bound };
    });
  }

  paired(): Promise<readonly PairedEntry[]> {
    return sim.scheduler.io(sim.timing.int(1, 60), () => {
      if (!this.#gateway.isUp) throw new GatewayAwayError();
      const about = { name: "", platform: "", client: "", roles: ["operator"], scopes: [], approvedVia: "owner", approvedAtMs: null };
      return [...this.#gateway.paired.keys()].map((id) => ({ id, ...about }));
    });
  }

  removeEntry(entry: string): Promise<void> {
    return sim.scheduler.io(sim.timing.int(1, 60), () => {
      if (!this.#gateway.isUp) throw new GatewayAwayError();
      this.#gateway.paired.delete(entry);
    });
  }

  ping(): Promise<number> {
    return sim.scheduler.io(1, () => {
      if (!this.#gateway.isUp) throw new GatewayAwayError();
      return 1;
    });
  }

  onPing(): () => void {
    return () => undefined;
  }

  /** Nobody pairs at this gateway but the connector. */
  onPairing(): () => void {
    return () => undefined;
  }
}
