/** One run's world: a room on its platform, a machine with a connector and a gateway, devices, an owner, and the wires between them. */
import { statePath } from "./state-names.ts";
import { keyPair, Passkey } from "./keys.ts";
import { ConnectorProcess, STATE_FOLDER } from "./connector-host.ts";
import { SimD1 } from "./d1.ts";
import { Device, Owner } from "./devices.ts";
import type { Disk } from "./disk.ts";
import { SimGateway } from "./gateway.ts";
import { HttpVisit } from "./http-visit.ts";
import type { HttpScript } from "./http-visit.ts";
import type { SimRequest, SimResponse } from "./http-bodies.ts";
import { dueAlarm, keyLogOn, knows } from "./machines.ts";
import type { Machine } from "./machines.ts";
import { Endpoint } from "./network.ts";
import type { Data } from "./network.ts";
import { Oracle, at } from "./oracle.ts";
import type { RoomPort } from "./ports.ts";
import { RoomHost } from "./room-host.ts";
import { Answer } from "./gateway.ts";
import { setRoute } from "./route.ts";
import type { Dialled } from "./route.ts";
import type { Actor } from "./scheduler.ts";
import { signedGenesis } from "../support/genesis.ts";
import type { SignedByOwner } from "../../src/protocol/statements.ts";
import { START_MS, sim } from "./sim.ts";
import { WsVisit } from "./visits.ts";
import { SimRequest as Request } from "./http-bodies.ts";

export const GATEWAY = "abcdefghijklmnopqrstuvw";
export const ACCOUNT = "a".repeat(26);
export const APPROVE_ORIGIN = "http://approve.localhost:8787";

/** The state that `up` leaves on a machine, made once a process. */
export interface Template {
  readonly disk: Disk;
}

export const connectorKeys = keyPair("connector");
export const ownerPasskey = new Passkey("owner", APPROVE_ORIGIN);

/** What the owner's passkey signed when it claimed the machine. @param account another one for a claim that must fail */
export function genesis(account = ACCOUNT): Promise<SignedByOwner> {
  const input = { gateway: GATEWAY, account, connectorKey: connectorKeys.key, approveOrigin: APPROVE_ORIGIN, atMs: START_MS };
  return signedGenesis(ownerPasskey, input);
}

export const ENV_TEXT = {
  APP_ORIGIN: "http://localhost:8787",
  APPROVE_ORIGIN,
  GATEWAY_DOMAIN: "localhost:8787",
  SIGN_UP: "open",
  GATEHOUSE_SECRET: "c2ltdWxhdG9yLXNlY3JldC1mb3ItdGhlLXJvb20tMDA",
} as const;

/** What a machine last had of its room. */
const generationOn = (disk: Disk): number =>
  (JSON.parse(disk.read(statePath("gateway")).toString("utf8")) as { generation: number }).generation;

export class World {
  readonly gatewayId = GATEWAY;
  readonly account = ACCOUNT;
  readonly origin = `http://${GATEWAY}.localhost:8787`;
  readonly passkey = ownerPasskey;
  readonly oracle = new Oracle();
  readonly d1 = new SimD1();
  readonly room: RoomHost;
  readonly gateway: SimGateway;
  readonly devices: Device[] = [];
  readonly owner: Owner;
  readonly doors = new Set<Endpoint>();
  readonly visits: WsVisit[] = [];
  readonly httpVisits: HttpVisit[] = [];
  connector: ConnectorProcess;
  readonly #skewMs: number;
  #processes = 0;
  readonly #machines: Machine[] = [];
  /** The network between connector and room. */
  isLinkNetUp = true;
  linkExtraMs = 0;
  linkRate = Number.POSITIVE_INFINITY;
  isInboxDown = false;
  /** When a link last went dead without a word. */
  halfOpenAtMs = Number.NEGATIVE_INFINITY;
  #links: Endpoint[] = [];
  /** Two machines with one key have both been the connector: what they wrote differs, and somebody must look (PROTOCOL.md KL6). */
  isForked = false;
  /** Nobody begins anything new. */
  isQuiet = false;

