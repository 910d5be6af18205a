/** A room's old instance that still runs while a new one has begun (fault case 12): the model of it, and what room and connector make of it. */
import { expect, test } from "vitest";
import { loadSimulator } from "./build.ts";
import { SimRequest, SimResponse } from "./http-bodies.ts";
import { Oracle } from "./oracle.ts";
import type { Plan, Timed } from "./plan.ts";
import { planOf } from "./plan.ts";
import type { RoomPort } from "./ports.ts";
import { RoomHost } from "./room-host.ts";
import { Sim, setSim, sim } from "./sim.ts";

const SEEDS = 25;
const A_SECOND_MS = 1_000;
const simulator = await loadSimulator();

/** The seed's own conversations with nothing else, and an old instance where devices are let in, use what they have, and are cut. */
function planWith(seed: number, isNoticed: boolean): Plan {
  const { steps } = planOf(seed);
  const atMs = [1_500 + 131 * seed, 9_000 + 97 * seed, 24_000 + 3 * seed, 45_000];
  const stale: Timed[] = atMs.map((each) => ({ do: "room-stale", atMs: each, forMs: 6_000, isNoticed }));
  const others: Timed[] = [
    { do: "cut", atMs: 24_000, device: 0 },
    { do: "allow", atMs: 46_000, device: 0 },
  ];
  const kept = steps.filter((step) => step.do === "talk" || step.do === "fetch");
  return { devices: 3, hasStranger: true, steps: [...kept, ...stale, ...others].toSorted((a, b) => a.atMs - b.atMs) };
}

test.each([
  ["goes on with what still reaches it until it is ended", false],
  ["is ended by the platform at its next event or use of storage", true],
])("[case 12] an old instance of the room that %s lets nobody in, and all are back on the new one", async (_how, isNoticed) => {
  let ended = 0;
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { violation, lines } = await simulator.run({ seed, plan: planWith(seed, isNoticed), isVerbose: true });
    expect(violation, `seed ${seed}`).toBe(null);
    ended += lines?.filter((line) => line.endsWith("stale room instance ends")).length ?? 0;
  }
  expect(ended).toBeGreaterThan(SEEDS);
});

interface Storage {
  readonly sql: { exec(query: string): { toArray(): unknown[] } };
}

/** A room whose requests write a row each, and say how many there are. */
class Counting {
  readonly #storage: Storage;
  constructor(ctx: { readonly storage: Storage }) {
    this.#storage = ctx.storage;
    this.#storage.sql.exec("CREATE TABLE IF NOT EXISTS counted (n INTEGER)");
  }

  async fetch(): Promise<SimResponse> {
    this.#storage.sql.exec("INSERT INTO counted (n) VALUES (1)");
    return SimResponse.json(this.#storage.sql.exec("SELECT n FROM counted").toArray().length);
  }
}

const later = (ms: number): Promise<void> => sim.scheduler.run(sim.scheduler.nowMs + ms, () => false);

function counting(): { readonly host: RoomHost; readonly ask: () => Promise<string | null> } {
  setSim(new Sim(1, false));
  const host = new RoomHost((ctx) => new Counting(ctx as { storage: Storage }) as unknown as RoomPort, {}, new Oracle());
  return { host, ask: async () => (await host.fetch(new SimRequest("http://room/")).answer)?.text ?? null };
}

test("[case 12] what an old instance had not on disk is not there for the new one, and its answer never leaves", async () => {
  const { host, ask } = counting();
  const first = ask();
  await later(A_SECOND_MS);
  expect(await first).toBe("1");
  const second = ask();
  const old = host.makeStale(false);
  expect(old?.isBroken).toBe(true);
  const third = ask();
  await later(A_SECOND_MS);
  expect(await second).toBe(null);
  expect(await third).toBe("2");
  expect(old?.actor.isDead).toBe(true);
  expect(host.stale).toBe(null);
});

test("[case 12] an old instance that had everything on disk uses no storage any more, and ends with the first try", async () => {
  const { host, ask } = counting();
  const first = ask();
  await later(A_SECOND_MS);
  await first;
  const old = host.makeStale(true);
  expect(old?.isBroken).toBe(false);
  const work = host.call((room) => room.fetch({} as never), old ?? undefined);
  await later(A_SECOND_MS);
  // It was told no, and the platform has ended it.
  expect(await work).toBe(null);
  expect(old?.actor.isDead).toBe(true);
  const again = ask();
  await later(A_SECOND_MS);
  expect(await again).toBe("2");
  expect(sim.violations).toEqual([]);
});
