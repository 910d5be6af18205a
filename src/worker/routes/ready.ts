/** `/readyz`: whether this deployment can serve, and by code what stands in the way (PROTOCOL.md OP2). */
import { READY_KEPT_MS, READY_PATIENCE_MS } from "../../protocol/limits.ts";
import { configProblem } from "../config.ts";
import { newestMigration } from "../db/migration-queries.ts";
import type { Env } from "../env.ts";
import { VERSION } from "../version.ts";

/** File name of the newest migration that this build needs, written in by scripts/build.ts. */
declare const NEWEST_MIGRATION: string | undefined;

/** No gateway's name: those have 23 characters. */
const READY_ROOM = "readyz";

type Check = readonly [code: string, isFine: () => Promise<boolean>];

function checks(env: Env): readonly Check[] {
  return [
    ["database-away", async () => (await newestMigration(env.DB)) !== undefined],
    ["database-behind", async () => typeof NEWEST_MIGRATION !== "string" || ((await newestMigration(env.DB)) ?? "") >= NEWEST_MIGRATION],
    ["room-away", async () => (await env.ROOM.getByName(READY_ROOM).fetch("http://room/")).status === 404],
    ["pages-missing", async () => (await env.ASSETS.fetch("http://pages/approve/")).ok],
  ];
}

/** @returns whether the check passed; one that fails or takes too long did not */
async function passes(isFine: Check[1]): Promise<boolean> {
  const late = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), READY_PATIENCE_MS));
  return Promise.race([isFine().catch(() => false), late]);
}

async function look(env: Env): Promise<readonly string[]> {
  const problem = configProblem(env);
  // Nothing is asked with bindings that are wrong.
  if (problem !== null) return [problem];
  const all = checks(env);
  const results = await Promise.all(all.map(([, isFine]) => passes(isFine)));
  return all.flatMap(([code], at) => (results[at] === true ? [] : [code]));
}

const kept = new WeakMap<Env, { readonly atMs: number; readonly failed: Promise<readonly string[]> }>();

/** @returns 200, or 503 with the codes of what failed. Looks at most every five seconds in an isolate, whoever asks how often */
export async function ready(env: Env, nowMs: number): Promise<Response> {
  let last = kept.get(env);
  if (last === undefined || nowMs - last.atMs >= READY_KEPT_MS) {
    last = { atMs: nowMs, failed: look(env) };
    kept.set(env, last);
  }
  const failed = await last.failed;
  const headers = { "cache-control": "no-store", "x-content-type-options": "nosniff" };
  return Response.json({ ready: failed.length === 0, version: VERSION, failed }, { status: failed.length === 0 ? 200 : 503, headers });
}
