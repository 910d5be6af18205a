/** Thousands of sockets that open and close again: what stays in the memory of both sides. */
import { closeSockets, openSocket } from "../load.ts";
import { residentMib } from "../machine.ts";
import { each } from "../peers/peer.ts";
import type { Scenario } from "./scenario.ts";

const AT_ONCE = 20;
const REST_MS = 30_000;

export const churn: Scenario = {
  name: "churn",
  about: `sockets that open, hear the gateway's first message, make one round trip and close with 1000, ${AT_ONCE} at a time: 5,000, or 25,000 with --long. Resident memory before, after half of them, after all, and ${REST_MS / 1000} s later. Goal: connector at most 120 MiB after 25,000`,
  columns: {
    "sockets/s": 0,
    "relay MiB before": 0,
    "relay MiB half": 0,
    "relay MiB all": 0,
    "relay MiB rest": 0,
    "connector MiB before": 0,
    "connector MiB half": 0,
    "connector MiB all": 0,
    "connector MiB rest": 0,
  },
  longestMs: 600_000,
  maxRounds: 1,
  run: async (peer, { churns }) => {
    const figures: Record<string, number | null> = {};
    const look = (when: string): void => {
      figures[`relay MiB ${when}`] = residentMib(peer.relayPids());
      figures[`connector MiB ${when}`] = residentMib(peer.connectorPids());
    };
    const half = Math.floor(churns / 2);
    const some = (from: number, count: number): Promise<void> =>
      each(count, AT_ONCE, async (i) => closeSockets([await openSocket(peer.target(from + i))]));
    look("before");
    const startedAt = performance.now();
    await some(0, half);
    look("half");
    await some(half, churns - half);
    figures["sockets/s"] = (churns * 1000) / (performance.now() - startedAt);
    look("all");
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    look("rest");
    return figures;
  },
};