  constructor(make: (ctx: object, env: object) => RoomPort, template: Template) {
    const env = { ...ENV_TEXT, DB: this.d1, INBOX: { getByName: () => this.#inbox } };
    this.room = new RoomHost(make, env, this.oracle);
    this.d1.isSilenced = () => this.room.isSilenced;
    this.room.onStaleEnd = () => this.breakBrowsers();
    this.oracle.wakes = () => this.room.wakes;
    this.gateway = new SimGateway({
      arrived: (path, headers) =>
        this.oracle.arrived(
          path,
          headers,
          this.#visit(path),
          sim.scheduler.nowMs + this.connector.actor.skewMs,
          sim.scheduler.actor === this.connector.actor,
        ),
      visit: (path) => this.#visit(path),
    });
    setRoute({
      dial: (url, headers, actor, answered) => this.#dial(url, headers, actor, answered),
      request: (head, events, actor) => this.gateway.request(head, events, actor),
      connectorSends: (socket, data) => this.#connectorSends(socket, data),
    });
    this.owner = new Owner(this);
    this.#skewMs = sim.timing.chance(0.3) ? sim.timing.int(-90_000, 90_000) : 0;
    const disk = template.disk.copy();
    this.#machines.push({ disk, copyOf: null, copied: 0, copiedAtMs: 0 });
    this.connector = this.#process(disk);
  }

  // --- time --------------------------------------------------------------------------------------------------------------------

  later(ms: number, run: () => void): void {
    sim.scheduler.after(ms, run, sim.scheduler.world);
  }

  // --- setting up ----------------------------------------------------------------------------------------------------------------

  /** What claiming the gateway leaves in the room. */
  async claim(): Promise<void> {
    const { room } = this;
    const signed = await genesis();
    await room.call((each) => each.enrol({ account: ACCOUNT, gateway: GATEWAY, name: "Home", genesis: signed }));
    this.#isClaimed = true;
  }

  async addDevice(name: string, isStranger: boolean): Promise<void> {
    const device = new Device(this, name, this.devices.length, isStranger);
    this.devices.push(device);
    await device.start();
  }

  // --- visits --------------------------------------------------------------------------------------------------------------------

  newWsVisit(device: string, session: string): WsVisit {
    const visit = new WsVisit(this.visits.length + this.httpVisits.length + 1, device, session);
    this.visits.push(visit);
    return visit;
  }

  /** One HTTP exchange of a device; nothing when it has no session. */
  async exchange(device: Device, script: HttpScript, paceMs: number): Promise<void> {
    const { session } = device;
    if (session === null) return;
    const visit = new HttpVisit(this.visits.length + this.httpVisits.length + 1, device.id, session.id, script);
    this.httpVisits.push(visit);
    const request = visit.toRequest(this.origin, { "x-gatehouse-session": session.id });
    const response = await device.request(`/v/${visit.number}`, request);
    await visit.read(response, paceMs);
  }

  #visit(path: string): WsVisit | HttpVisit | null {
    const number = Number(/^\/(?:v|api\/channels\/nostr)\/(\d+)(?:\/profile)?$/.exec(path)?.[1] ?? 0);
    return this.visits.find((each) => each.number === number) ?? this.httpVisits.find((each) => each.number === number) ?? null;
  }

  /** Their connections end with the object's: they may hear nothing but that. */
  breakBrowsers(): void {
    for (const visit of this.visits) if (visit.browserEnd === null) visit.isLegBroken = true;
  }

  /** A request of the Worker to the room, with the network on the way. */
  async fetch(request: SimRequest): Promise<SimResponse | null> {
    const { scheduler, timing } = sim;
    await new Promise<void>((resolve) => scheduler.after(timing.int(1, 15), resolve, scheduler.world));
    const { room } = this;
    const { instance, answer } = room.fetch(request);
    const response = await answer;
    const body = response?.body;
    if (typeof body === "object" && body !== null) {
      body.onOver = () => room.bodyEnded(body);
      room.bodyOpened(body, instance);
    }
    if (response?.status === 200 && instance.isStale && request.url.endsWith("/.gatehouse/session"))
      sim.fail("case 12", "a stale instance opened a session");
    await new Promise<void>((resolve) => scheduler.after(timing.int(0, 15), resolve, scheduler.world));
    if (response?.status === 500 && !instance.isStale) sim.fail("internal", `the room answered 500 to ${request.url}`);
    return response;
  }

  // --- the connector ---------------------------------------------------------------------------------------------------------------

  #process(disk: Disk): ConnectorProcess {
    this.#processes += 1;
    const process = new ConnectorProcess(`connector#${this.#processes}`, disk, this.gateway, this.#skewMs);
    process.onAlarm = (alarm) => {
      if (dueAlarm(this.#machineOf(disk), this.#roomLogEnd(), this.#machines) !== alarm)
        sim.fail("KL6", `an alarm without a reason: ${alarm}`);
    };
    process.onStopped = (why) => {
      if (process !== this.connector || this.retired.length === 0) return;
      if (why === "stale") return this.#copyCameTooLate(process);
      if (why !== "superseded") return;
      // The old machine took the gateway back before it was switched off: it is the connector again.
      const old = this.retired.find((each) => each.isAlive);
      // Or it has been switched off in that very moment: then the new one is started again.
      if (old === undefined) this.later(3_000, () => this.startConnector(disk));
      else this.connector = old;
      this.isForked = true;
    };
    return process;
  }

  /**
   * A copy that had no network comes after the machine that it was made of has proved itself once more (PROTOCOL.md LINK3): that one is the connector
   * again, and is switched on if it is off. Nothing else may make the only connector's generation a stale one.
   */
  #copyCameTooLate(copy: ConnectorProcess): void {
    const old = this.retired.findLast(({ disk }) => generationOn(disk) > generationOn(copy.disk));
    if (old === undefined) return;
    if (old.isAlive) this.connector = old;
    else this.later(3_000, () => this.startConnector(old.disk));
    const written = keyLogOn(old.disk);
    this.isForked ||= keyLogOn(copy.disk).some((line, seq) => written[seq] !== line);
  }

  /** Another process on a machine that was there before. */
  startConnector(disk: Disk = this.connector.disk): void {
    this.connector = this.#process(disk);
  }

  /** A copy of the connector's machine is switched on. */
  startCopy(): void {
    const { disk } = this.connector;
    const copy = disk.copy();
    this.#machines.push({ disk: copy, copyOf: this.#machineOf(disk), copied: keyLogOn(copy).length, copiedAtMs: at() });
    this.startConnector(copy);
  }

  /** Whether the connector's machine can know of this entry of the gateway's list: it, or the one that it was made of before that, wrote it down. */
  isPairingKnown(id: string): boolean {
    const noted = this.gateway.paired.get(id);
    return noted !== undefined && knows(this.#machineOf(this.connector.disk), noted.disk, noted.atMs);
  }

  /** The last entry of the room's copy of the key log. */
  #roomLogEnd(): { readonly seq: number; readonly line: string } | undefined {
    const [row] = this.room.db.all("SELECT seq, line FROM key_log ORDER BY seq DESC LIMIT 1");
    return row === undefined ? undefined : { seq: Number(row["seq"]), line: String(row["line"]) };
  }

  #machineOf(disk: Disk): Machine {
    const machine = this.#machines.find((each) => each.disk === disk);
    if (machine === undefined) throw new Error("a disk of no machine");
    return machine;
  }

  #owner(actor: Actor): ConnectorProcess | null {
    return this.connector.actor === actor ? this.connector : (this.retired.find((each) => each.actor === actor) ?? null);
  }
  /** Processes that still run although another took over. */
  readonly retired: ConnectorProcess[] = [];

