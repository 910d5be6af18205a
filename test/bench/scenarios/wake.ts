/** A room that sleeps: what its first message waits for. */
import { setTimeout as sleep } from "node:timers/promises";
import { closeSockets, echoOnce, openSocket, quantile } from "../load.ts";
import type { OwnScenario } from "./scenario.ts";

const HIBERNATES_AFTER_MS = 12_000;
const WAKES = 3;

export const wake: OwnScenario = {
  name: "wake",
  about: `a socket is silent for ${HIBERNATES_AFTER_MS / 1000} s (the runtime takes an idle object out of memory after 10 s), then one message: its round trip, beside that of the next one`,
  longestMs: 90_000,
  run: async (own) => {
    const socket = await openSocket(own.target(0));
    const [first, next]: [number[], number[]] = [[], []];
    for (let i = 0; i < WAKES; i += 1) {
      await sleep(HIBERNATES_AFTER_MS);
      for (const values of [first, next]) {
        const startedAt = performance.now();
        await echoOnce(socket, "awake");
        values.push(performance.now() - startedAt);
      }
    }
    await closeSockets([socket]);
    return { "first p50 ms": quantile(first, 0.5), "first max ms": quantile(first, 1), "next p50 ms": quantile(next, 0.5) };
  },
};
