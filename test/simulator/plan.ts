/** What happens in a run: drawn from the seed before it begins, so that a run can be replayed with some of it left out. */
import { Random } from "./random.ts";
import type { Sent } from "./visits.ts";
import type { HttpScript } from "./http-visit.ts";

/** One thing that happens, `atMs` after the start; `forMs`: how long it lasts. */
export type Step =
  | { readonly do: "talk"; readonly device: number; readonly up: readonly Sent[]; readonly down: readonly Sent[]; readonly gapMs: number; readonly end: "browser" | "gateway" | "none" }
  | { readonly do: "fetch"; readonly device: number; readonly script: HttpScript; readonly paceMs: number }
  | { readonly do: "cut" | "allow" | "host-cut"; readonly device: number }
  | { readonly do: "room-sleeps" | "room-crashes" | "connector-killed" | "connector-moves" | "rogue-open" | "wrong-account" }
  /** `isNoticed`: the platform ends the old instance at its next event, or when it touches storage; else it goes on to the end of `forMs`. */
  | { readonly do: "room-stale"; readonly forMs: number; readonly isNoticed: boolean }
  | { readonly do: "link-down" | "link-half-open" | "link-slow" | "connector-stopped" | "disk-full" | "gateway-down" | "gateway-unsafe" | "d1-down" | "inbox-down"; readonly forMs: number }
  | { readonly do: "link-cut" }
  /** A gateway that sends more than a room may hold to a browser that reads nothing. */
  | { readonly do: "flood"; readonly device: number; readonly messages: number; readonly forMs: number }
  | { readonly do: "power-cut"; readonly calls: number; readonly forMs: number }
  | { readonly do: "browser-cut" | "browser-half-open"; readonly device: number }
  | { readonly do: "browser-frozen" | "gateway-frozen"; readonly device: number; readonly forMs: number }; // prettier-ignore

export type Timed = Step & { readonly atMs: number };

export interface Plan {
  readonly devices: number;
  readonly hasStranger: boolean;
  readonly steps: readonly Timed[];
}

/** Faults end by then; what is asked of the world afterwards is that it comes back. */
export const FAULTS_END_MS = 90_000;
const KIB = 1024;

function sizes(random: Random, isLarge: boolean): Sent[] {
  const count = random.weighted([
    [random.int(1, 6), 6],
    [random.int(6, 30), 2],
  ] as const);
  return Array.from({ length: count }, () => ({
    isText: random.chance(0.6),
    bytes: random.weighted([
      [random.int(20, 400), 12],
      [random.int(1_000, 60_000), 3],
      [65_528, 1],
      [random.int(65_529, 300_000), 1],
      [isLarge ? random.int(1, 9) * KIB * KIB : random.int(100, 2_000), 1],
    ] as const),
  }));
}

/** @returns the plan of a seed, always the same */
export function planOf(seed: number): Plan {
  const random = new Random(seed, "plan");
  const devices = random.int(1, 3);
  const isLarge = random.chance(0.04);
  const steps: Timed[] = [];
  const device = (): number => random.int(0, devices - 1);
  const when = (): number => random.int(1_000, FAULTS_END_MS - 30_000);
  const faults = random.weighted([
    [random.int(1, 4), 3],
    [random.int(4, 12), 2],
    [0, 1],
  ] as const);
  for (let i = 0; i < random.int(2, 7); i += 1)
    steps.push({ do: "talk", atMs: when(), device: device(), up: sizes(random, isLarge), down: sizes(random, isLarge), gapMs: random.pick([0, 0, 5, 120, 1_500]), end: random.pick(["browser", "gateway", "none", "none"] as const) }); // prettier-ignore
  // Asleep in the middle of what was just begun.
  for (const step of steps.slice()) if (random.chance(0.2)) steps.push({ do: "room-sleeps", atMs: step.atMs + random.int(105, 400) });
  const body = (): number[] => Array.from({ length: random.int(0, 8) }, () => random.pick([10, 900, 16_384, 65_528, 120_000]));
  for (let i = 0; i < random.int(0, 3); i += 1) {
    const script = { uploadBytes: random.chance(0.5) ? body() : [], downloadBytes: body(), gapMs: random.pick([0, 3, 200, 900]), hasLength: random.chance(0.5), how: random.pick(["plain", "plain", "early", "broken", "leave"] as const) }; // prettier-ignore
    steps.push({ do: "fetch", atMs: when(), device: device(), script, paceMs: random.pick([0, 0, 2, 150]) });
  }
  for (let i = 0; i < faults; i += 1) {
    const atMs = when();
    const forMs = random.weighted([
      [random.int(50, 3_000), 3],
      [random.int(3_000, 28_000), 2],
    ] as const);
    const kind = random.weighted([
      ["room-sleeps", 8], ["room-crashes", 4], ["room-stale", 2], ["connector-killed", 3], ["connector-stopped", 2], ["connector-moves", 1], ["power-cut", 3],
      ["link-cut", 3], ["link-down", 2], ["link-half-open", 3], ["link-slow", 2], ["gateway-down", 2], ["gateway-unsafe", 1], ["d1-down", 2], ["inbox-down", 1],
      ["disk-full", 1], ["browser-cut", 2], ["browser-half-open", 1], ["browser-frozen", 2], ["gateway-frozen", 2], ["cut", 4], ["allow", 3], ["host-cut", 1],
      ["rogue-open", 1], ["wrong-account", 1],
    ] as const); // prettier-ignore
    switch (kind) {
      case "cut":
      case "allow":
      case "host-cut":
      case "browser-cut":
      case "browser-half-open":
        steps.push({ do: kind, atMs, device: device() });
        break;
      case "browser-frozen":
      case "gateway-frozen":
        steps.push({ do: kind, atMs, device: device(), forMs });
        break;
      case "power-cut":
        steps.push({ do: kind, atMs, calls: random.int(1, 24), forMs });
        break;
      case "room-sleeps":
        // More than once: what one wake forgets, the next may miss.
        for (let each = 0; each < random.int(1, 4); each += 1) steps.push({ do: kind, atMs: atMs + each * random.int(1, 2_000) });
        if (random.chance(0.3)) steps.push({ do: "browser-cut", atMs: atMs + random.int(5, 60), device: device() });
        break;
      case "room-crashes":
      case "connector-killed":
      case "connector-moves":
      case "rogue-open":
      case "wrong-account":
      case "link-cut":
        steps.push({ do: kind, atMs });
        break;
      case "room-stale":
        steps.push({ do: kind, atMs, forMs, isNoticed: forMs % 2 === 0 });
        break;
      default:
        steps.push({ do: kind, atMs, forMs });
    }
  }
  if (random.chance(0.015)) steps.push({ do: "flood", atMs: when(), device: device(), messages: 40, forMs: random.int(4_000, 25_000) });
  return { devices, hasStranger: random.chance(0.3), steps: steps.toSorted((a, b) => a.atMs - b.atMs) };
}