  #dial(url: string, headers: Readonly<Record<string, string>>, actor: Actor, answered: (answer: Dialled) => void): void {
    const { pathname } = new URL(url);
    const { scheduler, timing } = sim;
    const owner = this.#owner(actor);
    if (!pathname.startsWith("/link/")) {
      const endpoint = this.gateway.dial(pathname, headers, actor, answered);
      if (endpoint !== null) {
        owner?.endpoints.set(endpoint, "gateway");
        this.#gatewayEndpoints.set(endpoint, owner);
      }
      return;
    }
    if (!this.isLinkNetUp) return void scheduler.after(timing.int(1, 3_000), () => answered({ error: "ENETUNREACH" }), actor);
    const dial = (): void => {
      // A machine has the name of its gateway only once the room is claimed.
      if (!this.#isClaimed) return this.later(1, dial);
      const request = new Request(`http://localhost:8787${pathname}`, {
        headers: { "x-gatehouse-kind": "link", "x-gatehouse-client-ip": "192.0.2.44", upgrade: "websocket" },
      });
      void this.room.fetch(request).answer.then((response) => {
        const endpoint = response?.webSocket;
        if (!(endpoint instanceof Endpoint)) {
          const status = response?.status ?? 502;
          return void scheduler.after(
            1,
            () => answered({ status, response: new Answer(status, [...(response?.headers ?? [])].flat()) }),
            actor,
          );
        }
        if (!this.isLinkNetUp) {
          endpoint.owner = scheduler.world;
          endpoint.out.isHole = true;
          endpoint.peer.out.isHole = true;
          return;
        }
        endpoint.owner = actor;
        owner?.endpoints.set(endpoint, "link");
        this.#links.push(endpoint);
        endpoint.out.extraMs = this.linkExtraMs;
        endpoint.peer.out.extraMs = this.linkExtraMs;
        endpoint.out.rate = this.linkRate;
        endpoint.peer.out.rate = this.linkRate;
        if (actor.isDead) return endpoint.destroy();
        scheduler.after(
          1,
          () => {
            answered({ endpoint });
            endpoint.resume();
          },
          actor,
        );
      });
    };
    this.later(timing.int(2, 40) + this.linkExtraMs, dial);
  }

