/** The platform under one Durable Object: instances that come and go, one SQLite that stays, sockets that outlive hibernation. */
import type { SQLInputValue } from "node:sqlite";
import type { RoomPort } from "./ports.ts";
import type { SimRequest, SimResponse } from "./http-bodies.ts";
import { RoomAlarm } from "./room-alarm.ts";
import { RoomInstance } from "./room-instance.ts";
import { RoomSqlite } from "./room-sqlite.ts";
import { Actor } from "./scheduler.ts";
import { sim } from "./sim.ts";
import { WorkerSocket } from "./worker-socket.ts";
import type { RoomTaps } from "./worker-socket.ts";

type MakeRoom = (ctx: object, env: object) => RoomPort;

/** An instance that goes on although another one has the object. */
interface StaleRoom {
  readonly instance: RoomInstance;
  readonly sockets: WorkerSocket[];
  /** The platform looks at every event and every use of storage, and ends it at the first. Else it goes on, whatever storage says. */
  readonly isNoticed: boolean;
}

/** How many requests still reach an old instance that nobody has noticed. */
const TO_STALE = 0.3;

export class RoomHost {
  readonly db = new RoomSqlite();
  readonly alarm = new RoomAlarm((work) => this.call(work));
  readonly taps: RoomTaps;
  readonly #make: MakeRoom;
  readonly #env: object;
  /** Accepted sockets of the current instance. */
  sockets: WorkerSocket[] = [];
  instance: RoomInstance | null = null;
  stale: StaleRoom | null = null;
  /** An old instance goes, and its sockets with it. */
  onStaleEnd: () => void = () => undefined;
  wakes = 0;
  #count = 0;
  #autoResponse: { readonly request: string; readonly response: string } | null = null;

  constructor(make: MakeRoom, env: object, taps: RoomTaps) {
    this.#make = make;
    this.#env = env;
    this.taps = taps;
  }

  // --- events ------------------------------------------------------------------------------------------------------------------

  /** A request of the Worker. @returns the answer, or null when the object broke off, and who was asked */
  fetch(request: SimRequest): { readonly instance: RoomInstance; readonly answer: Promise<SimResponse | null> } {
    const { stale } = this;
    const instance = stale !== null && !stale.isNoticed && sim.timing.chance(TO_STALE) ? stale.instance : this.#awake();
    return { instance, answer: this.call(async (room) => (await room.fetch(request as never)) as unknown as SimResponse, instance) };
  }

  /** An answer's body breaks with the instance that writes it. */
  readonly #bodies = new Map<{ cancel(): void }, RoomInstance>();

  bodyOpened(body: { cancel(): void }, instance: RoomInstance): void {
    if (instance.actor.isDead) body.cancel();
    else this.#bodies.set(body, instance);
  }

  bodyEnded(body: { cancel(): void }): void {
    this.#bodies.delete(body);
  }

  get openBodies(): number {
    return this.#bodies.size;
  }

  /** A call of the Worker. @returns null when the object broke off before it answered */
  call<T>(work: (room: RoomPort) => Promise<T>, instance: RoomInstance = this.#awake()): Promise<T | null> {
    return new Promise((resolve) => {
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
    if (instance.actor.isDead || this.#notice(instance)) return;
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

  /** @returns whether whoever runs at the moment is an instance that nothing leaves any more */
  get isSilenced(): boolean {
    const { stale } = this;
    return stale !== null && stale.instance.isBroken && stale.instance.actor === sim.scheduler.actor;
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

  /**
   * Another machine has the object now; the old instance does not know yet and goes on with its sockets. What it had not on disk is lost, and then
   * the platform ends it soon.
   *
   * @returns it, or null when there is none, or one already
   */
  makeStale(isNoticed: boolean): RoomInstance | null {
    const { instance } = this;
    if (instance === null || this.stale !== null) return null;
    sim.trace("room instance is stale");
    instance.isStale = true;
    this.stale = { instance, sockets: this.sockets, isNoticed };
    this.sockets = [];
    this.instance = null;
    if (instance.drop()) sim.scheduler.after(sim.timing.int(0, 50), () => this.endStale(instance), sim.scheduler.world);
    return instance;
  }

  /** @returns whether the platform has seen that this instance is not the one: it handles nothing more */
  #notice(instance: RoomInstance): boolean {
    if (this.stale?.instance !== instance || !this.stale.isNoticed) return false;
    sim.scheduler.after(0, () => this.endStale(instance), sim.scheduler.world);
    return true;
  }

  endStale(instance: RoomInstance): void {
    const { stale } = this;
    if (stale?.instance !== instance) return;
    sim.trace("stale room instance ends");
    this.onStaleEnd();
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

  // --- what the object sees ------------------------------------------------------------------------------------------------------

  #context(instance: RoomInstance): object {
    const { db } = this;
    const check = (): void => {
      if (instance.isStale || instance.actor.isDead) {
        this.#notice(instance);
        throw new Error("Durable Object storage is no longer accessible: a newer instance runs");
      }
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
      kv: {
        get: (key: string): unknown => {
          const [row] = exec("SELECT value FROM _cf_KV WHERE key = ?", key).toArray();
          return row === undefined ? undefined : (JSON.parse(String(row["value"])) as unknown);
        },
        put: (key: string, value: unknown): void => {
          exec("INSERT INTO _cf_KV (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, JSON.stringify(value)); // prettier-ignore
        },
      },
      transactionSync: <T>(work: () => T): T => {
        check();
        instance.wrote();
        return db.together(work);
      },
      getAlarm: async () => {
        check();
        return this.alarm.atMs;
      },
      setAlarm: async (atMs: number) => {
        check();
        this.alarm.set(atMs);
        instance.wrote();
      },
      deleteAlarm: async () => {
        check();
        this.alarm.set(null);
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
