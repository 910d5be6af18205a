/** What is measured. Each scenario takes one peer and gives numbers under names; how often and in which order is run.ts's business. */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { FRAME_HEADER_BYTES } from "../../src/protocol/limits.ts";
import { burst, ticks } from "../support/echo.ts";
import { GatewayClient, newKey } from "../support/gateway-client.ts";
import { Load, closeSockets, echoOnce, openSocket, openSockets, quantile } from "./load.ts";
import type { LoadShape, OpenSocket } from "./load.ts";
import { cpuMs, residentMib } from "./machine.ts";
import type { Gatehouse } from "./peers/gatehouse.ts";
import type { Peer } from "./peers/peer.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

export interface Pace {
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Sockets of the scenario "open". */
  readonly openCount: number;
  /** Devices that the scenario "cut" uses up, in all. */
  readonly cuts: number;
  readonly kills: number;
}

/** Numbers by column; null where it could not be told. */
export type Figures = Readonly<Record<string, number | null>>;

export interface Scenario {
  readonly name: string;
  readonly about: string;
  /** Columns with the digits to show; the first one is compared between peers. */
  readonly columns: Readonly<Record<string, number>>;
  /** Whether more of the first column is better. */
  readonly isMoreBetter: boolean;
  readonly run: (peer: Peer, pace: Pace) => Promise<Figures>;
}

/** What only Gatehouse can do: the other peers know no devices. Each runs once, with many repetitions inside. */
export interface OwnScenario {
  readonly name: string;
  readonly about: string;
  readonly run: (own: Gatehouse, pace: Pace) => Promise<{ readonly figures: Figures; readonly notes: readonly string[] }>;
}

async function underLoad(peer: Peer, pace: Pace, clients: number, shape: LoadShape) {
  const sockets = await openSockets(clients, 16, (socket) => peer.target(socket));
  const load = new Load(sockets, shape);
  await load.measure(pace.warmUpMs);
  const before = { relay: cpuMs(peer.relayPids()), connector: cpuMs(peer.connectorPids()) };
  const result = await load.measure(pace.measureMs);
  const trips = result.latenciesMs.length;
  const each = (used: number | null, from: number | null): number | null =>
    used === null || from === null ? null : ((used - from) * 1000) / trips;
  const cost = { relay: each(cpuMs(peer.relayPids()), before.relay), connector: each(cpuMs(peer.connectorPids()), before.connector) };
  await load.stop();
  await closeSockets(sockets);
  return { ...result, cost };
}

/** Microseconds of CPU that one round trip costs each side: what other programs take of the machine moves it least. */
const COST = { "relay CPU µs": 0, "connector CPU µs": 0 } as const;

function trips(name: string, about: string, clients: number, shape: LoadShape): Scenario {
  return {
    name,
    about,
    columns: { "p50 ms": 3, "p99 ms": 3, "trips/s": 0, ...COST },
    isMoreBetter: false,
    run: async (peer, pace) => {
      const { tripsPerS, latenciesMs, cost } = await underLoad(peer, pace, clients, shape);
      const times = { "p50 ms": quantile(latenciesMs, 0.5), "p99 ms": quantile(latenciesMs, 0.99), "trips/s": tripsPerS };
      return { ...times, "relay CPU µs": cost.relay, "connector CPU µs": cost.connector };
    },
  };
}

function bulk(name: string, bytes: number, inFlight: number): Scenario {
  return {
    name,
    about: `1 client, ${inFlight} in flight, messages of ${bytes.toLocaleString("en-US")} bytes, echoed: MB/s in each direction at the same time`,
    columns: { "MB/s each way": 0, "p50 ms": 2, ...COST },
    isMoreBetter: true,
    run: async (peer, pace) => {
      const { tripsPerS, latenciesMs, cost } = await underLoad(peer, pace, 1, { inFlight, bytes });
      const figures = { "MB/s each way": (tripsPerS * bytes) / 1e6, "p50 ms": quantile(latenciesMs, 0.5) };
      return { ...figures, "relay CPU µs": cost.relay, "connector CPU µs": cost.connector };
    },
  };
}

const throughput: Scenario = {
  ...trips("pipelined", "4 clients, 32 messages of 4 KiB in flight each", 4, { inFlight: 32, bytes: 4 * KIB }),
  columns: { "trips/s": 0, "p99 ms": 2, ...COST },
  isMoreBetter: true,
};

