/** Devices that want in, and the owner who decides: they do what the door page, the stock UI and the approval page do, and never give up. */
import { deviceId, grantId } from "../../src/core/trust/digests.ts";
import { ASK_KEYS, GRANT_KEYS, SESSION_KEYS, encodeBody } from "../../src/protocol/statement-encoding.ts";
import type { ChallengeResponse } from "../../src/protocol/door-messages.ts";
import type { Access } from "../../src/protocol/words.ts";
import { DEVICE_TOKEN_COOKIE, SESSION_COOKIE } from "../../src/protocol/words.ts";
import { Body, SimRequest } from "./http-bodies.ts";
import type { SimResponse } from "./http-bodies.ts";
import { keyPair, signByDevice } from "./keys.ts";
import type { SimKeyPair } from "./keys.ts";
import { Endpoint } from "./network.ts";
import { Random } from "./random.ts";
import { sim } from "./sim.ts";
import type { WsVisit } from "./visits.ts";
import type { World } from "./world.ts";

type DoorMessage = {
  readonly type: string;
  readonly roomNonce?: string;
  readonly request?: string;
  readonly matchCode?: string;
  readonly live?: boolean;
};

export class Device {
  readonly name: string;
  readonly #world: World;
  readonly #pair: SimKeyPair;
  readonly #random: Random;
  readonly #address: string;
  id = "";
  access: Access;
  /** The owner's will: allowed, or cut and to stay so. */
  isWanted = true;
  /** Denied by the owner every time. */
  readonly isStranger: boolean;
  session: { readonly id: string; readonly expMs: number } | null = null;
  #token: string | null = null;
  #door: Endpoint | null = null;
  #isBusy = false;
  main: WsVisit | null = null;
  openSockets = new Set<WsVisit>();

  constructor(world: World, name: string, index: number, isStranger: boolean) {
    this.name = name;
    this.#world = world;
    this.#pair = keyPair(name);
    this.#random = new Random(sim.seed, name);
    this.#address = `198.51.${100 + index}.7`;
    this.access = this.#random.pick(["full", "full", "chat", "look"] as const);
    this.isStranger = isStranger;
  }

  get key() {
    return this.#pair.key;
  }

  async start(): Promise<void> {
    this.id = await deviceId(this.#world.gatewayId, this.key);
    this.#again(this.#random.int(10, 1_500));
  }

  get isConnected(): boolean {
    return this.main?.isOpen === true && this.main.gateway !== null;
  }

  #again(ms: number): void {
    this.#world.later(ms, () => void this.#look());
  }

  /** What a page does, over and over: keep the socket, or get back to where one can be opened. */
  async #look(): Promise<void> {
    this.#again(this.isStranger ? this.#random.int(5_000, 15_000) : this.#random.int(700, 2_500));
    if (this.#world.isQuiet) return;
    if (this.#isBusy || this.main?.isOpen === true || (!this.isWanted && !this.isStranger && this.#random.chance(0.8))) return;
    this.#isBusy = true;
    try {
      if (this.session !== null && this.session.expMs > sim.scheduler.nowMs) await this.#openMain();
      else await this.#throughTheDoor();
    } finally {
      this.#isBusy = false;
    }
  }

  async #openMain(): Promise<void> {
    this.main = await this.open();
  }

  /** Opens one more socket with the session. @returns null without one */
  async open(): Promise<WsVisit | null> {
    return this.session === null ? null : this.openWith(this.session.id);
  }

