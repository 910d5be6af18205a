/** One device takes all that a device may have: what another one notices (PROTOCOL.md IS). */
import { once } from "node:events";
import http from "node:http";
import { WebSocket } from "ws";
import { MAX_EXCHANGES_PER_DEVICE, MAX_STREAMS_PER_DEVICE } from "../../../src/protocol/limits.ts";
import { ECHO_PATH, SILENT_PATH } from "../../support/echo.ts";
import { closeSockets, echoOnce, openSocket, quantile } from "../load.ts";
import type { Target } from "../load.ts";
import type { Gatehouse } from "../peers/gatehouse.ts";
import type { OwnScenario } from "./scenario.ts";

const SOCKETS = MAX_STREAMS_PER_DEVICE - MAX_EXCHANGES_PER_DEVICE;
/** The gateway ends a handshake that says nothing after 15 s: what is measured beside them must be over before. */
const HELD_MS = 10_000;

const KINDS = ["GET", "round trip", "new socket", "handshake"] as const;
type Kind = (typeof KINDS)[number];
type Taken = Readonly<Record<Kind, number[]>>;

/** @returns the answer's head */
function get({ url, headers }: Target, path: string, agent?: http.Agent): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = http.get(new URL(path, url.replace("ws:", "http:")), { headers, ...(agent === undefined ? {} : { agent }) });
    request.on("response", resolve).on("error", reject);
  });
}

/** Upgrades where the stock page connects, and says nothing. @returns the socket, and when the challenge is here */
function handshake({ url, headers }: Target): { readonly ws: WebSocket; readonly challenged: Promise<unknown> } {
  const ws = new WebSocket(url.replace(ECHO_PATH, "/"), { headers: { ...headers }, perMessageDeflate: false });
  const challenged = new Promise((resolve, reject) => {
    ws.once("message", resolve).once("error", reject);
    ws.once("close", (code) => reject(new Error(`closed ${code} before the challenge`)));
  });
  // Of those that wait for their place, most never hear one.
  challenged.catch(() => undefined);
  return { ws, challenged };
}

/** Everything that the guest may have at once. @returns lets go of it */
async function hold(target: Target): Promise<() => void> {
  const exchanges: http.IncomingMessage[] = [];
  for (let i = 0; i < MAX_EXCHANGES_PER_DEVICE; i += 1) exchanges.push(await get(target, SILENT_PATH));
  if (exchanges.some(({ statusCode }) => statusCode !== 200)) throw new Error("an exchange was refused");
  const sockets = Array.from({ length: SOCKETS }, () => handshake(target));
  await sockets[0]?.challenged;
  return () => {
    for (const { ws } of sockets) ws.terminate();
    for (const exchange of exchanges) exchange.destroy();
  };
}

/** What the owner does, one after the other, until the time is over. */
async function take(target: Target, forMs: number): Promise<Taken> {
  const taken: Taken = { GET: [], "round trip": [], "new socket": [], handshake: [] };
  const timed = async (kind: Kind, work: () => Promise<unknown>): Promise<void> => {
    const startedAt = performance.now();
    await work();
    taken[kind].push(performance.now() - startedAt);
  };
  const agent = new http.Agent({ keepAlive: true });
  const socket = await openSocket(target);
  const endAt = performance.now() + forMs;
  while (performance.now() < endAt) {
    await timed("GET", async () => {
      const answer = await get(target, "/demo.js", agent);
      if (answer.statusCode !== 200) throw new Error(`the owner's GET was answered ${answer.statusCode}`);
      answer.resume();
      await once(answer, "end");
    });
    await timed("round trip", () => echoOnce(socket, "still here"));
    await timed("new socket", async () => closeSockets([await openSocket(target)]));
    await timed("handshake", async () => {
      const { ws, challenged } = handshake(target);
      await challenged;
      ws.terminate();
    });
  }
  await closeSockets([socket]);
  agent.destroy();
  return taken;
}

export const isolation: OwnScenario = {
  name: "isolation",
  about: `the owner's device asks for a file, makes a round trip, opens a socket and begins a handshake with the gateway, in turn, for ${HELD_MS / 1000} s each: alone twice, then while another device holds ${MAX_EXCHANGES_PER_DEVICE} silent exchanges and ${SOCKETS} silent handshakes, which is all that a device may have. Goal: p99 moves less than 50 ms`,
  longestMs: 120_000,
  run: async (own: Gatehouse, { isQuick }, note) => {
    const forMs = isQuick ? 1_000 : HELD_MS;
    const owner = own.targetOf(await own.admit());
    const guest = own.targetOf(await own.admit());
    await take(owner, forMs / 5);
    const alone = await take(owner, forMs);
    const again = await take(owner, forMs);
    const letGo = await hold(guest);
    const beside = await take(owner, forMs);
    letGo();
    const figures: Record<string, number | null> = {};
    for (const kind of KINDS)
      for (const [when, { [kind]: values }] of [["alone", alone], ["alone again", again], ["beside", beside]] as const)
        for (const share of [0.5, 0.99]) figures[`${kind} ${when} p${share * 100} ms`] = quantile(values, share); // prettier-ignore
    note(`${alone.GET.length}, ${again.GET.length} and ${beside.GET.length} turns`);
    return figures;
  },
};
