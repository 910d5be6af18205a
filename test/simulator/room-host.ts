/** The platform under one Durable Object: instances that come and go, one SQLite that stays, sockets that outlive hibernation, an alarm, the gates. */
import type { SQLInputValue } from "node:sqlite";
import type { RoomPort } from "./ports.ts";
import type { SimRequest, SimResponse } from "./http-bodies.ts";
import type { Data, Endpoint } from "./network.ts";
import { RoomSqlite } from "./room-sqlite.ts";
import { Actor } from "./scheduler.ts";
import { sim } from "./sim.ts";
import { WorkerSocket } from "./worker-socket.ts";

/** Who watches what leaves a room. */
export interface RoomTaps {
  roomSends(socket: WorkerSocket, data: Data): void;
  roomCloses(socket: WorkerSocket, code: number, reason: string): void;
  roomReceives(socket: WorkerSocket, data: Data): void;
}

type MakeRoom = (ctx: object, env: object) => RoomPort;

/** One life of the object between two losses of memory. */
export class RoomInstance {
  readonly host: RoomHost;
  readonly actor: Actor;
  room: RoomPort | null = null;
  /** What the constructor asked to wait for before any event. */
  ready: Promise<void> | null = null;
  /** Requests, calls and events that have not ended. */
  inFlight = 0;
  /** Storage is somebody else's by now: every use of it throws. */
  isStale = false;
  #gated: (() => void)[] = [];
  #isFlushing = false;

  constructor(host: RoomHost, number: number) {
    this.host = host;
    this.actor = new Actor(`room#${number}`);
  }

  /** Leaves at once, or with what was written before it. */
  output(effect: () => void): void {
    if (!this.#isFlushing) effect();
    else this.#gated.push(effect);
  }

  /** Something was written: nothing leaves until it is on disk. */
  wrote(): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    this.host.db.begin();
    sim.scheduler.after(sim.timing.chance(0.7) ? 0 : sim.timing.int(1, 12), () => this.flush(), this.actor);
  }

  flush(): void {
    if (!this.#isFlushing) return;
    this.host.db.commit();
    this.host.commitAlarm();
    this.#isFlushing = false;
    for (const effect of this.#gated.splice(0)) effect();
  }

  /** What was not on disk never was. */
  drop(): void {
    if (this.#isFlushing) {
      this.host.db.rollback();
      this.host.forgetAlarm();
    }
    this.#isFlushing = false;
    this.#gated = [];
  }

  get isQuiet(): boolean {
    return this.inFlight === 0 && this.actor.pending === 0 && !this.#isFlushing;
  }
}

export class RoomHost {
  readonly db = new RoomSqlite();
  readonly taps: RoomTaps;
  readonly #make: MakeRoom;
  readonly #env: object;
  /** Accepted sockets of the current instance. */
  sockets: WorkerSocket[] = [];
  instance: RoomInstance | null = null;
  stale: { readonly instance: RoomInstance; readonly sockets: WorkerSocket[] } | null = null;
  wakes = 0;
  #count = 0;
  #alarmMs: number | null = null;
  #alarmUnwritten: number | null | undefined;
  #alarmTimer: { isGone: boolean } | null = null;
  #autoResponse: { readonly request: string; readonly response: string } | null = null;

  constructor(make: MakeRoom, env: object, taps: RoomTaps) {
    this.#make = make;
    this.#env = env;
    this.taps = taps;
  }

  // --- events ------------------------------------------------------------------------------------------------------------------

  /** A request of the Worker. @returns the answer, or null when the object broke off */
  fetch(request: SimRequest): Promise<SimResponse | null> {
    return this.call(async (room) => (await room.fetch(request as never)) as unknown as SimResponse);
  }

  /** An answer's body breaks with the instance that writes it. */
  readonly #bodies = new Map<{ cancel(): void }, RoomInstance>();

  bodyOpened(body: { cancel(): void }, instance: RoomInstance | null): void {
    if (instance === null || instance.actor.isDead) body.cancel();
    else this.#bodies.set(body, instance);
  }

  bodyEnded(body: { cancel(): void }): void {
    this.#bodies.delete(body);
  }

  get openBodies(): number {
    return this.#bodies.size;
  }

  /** A call of the Worker. @returns null when the object broke off before it answered */
  call<T>(work: (room: RoomPort) => Promise<T>): Promise<T | null> {
    return new Promise((resolve) => {
      const instance = this.#awake();
      instance.inFlight += 1;
      const onDeath = (): void => resolve(null);
      // Until it has left the gate, an answer can still be lost with the instance.
      const settle = (value: T | null): void => {
        this.#waiting.delete(onDeath);
        resolve(value);
      };
      this.#waiting.set(onDeath, instance);
      this.#on(instance, (room) => work(room))
        .then(
          (value) => instance.output(() => settle(value)),
          (error: unknown) => {
            if (!instance.isStale) sim.fail("internal", `a call of the room threw: ${String(error)}`);
            instance.output(() => settle(null));
          },
        )
        .finally(() => {
          instance.inFlight -= 1;
        });
    });
  }
  readonly #waiting = new Map<() => void, RoomInstance>();

  /** A message, close or loss at an accepted socket. */
  event(socket: WorkerSocket, work: (room: RoomPort) => unknown): void {
    const instance = socket.instance?.isStale === true ? socket.instance : this.#awake();
    if (instance.actor.isDead) return;
    instance.inFlight += 1;
    this.#on(instance, async (room) => {
      await work(room);
    }).then(
      () => {
        instance.inFlight -= 1;
      },
      (error: unknown) => {
        instance.inFlight -= 1;
        if (!instance.isStale) sim.fail("internal", `a handler of the room threw: ${String(error)}`);
      },
    );
  }

