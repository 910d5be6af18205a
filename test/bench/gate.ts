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
import { SCENARIOS } from "./scenarios/all.ts";
import { QUICK_PACE } from "./scenarios/scenario.ts";
import type { Figures, Pace, Scenario } from "./scenarios/scenario.ts";

const TOKEN = "token-of-the-gate-gateway";
const ROUNDS = 5;
const TRIES = 2;
const PACE: Pace = { ...QUICK_PACE, warmUpMs: 150, measureMs: 350 };

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

interface Round {
  readonly own: Figures;
  readonly mux: Figures;
}

async function measure(scenario: Scenario, own: Peer, mux: Peer): Promise<Round[]> {
  const rounds: Round[] = [];
  for (let round = 0; round < ROUNDS; round += 1)
    rounds.push({ mux: await scenario.run(mux, PACE, say), own: await scenario.run(own, PACE, say) });
  return rounds;
}

/** @returns the ratio of each round; none for what this system does not tell */
function ratios(rounds: readonly Round[], column: string): number[] {
  return rounds.flatMap(({ own, mux }) => {
    const [a, b] = [own[column], mux[column]];
    return typeof a === "number" && typeof b === "number" && b > 0 ? [a / b] : [];
  });
}

/** @returns whether every limit of the scenario holds; says each one's figure */
function holds(limits: readonly Limit[], rounds: readonly Round[], isLast: boolean): boolean {
  let isGood = true;
  for (const limit of limits) {
    const found = ratios(rounds, limit.column);
    if (found.length === 0 && limit.column.includes("CPU")) {
      say(`-      ${limit.scenario}, ${limit.column}: this system does not tell`);
      continue;
    }
    const { median, isWithin } = judge(found, limit);
    const word = isWithin ? "ok    " : isLast ? "FAILED" : "again ";
    say(
      `${word} ${limit.scenario}, ${limit.column}: ${median.toFixed(2)} x mux object, ${limit.isMoreBetter ? "at least" : "at most"} ${limit.limit}`,
    );
    isGood &&= isWithin;
  }
  return isGood;
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
  for (const scenario of SCENARIOS) {
    const limits = LIMITS.filter((limit) => limit.scenario === scenario.name);
    if (limits.length === 0) continue;
    let isWithin = false;
    // A second look: what the machine did meanwhile is not ours, what we do is there again.
    for (let tries = 1; tries <= TRIES && !isWithin; tries += 1)
      isWithin = holds(limits, await measure(scenario, own, mux), tries === TRIES);
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