  async openWith(session: string): Promise<WsVisit> {
    const visit = this.#world.newWsVisit(this.id, session);
    const response = await this.#fetch("stream", `/v/${visit.number}`, {
      headers: { upgrade: "websocket", "x-gatehouse-session": session },
    });
    visit.refused = response === null ? "lost" : response.status === 101 ? null : response.status;
    sim.trace(`v${visit.number} ${this.name} upgrade ${response?.status ?? "lost"}`);
    if (response?.status === 401 || response?.status === 403) this.session = null;
    if (response?.webSocket instanceof Endpoint) {
      visit.attachBrowser(response.webSocket);
      this.openSockets.add(visit);
      visit.onBrowserEnd = () => {
        this.openSockets.delete(visit);
        if (visit.browserEnd?.code === 4401 || visit.browserEnd?.code === 4403) this.session = null;
      };
      // Both ends go on talking when the session ends.
      const { expMs } = this.session ?? { expMs: Number.POSITIVE_INFINITY };
      if (expMs < sim.scheduler.nowMs + 120_000)
        for (const ms of [-200, 20, 300, 1_500]) {
          this.#world.later(expMs - sim.scheduler.nowMs + ms, () => visit.sendUp({ bytes: 100, isText: true }));
          this.#world.later(expMs - sim.scheduler.nowMs + ms, () => visit.sendDown({ bytes: 100, isText: true }));
        }
      // The first message is the client's `connect`; what it says afterwards is what a run plans.
      this.#world.later(this.#random.int(5, 60), () => visit.sendUp({ bytes: this.#random.int(80, 600), isText: true }));
    }
    return visit;
  }

  request(path: string, request: SimRequest): Promise<SimResponse | null> {
    return this.#fetch("stream", path, { ready: request });
  }

  async #throughTheDoor(): Promise<void> {
    const challenge = await this.#fetch("challenge", "/.gatehouse/challenge", { json: { key: this.key } });
    if (challenge?.status !== 200) return;
    const said = JSON.parse(challenge.text) as ChallengeResponse;
    if (said.standing === "unknown") return this.#ask();
    if (said.standing !== "allowed" || said.connector === null || said.grant === null) return;
    const nowMs = sim.scheduler.nowMs;
    const lifeMs = this.#random.weighted([
      [43_200_000, 4],
      [this.#random.int(20_000, 120_000), 1],
    ] as const);
    const signed = signByDevice(
      this.#pair,
      "session",
      {
        v: 1,
        gateway: this.#world.gatewayId,
        device: this.id,
        grant: said.grant.id,
        origin: this.#world.origin,
        roomNonce: said.roomNonce,
        connectorNonce: said.connector.nonce,
        connectorKey: said.connector.key,
        handover: { key: "A".repeat(43) },
        iatMs: nowMs,
        expMs: Math.min(nowMs + lifeMs, said.grant.notAfterMs),
      },
      SESSION_KEYS,
    );
    const headers: Record<string, string> = this.#token === null ? {} : { cookie: `${DEVICE_TOKEN_COOKIE}=${this.#token}` };
    const isTwice = this.#random.chance(0.1);
    const post = (): Promise<SimResponse | null> => this.#fetch("session", "/.gatehouse/session", { json: { signed }, headers });
    const [first, second] = await Promise.all([post(), isTwice ? post() : Promise.resolve(null)]);
    if (first?.status === 200 && second?.status === 200) sim.fail("I5", "one session statement opened two sessions");
    for (const answer of [first, second]) if (answer !== null) this.#takeSession(answer, nowMs + lifeMs);
  }

  #takeSession(answer: SimResponse, expMs: number): void {
    sim.trace(`${this.name} session ${answer.status} ${answer.status === 200 ? "" : answer.text}`);
    if (answer.text.includes("token-frozen")) sim.fail("TK3", `${this.name}, which never gave its token away, was frozen`);
    if (answer.status !== 200) {
      if (answer.text.includes("token-missing")) void this.#ask();
      return;
    }
    for (const cookie of answer.headers.getSetCookie()) {
      const [name, value = ""] = (cookie.split(";", 1)[0] ?? "").split("=");
      if (name === SESSION_COOKIE) this.session = { id: value.split(".")[0] ?? "", expMs };
      if (name === DEVICE_TOKEN_COOKIE) this.#token = value;
    }
  }

  /** Waits at the door with a match code until the owner has decided. */
  async #ask(): Promise<void> {
    if (this.#door !== null && this.#door.state === "open") return;
    const response = await this.#fetch("wait", "/.gatehouse/wait", { headers: { upgrade: "websocket" } });
    if (!(response?.webSocket instanceof Endpoint)) return;
    const door = response.webSocket;
    this.#door = door;
    this.#world.doors.add(door);
    door.owner = sim.scheduler.world;
    door.events = {
      message: (data) => {
        if (typeof data !== "string" || !data.startsWith("{")) return;
        const message = JSON.parse(data) as DoorMessage;
        sim.trace(`${this.name} door ${message.type}`);
        if (message.type === "hello") {
          const body = {
            v: 1,
            gateway: this.#world.gatewayId,
            key: this.key,
            origin: this.#world.origin,
            access: "full",
            roomNonce: message.roomNonce,
          };
          const claims = { name: this.name, platform: "Linux", browser: "Chromium" };
          door.send(JSON.stringify({ type: "ask", signed: signByDevice(this.#pair, "ask", body, ASK_KEYS), claims }));
        } else if (message.type === "waiting" && message.request !== undefined && message.matchCode !== undefined)
          this.#world.owner.asked(this, message.request, message.matchCode);
        else if (message.type !== "gateway") door.close(1000, "");
      },
      closed: () => {
        this.#world.doors.delete(door);
        if (this.#door === door) this.#door = null;
      },
    };
    door.resume();
  }

  #fetch(
    kind: string,
    path: string,
    more: { headers?: Record<string, string>; json?: object; ready?: SimRequest },
  ): Promise<SimResponse | null> {
    const request =
      more.ready ??
      new SimRequest(`${this.#world.origin}${path}`, {
        ...(more.headers === undefined ? {} : { headers: more.headers }),
        ...(more.json === undefined ? {} : { method: "POST", body: Body.of(JSON.stringify(more.json)) }),
      });
    request.headers.set("x-gatehouse-kind", kind);
    request.headers.set("x-gatehouse-client-ip", this.#address);
    return this.#world.fetch(request);
  }
}

/** Decides about every request as the run's plan wants it, after a human while; presses again what got no answer. */
export class Owner {
  readonly #world: World;
  readonly #allowing = new Set<Device>();
  readonly #random: Random;

  constructor(world: World) {
    this.#world = world;
    this.#random = new Random(sim.seed, "owner");
  }

  asked(device: Device, request: string, code: string): void {
    this.#world.later(this.#random.int(300, 4_000), () => void this.#decide(device, request, code));
  }

  async #decide(device: Device, request: string, code: string): Promise<void> {
    const world = this.#world;
    const { account } = world;
    if (device.isStranger || !device.isWanted) {
      await world.room.call((room) => room.deny({ account, request, block: false }));
      return;
    }
    const shown = await world.room.call((room) => room.request({ account, request }));
    if (shown === null || !shown.ok) return;
    const nowMs = sim.scheduler.nowMs;
    const body = {
      v: 1,
      gateway: world.gatewayId,
      device: device.id,
      key: device.key,
      name: device.name,
      access: device.access,
      kind: "ask",
      request,
      activation: null,
      head: shown.value.head,
      issuedAtMs: nowMs,
      applyByMs: nowMs + 24 * 3_600_000,
      notAfterMs: nowMs + 86_400_000,
    };
    const bytes = encodeBody(body, GRANT_KEYS);
    const signed = world.passkey.sign("grant", bytes);
    world.oracle.grants.set(await grantId(bytes), { device: device.id, access: device.access, notAfterMs: body.notAfterMs });
    const wrong = this.#random.chance(0.1) ? String((Number(code) + 1) % 10_000).padStart(4, "0") : null;
    if (wrong !== null) await world.room.call((room) => room.checkMatchCode({ account, request, code: wrong }));
    if (!device.isWanted) return;
    // The owner's gesture ends what was cut before it: from here on the device may be let in again.
    world.oracle.cut.delete(device.id);
    this.#allowing.add(device);
    const allowed = await world.room.call((room) => room.allow({ account, request, code, signed }));
    this.#allowing.delete(device);
    sim.trace(`owner allows ${device.name}: ${allowed === null ? "lost" : allowed.ok ? allowed.value.outcome : allowed.failure}`);
    if (this.#random.chance(0.1)) await world.room.call((room) => room.allow({ account, request, code, signed }));
  }

  /** Cut now, pressed until it says that it is done. */
  async cut(device: Device): Promise<void> {
    const world = this.#world;
    device.isWanted = false;
    const nowMs = sim.scheduler.nowMs;
    sim.trace(`owner cuts ${device.name}`);
    world.oracle.cut.add(device.id);
    // Whoever has a copy of the cookie tries it later.
    const { session } = device;
    if (session !== null) for (const ms of [900, 9_000, 25_000]) world.later(ms, () => void device.openWith(session.id));
    const receipt = await world.room.call((room) => room.cut({ account: world.account, device: device.id }));
    if (receipt !== null) {
      // A device that the room does not know has nothing to cut.
      if (!receipt.ok) world.oracle.cut.delete(device.id);
      // Unless its permission is just being decided: the owner sees it in the list then, and presses again.
      if (!receipt.ok && this.#allowing.has(device)) world.later(500, () => void this.#again(device));
      sim.trace(
        `cut ${device.name}: ${receipt.ok ? receipt.value.gateway.state : receipt.failure} after ${sim.scheduler.nowMs - nowMs} ms`,
      );
      return;
    }
    if (device.isWanted) return;
    world.oracle.cut.delete(device.id);
    world.later(500, () => void this.#again(device));
  }

  async #again(device: Device): Promise<void> {
    if (!device.isWanted) await this.cut(device);
  }
}