const open: Scenario = {
  name: "open",
  about: "sockets opened 20 at a time, each with the gateway's first message and one echo; resident memory while all are open",
  columns: { "opens/s": 0, "relay MiB": 0, "connector MiB": 0, "KiB each": 1 },
  isMoreBetter: true,
  run: async (peer, { openCount }) => {
    const before = residentMib([...peer.relayPids(), ...peer.connectorPids()]);
    const startedAt = performance.now();
    const sockets = await openSockets(openCount, 20, (socket) => peer.target(socket));
    const tookMs = performance.now() - startedAt;
    const relay = residentMib(peer.relayPids());
    const connector = residentMib(peer.connectorPids());
    await closeSockets(sockets);
    const each = before === null || relay === null ? null : ((relay + (connector ?? 0) - before) * KIB) / openCount;
    return { "opens/s": (openCount * 1000) / tookMs, "relay MiB": relay, "connector MiB": connector, "KiB each": each };
  },
};

const BURST_MESSAGES = 400;
const BURST_BYTES = 64 * KIB;
const NEIGHBOURS = 10;
const STALL_WATCH_MS = 14_000;

/** @returns how many whole messages came, in order from the first */
function countBurst({ ws }: OpenSocket): () => number {
  let count = 0;
  ws.on("message", (data: Buffer, isBinary: boolean) => {
    if (!isBinary) return;
    if (data.readUInt32BE() !== count) throw new Error(`message ${data.readUInt32BE()} came in the place of ${count}`);
    count += 1;
  });
  return () => count;
}

const slowReader: Scenario = {
  name: "slow-reader",
  about: `one client stops reading while the gateway sends it ${(BURST_MESSAGES * BURST_BYTES) / MIB} MiB in ${BURST_BYTES / KIB} KiB messages; ${NEIGHBOURS} neighbours go on. What closed the reader is its close code, 0 when all arrived late`,
  columns: { "p99 ms before": 2, "p99 ms during": 2, "closed with": 0, "messages read": 0 },
  isMoreBetter: false,
  run: async (peer, pace) => {
    const neighbours = await openSockets(NEIGHBOURS, NEIGHBOURS, (socket) => peer.target(socket + 1));
    const reader = await openSocket(peer.target(0));
    const load = new Load(neighbours, { inFlight: 1, bytes: 128 });
    await load.measure(pace.warmUpMs);
    const before = await load.measure(pace.measureMs);
    const count = countBurst(reader);
    reader.ws.pause();
    reader.ws.send(burst(BURST_MESSAGES, BURST_BYTES));
    const during = await load.measure(STALL_WATCH_MS);
    reader.ws.resume();
    const ended = await Promise.race([reader.closed, untilCount(count, BURST_MESSAGES).then(() => null)]);
    await load.stop();
    await closeSockets(ended === null ? [reader, ...neighbours] : neighbours);
    return {
      "p99 ms before": quantile(before.latenciesMs, 0.99),
      "p99 ms during": quantile(during.latenciesMs, 0.99),
      "closed with": ended?.code ?? 0,
      "messages read": count(),
    };
  },
};

async function untilCount(count: () => number, wanted: number): Promise<void> {
  while (count() < wanted) await sleep(20);
}

export const SCENARIOS: readonly Scenario[] = [
  trips("round-trip", "1 client, 128 B, one message in flight", 1, { inFlight: 1, bytes: 128 }),
  trips("fifty", "50 clients at once, 128 B, one in flight each", 50, { inFlight: 1, bytes: 128 }),
  throughput,
  bulk("64 KiB frames", 64 * KIB - FRAME_HEADER_BYTES, 4),
  bulk("64 KiB", 64 * KIB, 4),
  bulk("1 MiB", MIB, 2),
  open,
  slowReader,
  // Last: what has no pieces may lose its link over it.
  bulk("20 MiB", 20 * MIB, 1),
];

// --- Gatehouse alone -------------------------------------------------------------------------------------------------------------

const LOADED = 20;