  #isClaimed = false;
  readonly #gatewayEndpoints = new Map<Endpoint, ConnectorProcess | null>();

  #connectorSends(socket: object, data: Data): void {
    const { endpoint } = socket as { endpoint: Endpoint | null };
    if (endpoint === null) return;
    if (this.#links.includes(endpoint)) return this.oracle.connectorSays(endpoint.peer, data);
    // A stopped machine whose copy has taken over has not heard of the cut: it says what it had in hand, and then finds its link gone.
    if (sim.scheduler.actor !== this.connector.actor) return;
    const visit = this.gateway.open.get(endpoint.peer);
    if (visit !== undefined && this.oracle.cutAtConnector.has(visit.device))
      sim.fail("I3", "the connector sent to the gateway for a device that it had cut");
  }

  /** The connector's link is up, and not only in its belief: what it says arrives. */
  get isLinkWhole(): boolean {
    const { connector } = this;
    return connector.link?.isUp === true && this.liveLinks().some((link) => connector.endpoints.has(link) && !link.out.isHole);
  }

  /** Links that are open now. */
  liveLinks(): Endpoint[] {
    this.#links = this.#links.filter((each) => each.state !== "closed");
    return this.#links;
  }

  // --- the owner's inbox ------------------------------------------------------------------------------------------------------------

  readonly #inbox = {
    put: () => this.#inboxCall(),
    drop: () => this.#inboxCall(),
    gatewayChanged: () => this.#inboxCall(),
    putNotice: () => this.#inboxCall(),
    dropNotice: () => this.#inboxCall(),
    forgetGateway: () => this.#inboxCall(),
  };

  #inboxCall(): Promise<void> {
    return sim.scheduler.io(sim.timing.int(1, 20), () => {
      if (this.isInboxDown || sim.timing.chance(0.01)) throw new Error("the inbox is away");
    });
  }
}

export { START_MS, STATE_FOLDER, at, statePath };
