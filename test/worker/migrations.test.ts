/** An installation of the version before, with data: the newer schema takes it over and everything still works. */
import { applyD1Migrations } from "cloudflare:test";
import type { D1Migration } from "cloudflare:test";
import { env as bindings } from "cloudflare:workers";
import { expect, test } from "vitest";
import { readAuditLine } from "../../src/core/trust/audit-chain.ts";
import { CutWorld } from "./cut-world.ts";
import { allowedDevice, ask, config, env, newGateway } from "./world.ts";

const { TEST_MIGRATIONS } = bindings as unknown as { TEST_MIGRATIONS: D1Migration[] };

async function tables(): Promise<string[]> {
  const { results } = await env.DB.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'").all<{ name: string }>(); // prettier-ignore
  return results.map((row) => row.name);
}

async function columns(table: string): Promise<string[]> {
  const { results } = await env.DB.prepare(`PRAGMA table_info("${table}")`).all<{ name: string }>();
  return results.map((row) => row.name);
}

/** Puts D1 back to the first schema, with the rows that it can hold. */
async function backToFirstSchema(): Promise<void> {
  const rows = new Map<string, Record<string, unknown>[]>();
  const before = await tables();
  for (const name of before) rows.set(name, (await env.DB.prepare(`SELECT * FROM "${name}"`).all()).results);
  // One transaction each: rows that name each other are compared at its end.
  const late = env.DB.prepare("PRAGMA defer_foreign_keys = ON");
  await env.DB.batch([late, ...before.map((name) => env.DB.prepare(`DROP TABLE "${name}"`))]);
  await applyD1Migrations(env.DB, TEST_MIGRATIONS.slice(0, 1));
  const inserts: D1PreparedStatement[] = [];
  for (const name of await tables()) {
    if (name.startsWith("d1_")) continue;
    const known = await columns(name);
    for (const row of rows.get(name) ?? []) {
      const kept = Object.entries(row).filter(([column]) => known.includes(column));
      const names = kept.map(([column]) => `"${column}"`).join(", ");
      const statement = `INSERT INTO "${name}" (${names}) VALUES (${kept.map(() => "?").join(", ")})`;
      inserts.push(env.DB.prepare(statement).bind(...kept.map(([, value]) => value)));
    }
  }
  await env.DB.batch([late, ...inserts]);
}

test("there is a schema before this one, and the test starts there", async () => {
  expect(TEST_MIGRATIONS.length).toBeGreaterThan(1);
  await backToFirstSchema();
  expect(await columns("audit_events")).not.toContain("hash");
  await applyD1Migrations(env.DB, TEST_MIGRATIONS);
  expect(await columns("audit_events")).toContain("hash");
});

test("[GR4] [AU2] rows of the first schema survive the others: accounts sign in, gateways and history are listed, old rows keep what they said, new ones get their place", async () => {
  const world = await newGateway();
  await world.connect();
  const before = await allowedDevice(world);
  const drained = async (): Promise<void> => {
    const cut = await CutWorld.of(world);
    await cut.alarm();
  };
  await drained();
  await backToFirstSchema();
  const old = await env.DB.prepare("SELECT id, action, at_ms FROM audit_events WHERE gateway_id = ? ORDER BY id").bind(world.gateway).all();
  expect(old.results.length).toBeGreaterThan(3);
  await applyD1Migrations(env.DB, TEST_MIGRATIONS);
  const after = await env.DB.prepare("SELECT id, action, at_ms FROM audit_events WHERE gateway_id = ? ORDER BY id")
    .bind(world.gateway)
    .all();
  expect(after.results).toEqual(old.results);
  const cookie = await world.person.cookie("app");
  const listed = await ask(`${config.appOrigin}/api/gateways/${world.gateway}`, { cookie });
  expect(await listed.json()).toMatchObject({ gateway: { id: world.gateway }, devices: [{ id: before.id, state: "allowed" }] });
  const history: { events: { action: string }[] } = await (await ask(`${config.appOrigin}/api/activity`, { cookie })).json();
  expect(history.events.map((event) => event.action)).toContain("allow");
  await world.room.cut({ account: world.person.id, device: before.id });
  const next = await allowedDevice(world);
  await drained();
  const states = await env.DB.prepare("SELECT id, state FROM devices WHERE gateway_id = ? ORDER BY created_at_ms")
    .bind(world.gateway)
    .all();
  expect(states.results).toEqual([{ id: before.id, state: "cut" }, { id: next.id, state: "allowed" }]); // prettier-ignore
  const placed = await env.DB.prepare("SELECT seq, hash FROM audit_events WHERE gateway_id = ? AND action = 'cut'")
    .bind(world.gateway)
    .first();
  const exported = await (await ask(`${config.appOrigin}/api/gateways/${world.gateway}/audit.jsonl`, { cookie })).text();
  const entry = exported.split("\n").map((line) => readAuditLine(line)).find((each) => each?.action === "cut"); // prettier-ignore
  expect(placed).toEqual({ seq: entry?.seq, hash: entry?.hash });
});