const cut: OwnScenario = {
  name: "cut",
  about: `Cut now on a device that gets a message every millisecond, beside ${LOADED} others under full load: from the owner's request to the last frame that still reached the device, to its close, and to the answer with the receipt`,
  run: async (own, { cuts }) => {
    const neighbours = await openSockets(LOADED, LOADED, (socket) => own.target(socket));
    const load = new Load(neighbours, { inFlight: 1, bytes: 128 });
    const [lastFrame, closed, answered, edge]: number[][] = [[], [], [], []];
    const codes = new Set<number>();
    for (let i = 0; i < cuts; i += 1) {
      const device = await own.admit();
      const socket = await openSocket(own.targetOf(device));
      let lastAt = 0;
      socket.ws.on("message", () => {
        lastAt = performance.now();
      });
      const isTicking = once(socket.ws, "message");
      socket.ws.send(ticks(1));
      await isTicking;
      await sleep(20);
      const startedAt = performance.now();
      const answer = own.person.cut(own.gateway, device.id).then((receipt) => ({ receipt, atMs: performance.now() }));
      const [{ receipt, atMs }, end] = await Promise.all([answer, socket.closed]);
      lastFrame?.push(Math.max(0, lastAt - startedAt));
      closed?.push(end.atMs - startedAt);
      answered?.push(atMs - startedAt);
      edge?.push(receipt.edge.tookMs);
      codes.add(end.code);
    }
    await load.stop();
    await closeSockets(neighbours);
    const spread = (name: string, values: readonly number[] = []): Figures => ({
      [`${name} p50 ms`]: quantile(values, 0.5),
      [`${name} p99 ms`]: quantile(values, 0.99),
    });
    return {
      figures: {
        cuts,
        ...spread("last frame", lastFrame),
        ...spread("closed", closed),
        ...spread("receipt", answered),
        ...spread("in the room", edge),
      },
      notes: [`closed with ${[...codes].join(", ")}`],
    };
  },
};

const RUNS_OF_TOKENS = 50;
/** A device that came through the room, for the demo gateway; a public address that is nobody's. */
const CONTROL = {
  client: { id: "gateway-client", mode: "backend" },
  scopes: ["operator.pairing", "operator.admin", "operator.read"],
} as const;

const cutToken: OwnScenario = {
  name: "cut-token",
  about: `Cut now on a device whose page is connected and paired through the room, beside ${LOADED} others under full load: from the owner's request to the last frame that still reached it, and to the gateway's first refusal of its own device token, tried over and over on a path that Gatehouse does not see; goals p99 100 ms and 1 s`,
  run: async (own, { cuts }) => {
    const runs = Math.min(cuts, RUNS_OF_TOKENS);
    const neighbours = await openSockets(LOADED, LOADED, (socket) => own.target(socket));
    const load = new Load(neighbours, { inFlight: 1, bytes: 128 });
    const control = await GatewayClient.dial(own.gatewayPort);
    await control.connect({ ...CONTROL, auth: { token: own.token } });
    const [lastFrame, dead, answered, gap]: [number[], number[], number[], number[]] = [[], [], [], []];
    let signed = 0;
    for (let i = 0; i < runs; i += 1) {
      const device = await own.admit();
      const key = newKey();
      const first = await GatewayClient.dial(own.control.port, device.headers);
      // The connector adds the secret, sees the pairing request and approves it; the next try is connected, as the stock page's is.
      await first.connect({ key, scopes: ["operator.read"], auth: {} });
      await first.closed;
      let page = first;
      let token = "";
      while (token === "") {
        page = await GatewayClient.dial(own.control.port, device.headers);
        const hello = await page.connect({ key, scopes: ["operator.read"], auth: {} });
        const auth = hello.payload?.["auth"] as { deviceToken?: string } | undefined;
        token = auth?.deviceToken ?? "";
        if (token === "") await page.closed;
      }
      const ticker = await openSocket(own.targetOf(device));
      let lastAt = 0;
      ticker.ws.on("message", () => {
        lastAt = performance.now();
      });
      const isTicking = once(ticker.ws, "message");
      ticker.ws.send(ticks(1));
      await isTicking;
      let deadAt: number | null = null;
      let triedAt = performance.now();
      const origin = String(device.headers["origin"]);
      const direct = { origin, "x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https", "x-forwarded-host": new URL(origin).host };
      const trying = (async () => {
        while (deadAt === null) {
          const client = await GatewayClient.dial(own.gatewayPort, direct);
          const answer = await client.connect({ key, scopes: ["operator.read"], auth: { deviceToken: token } });
          const nowMs = performance.now();
          if (answer.error === undefined) {
            client.close();
            triedAt = nowMs;
            continue;
          }
          deadAt = nowMs;
          gap.push(nowMs - triedAt);
        }
        return deadAt;
      })();
      await sleep(20);
      const startedAt = performance.now();
      const answer = own.person.cut(own.gateway, device.id).then((receipt) => ({ receipt, atMs: performance.now() }));
      const [{ receipt, atMs }, ended] = await Promise.all([answer, trying, ticker.closed]);
      lastFrame.push(Math.max(0, lastAt - startedAt));
      dead.push(ended - startedAt);
      answered.push(atMs - startedAt);
      if (receipt.isSigned && receipt.gateway.state === "done") signed += 1;
    }
    control.close();
    await load.stop();
    await closeSockets(neighbours);
    const spread = (name: string, values: readonly number[]): Figures => ({
      [`${name} p50 ms`]: quantile(values, 0.5),
      [`${name} p99 ms`]: quantile(values, 0.99),
    });
    return {
      figures: {
        runs,
        ...spread("last frame", lastFrame),
        ...spread("gateway token dead", dead),
        ...spread("signed receipt", answered),
        ...spread("between two tries", gap),
      },
      notes: [`${signed} of ${runs} receipts signed and done with the answer`],
    };
  },
};