  #on<T>(instance: RoomInstance, work: (room: RoomPort) => Promise<T>): Promise<T> {
    sim.scheduler.actor = instance.actor;
    const room = instance.room as RoomPort;
    return instance.ready === null ? work(room) : instance.ready.then(() => work(room));
  }

  #awake(): RoomInstance {
    if (this.instance !== null) return this.instance;
    this.#count += 1;
    this.wakes += 1;
    const instance = new RoomInstance(this, this.#count);
    this.instance = instance;
    for (const socket of this.sockets) {
      socket.instance = instance;
      socket.endpoint.owner = instance.actor;
    }
    sim.trace(`room wakes #${this.#count} sockets=${this.sockets.length}`);
    sim.scheduler.actor = instance.actor;
    instance.room = this.#make(this.#context(instance), this.#env);
    return instance;
  }

  // --- faults ------------------------------------------------------------------------------------------------------------------

  /** Memory goes, everything else stays. @returns false when something is under way that keeps the object awake */
  hibernate(): boolean {
    const { instance } = this;
    if (instance === null || !instance.isQuiet || this.openBodies > 0) return false;
    sim.trace("room sleeps");
    instance.actor.isDead = true;
    this.instance = null;
    for (const socket of this.sockets) socket.endpoint.owner = this.#sleeper;
    return true;
  }
  readonly #sleeper = new Actor("room asleep");

  /** A deploy, a move, a crash: memory and sockets go, what was not on disk never was. */
  crash(): void {
    sim.trace("room crashes");
    const { instance } = this;
    if (instance !== null) this.#kill(instance);
    this.instance = null;
    for (const socket of this.sockets.splice(0)) this.#cutSocket(socket);
  }

  /** Another machine has the object now; the old instance does not know yet and goes on with its sockets. */
  makeStale(): boolean {
    const { instance } = this;
    if (instance === null || this.stale !== null) return false;
    sim.trace("room instance is stale");
    instance.drop();
    instance.isStale = true;
    this.stale = { instance, sockets: this.sockets };
    this.sockets = [];
    this.instance = null;
    return true;
  }

  endStale(): void {
    const { stale } = this;
    if (stale === null) return;
    sim.trace("stale room instance ends");
    this.stale = null;
    this.#kill(stale.instance);
    for (const socket of stale.sockets) this.#cutSocket(socket);
  }

  #kill(instance: RoomInstance): void {
    if (!instance.isStale) instance.drop();
    instance.actor.isDead = true;
    for (const [body, of] of this.#bodies) if (of === instance) body.cancel();
    for (const [onDeath, of] of this.#waiting)
      if (of === instance) {
        this.#waiting.delete(onDeath);
        onDeath();
      }
  }

  #cutSocket(socket: WorkerSocket): void {
    const { endpoint } = socket;
    endpoint.state = "closed";
    endpoint.out.clear();
    const { peer } = endpoint;
    if (!endpoint.out.isHole)
      sim.scheduler.after(
        endpoint.out.latencyMs,
        () => peer.lost(1006),
        () => peer.owner,
      );
  }

  // --- alarm -------------------------------------------------------------------------------------------------------------------

  commitAlarm(): void {
    if (this.#alarmUnwritten === undefined) return;
    this.#alarmMs = this.#alarmUnwritten;
    this.#alarmUnwritten = undefined;
    this.#armAlarm();
  }

  forgetAlarm(): void {
    this.#alarmUnwritten = undefined;
  }

  #armAlarm(): void {
    if (this.#alarmTimer !== null) this.#alarmTimer.isGone = true;
    this.#alarmTimer = null;
    const atMs = this.#alarmMs;
    if (atMs === null) return;
    const { scheduler, timing } = sim;
    const lateMs = timing.weighted([
      [0, 6],
      [timing.int(1, 200), 4],
      [timing.int(200, 8_000), 1],
    ] as const);
    this.#alarmTimer = scheduler.after(Math.max(0, atMs - scheduler.nowMs) + lateMs, () => this.#ring(atMs), scheduler.world);
  }

  #ring(atMs: number): void {
    this.#alarmTimer = null;
    if (this.#alarmMs !== atMs) return;
    // While it runs there is none, but what was set is only gone when it ended: at least once.
    this.#alarmMs = null;
    const isTwice = sim.timing.chance(0.05);
    void this.call(async (room) => {
      await room.alarm();
      return true;
    }).then((isDone) => {
      if (isDone === true && !isTwice) return;
      const { scheduler, timing } = sim;
      scheduler.after(timing.int(0, 2_000), () => void this.call((room) => room.alarm()), scheduler.world);
    });
  }

  // --- what the object sees ------------------------------------------------------------------------------------------------------

  #context(instance: RoomInstance): object {
    const { db } = this;
    const check = (): void => {
      if (instance.isStale || instance.actor.isDead)
        throw new Error("Durable Object storage is no longer accessible: a newer instance runs");
    };
    const exec = (query: string, ...parameters: SQLInputValue[]) => {
      check();
      const isWrite = db.isWrite(query);
      if (isWrite) instance.wrote();
      const rows = db.all(query, parameters);
      return {
        rowsWritten: isWrite ? 1 : 0,
        toArray: () => rows.slice(),
        one: () => {
          if (rows.length !== 1) throw new Error("Expected exactly one result from SQL query");
          return rows[0];
        },
      };
    };
    const storage = {
      sql: { exec },
      transactionSync: <T>(work: () => T): T => {
        check();
        instance.wrote();
        return db.together(work);
      },
      getAlarm: async () => {
        check();
        return this.#alarmUnwritten === undefined ? this.#alarmMs : this.#alarmUnwritten;
      },
      setAlarm: async (atMs: number) => {
        check();
        this.#alarmUnwritten = atMs;
        instance.wrote();
      },
      deleteAlarm: async () => {
        check();
        this.#alarmUnwritten = null;
        instance.wrote();
      },
    };
    return {
      storage,
      setWebSocketAutoResponse: (pair: { request: string; response: string }) => {
        this.#autoResponse = pair;
      },
      getWebSocketAutoResponseTimestamp: (socket: WorkerSocket) =>
        socket.autoAnsweredAtMs === null ? null : new Date(socket.autoAnsweredAtMs),
      blockConcurrencyWhile: <T>(work: () => Promise<T>): Promise<T> => {
        const done = work();
        instance.ready = done.then(() => {
          instance.ready = null;
        });
        return done;
      },
      acceptWebSocket: (socket: WorkerSocket, tags: readonly string[] = []) => this.#accept(instance, socket, tags),
      getWebSockets: (tag?: string) => {
        const all = instance.isStale ? (this.stale?.sockets ?? []) : this.sockets;
        return all.filter((socket) => socket.readyState !== WorkerSocket.CLOSED && (tag === undefined || socket.tags.includes(tag)));
      },
    };
  }

  #accept(instance: RoomInstance, socket: WorkerSocket, tags: readonly string[]): void {
    socket.instance = instance;
    socket.tags = tags;
    const { endpoint } = socket;
    endpoint.owner = instance.actor;
    (instance.isStale ? (this.stale?.sockets ?? []) : this.sockets).push(socket);
    endpoint.events = {
      message: (data) => {
        if (typeof data === "string" && data === this.#autoResponse?.request) {
          socket.autoAnsweredAtMs = sim.scheduler.nowMs;
          return endpoint.send(this.#autoResponse.response);
        }
        this.taps.roomReceives(socket, data);
        this.event(socket, (room) => room.webSocketMessage(socket, typeof data === "string" ? data : exactBuffer(data)));
      },
      closed: (code, reason, wasClean) => {
        this.event(socket, (room) => room.webSocketClose(socket, code, reason, wasClean));
        if (endpoint.state === "closed") this.sockets = this.sockets.filter((each) => each !== socket);
      },
    };
  }
}

/** Binary messages arrive in a buffer of their own. */
function exactBuffer(data: Uint8Array<ArrayBuffer>): ArrayBuffer {
  return data.byteOffset === 0 && data.byteLength === data.buffer.byteLength
    ? data.buffer
    : data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
}

export type { Endpoint };
