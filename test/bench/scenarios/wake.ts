/** A room that sleeps: what its first message waits for, with few devices and with many. */
import { setTimeout as sleep } from "node:timers/promises";
import { closeSockets, echoOnce, openSocket, quantile } from "../load.ts";
import type { OpenSocket } from "../load.ts";
import { threadMs } from "../machine.ts";
import type { Fleet } from "../peers/peer.ts";
import type { Scenario } from "./scenario.ts";

const HIBERNATES_AFTER_MS = 12_000;
/** So often after a silence; so often taken out of memory by the bench, which leaves the machine warm. */
const [SILENCES, BY_BENCH] = [3, 30];
/** What still follows an echo is over by then. */
const SETTLED_MS = 20;
const DEVICES = [3, 300] as const;

interface Sleeper {
  readonly name: string;
  readonly fleet: Fleet;
  readonly socket: OpenSocket;
  readonly cpu: { readonly first: number[]; readonly next: number[] };
  readonly ms: { readonly silent: number[]; readonly first: number[]; readonly next: number[] };
}

async function trip({ socket }: Sleeper): Promise<number> {
  const startedAt = performance.now();
  await echoOnce(socket, "awake");
  return performance.now() - startedAt;
}

/** One round trip with what the relay's processor did for it. */
async function measured(sleeper: Sleeper, which: "first" | "next"): Promise<void> {
  const { fleet, cpu, ms } = sleeper;
  const before = threadMs(fleet.relayPids());
  ms[which].push(await trip(sleeper));
  await sleep(SETTLED_MS);
  const after = threadMs(fleet.relayPids());
  if (before !== null && after !== null) cpu[which].push((after - before) * 1000);
}

export const wake: Scenario = {
  name: "wake",
  about: `one socket on a room with ${DEVICES[0]} devices admitted, one on a room with ${DEVICES[1]}, a workerd each. "silent": after ${HIBERNATES_AFTER_MS / 1000} s without a message (the runtime takes an idle object out of memory after 10 s) the round trip of one, ${SILENCES} times; "woken": the same where the bench has just taken the room out of memory and left its sockets open, as the runtime does, ${BY_BENCH} times, and what workerd's thread ran for it; "awake": the same for the message after that one`,
  columns: Object.fromEntries(
    DEVICES.flatMap((count) => [`${count}: silent ms`, `${count}: woken ms`, `${count}: awake ms`, `${count}: woken CPU µs`, `${count}: awake CPU µs`]).map((name) => [name, name.endsWith("ms") ? 1 : 0]), // prettier-ignore
  ),
  maxRounds: 3,
  longestMs: 300_000,
  isFor: (peer) => peer.name.startsWith("Gatehouse"),
  run: async (peer) => {
    const sleepers: Sleeper[] = [];
    try {
      for (const count of DEVICES) {
        const fleet = await peer.fleet?.({ rooms: 1, devicesPerRoom: count });
        if (fleet === undefined) throw new Error("it has no rooms");
        const socket = await openSocket(fleet.target(0));
        sleepers.push({ name: String(count), fleet, socket, cpu: { first: [], next: [] }, ms: { silent: [], first: [], next: [] } });
      }
      for (let i = 0; i < BY_BENCH; i += 1)
        for (const sleeper of i % 2 === 0 ? sleepers : sleepers.toReversed()) {
          await sleeper.fleet.hibernate?.();
          await sleep(SETTLED_MS);
          await measured(sleeper, "first");
          await measured(sleeper, "next");
        }
      for (let i = 0; i < SILENCES; i += 1) {
        await sleep(HIBERNATES_AFTER_MS);
        for (const sleeper of i % 2 === 0 ? sleepers : sleepers.toReversed()) sleeper.ms.silent.push(await trip(sleeper));
      }
      return Object.fromEntries(
        sleepers.flatMap(({ name, cpu, ms }) => [
          [`${name}: silent ms`, quantile(ms.silent, 0.5)],
          [`${name}: woken ms`, quantile(ms.first, 0.5)],
          [`${name}: awake ms`, quantile(ms.next, 0.5)],
          [`${name}: woken CPU µs`, quantile(cpu.first, 0.5)],
          [`${name}: awake CPU µs`, quantile(cpu.next, 0.5)],
        ]),
      );
    } finally {
      await closeSockets(sleepers.map(({ socket }) => socket));
      for (const { fleet } of sleepers) await fleet.stop();
    }
  },
};