const killed: OwnScenario = {
  name: "kill-connector",
  about: `the connector is killed under load of ${LOADED} sockets and started again at once: until every socket has ended, and until the first new one echoes`,
  run: async (own, { kills }) => {
    const [ended, back]: number[][] = [[], []];
    const reasons = new Set<string>();
    for (let i = 0; i < kills; i += 1) {
      const sockets = await openSockets(LOADED, LOADED, (socket) => own.target(socket));
      const load = new Load(sockets, { inFlight: 1, bytes: 128 });
      load.measure(60_000).catch(() => undefined);
      await sleep(500);
      const startedAt = performance.now();
      await own.killConnector();
      own.startConnector();
      for (const each of await Promise.all(sockets.map(({ closed }) => closed))) {
        ended?.push(each.atMs - startedAt);
        reasons.add(`${each.code} ${each.reason}`);
      }
      for (;;) {
        const socket = await openSocket(own.target(0)).catch(() => null);
        if (socket === null) {
          await sleep(20);
          continue;
        }
        back?.push(performance.now() - startedAt);
        await closeSockets([socket]);
        break;
      }
    }
    const figures = {
      kills,
      "ended p50 ms": quantile(ended ?? [], 0.5),
      "ended max ms": quantile(ended ?? [], 1),
      "back p50 ms": quantile(back ?? [], 0.5),
      "back max ms": quantile(back ?? [], 1),
    };
    return { figures, notes: [`closed with ${[...reasons].join(", ")}`] };
  },
};

const HIBERNATES_AFTER_MS = 12_000;
const WAKES = 3;

const wake: OwnScenario = {
  name: "wake",
  about: `a socket is silent for ${HIBERNATES_AFTER_MS / 1000} s (the runtime takes an idle object out of memory after 10 s), then one message: its round trip, beside that of the next one`,
  run: async (own) => {
    const socket = await openSocket(own.target(0));
    const [first, next]: number[][] = [[], []];
    for (let i = 0; i < WAKES; i += 1) {
      await sleep(HIBERNATES_AFTER_MS);
      for (const values of [first, next]) {
        const startedAt = performance.now();
        await echoOnce(socket, "awake");
        values?.push(performance.now() - startedAt);
      }
    }
    await closeSockets([socket]);
    return {
      figures: {
        "first p50 ms": quantile(first ?? [], 0.5),
        "first max ms": quantile(first ?? [], 1),
        "next p50 ms": quantile(next ?? [], 0.5),
      },
      notes: [],
    };
  },
};

const LISTS = 300;

const api: OwnScenario = {
  name: "api",
  about: `${LISTS} times each over HTTP: the list of what waits for a decision, and the list of gateways; and how long admitting one device took at the start`,
  run: async (own) => {
    const figures: Record<string, number | null> = {};
    for (const [name, path] of [
      ["approvals", "/api/requests"],
      ["gateways", "/api/gateways"],
    ] as const) {
      const values: number[] = [];
      for (let i = 0; i < LISTS; i += 1) {
        const startedAt = performance.now();
        await own.person.get(path);
        values.push(performance.now() - startedAt);
      }
      figures[`${name} p50 ms`] = quantile(values, 0.5);
      figures[`${name} p99 ms`] = quantile(values, 0.99);
    }
    figures["admission p50 ms"] = quantile(own.admissionsMs, 0.5);
    figures["admission p99 ms"] = quantile(own.admissionsMs, 0.99);
    return { figures, notes: [`${own.admissionsMs.length} devices admitted on this gateway`] };
  },
};

export const OWN_SCENARIOS: readonly OwnScenario[] = [cut, cutToken, killed, wake, api];
