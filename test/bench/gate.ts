/**
 * The regression gate of `npm test`: Gatehouse beside a minimal mux object, same client and gateway, in turns. Only ratios of one run are judged, against
 * limits that nothing but a real regression crosses (README.md, "The gate"). Needs a build in dist/.
 */
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { start } from "../../scripts/children.ts";
import { freePort } from "../../scripts/control-plane.ts";
import { gatehouse } from "./peers/gatehouse.ts";
import { muxObject } from "./peers/others.ts";
import type { Peer } from "./peers/peer.ts";
import { LIMITS, judge } from "./ratios.ts";
import type { Limit } from "./ratios.ts";
import { SCENARIOS } from "./scenarios.ts";
import type { Pace } from "./scenarios.ts";

const TOKEN = "token-of-the-gate-gateway";
const ROUNDS = 5;
const TRIES = 2;
const PACE: Pace = { warmUpMs: 150, measureMs: 350, openCount: 0, cuts: 0, kills: 0 };

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** @returns the ratio of each round */
async function ratios({ scenario: name, column }: Limit, own: Peer, mux: Peer): Promise<number[]> {
  const scenario = SCENARIOS.find((each) => each.name === name);
  if (scenario === undefined) throw new Error(`no scenario "${name}"`);
  const found: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const [a, b] = [(await scenario.run(mux, PACE))[column], (await scenario.run(own, PACE))[column]];
    if (typeof a !== "number" || typeof b !== "number" || a === 0) throw new Error(`${name}: nothing was measured`);
    found.push(b / a);
  }
  return found;
}

async function main(stops: (() => Promise<unknown>)[]): Promise<boolean> {
  const dir = await mkdtemp(path.join(os.tmpdir(), "gatehouse-gate-"));
  stops.push(() => rm(dir, { recursive: true, force: true }));
  const port = await freePort();
  const args = [path.join(import.meta.dirname, "stub-gateway.ts"), String(port)];
  const gateway = start({ args, env: { ...process.env, OPENCLAW_GATEWAY_TOKEN: TOKEN } });
  stops.push(() => gateway.stop());
  await gateway.line((line) => line.startsWith("Stub gateway"), "The stub gateway");
  const mux = await muxObject(port, dir);
  stops.push(() => mux.stop());
  const own = await gatehouse({ gatewayPort: port, token: TOKEN, dir, devices: 1 });
  stops.push(() => own.stop());
  let isGood = true;
  for (const limit of LIMITS) {
    let isWithin = false;
    // A second look: what the machine did meanwhile is not ours, what we do is there again.
    for (let tries = 0; tries < TRIES && !isWithin; tries += 1) {
      const { median, isWithin: holds } = judge(await ratios(limit, own, mux), limit);
      isWithin = holds;
      const text = `${limit.scenario}, ${limit.column}: ${median.toFixed(2)} x mux object, ${limit.isMoreBetter ? "at least" : "at most"} ${limit.limit}`;
      say(`${isWithin ? "ok" : tries + 1 < TRIES ? "again" : "FAILED"}  ${text}`);
    }
    isGood &&= isWithin;
  }
  return isGood;
}

const stops: (() => Promise<unknown>)[] = [];
let code = 1;
try {
  code = (await main(stops)) ? 0 : 1;
} catch (error) {
  say(`FAILED  ${error instanceof Error ? error.message : String(error)}`);
}
for (const stop of stops.toReversed()) await stop().catch(() => undefined);
process.exit(code);
