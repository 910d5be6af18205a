/** Acts on the gateway's machine over the API: who may ask, what the room refuses itself, what it hands on, and what it writes down. */
import { beforeEach, expect, test } from "vitest";
import { settingsHash } from "../../src/core/trust/settings-diff.ts";
import type { Gateway } from "../../src/protocol/api.ts";
import type { LocalActAnswer, LocalActsView } from "../../src/protocol/approval-api.ts";
import type { SettingsQuestion } from "../../src/protocol/link-local-acts.ts";
import { LOCAL_ACT_MS } from "../../src/protocol/limits.ts";
import { LOCAL_ACT_KEYS, encodeBody } from "../../src/protocol/statement-encoding.ts";
import type { LocalActStatement, SignedByOwner } from "../../src/protocol/statements.ts";
import { newAuthenticator } from "../support/fake-authenticator.ts";
import { APPROVER, OWNER, VIEWER, callAs, confirmedPerson } from "./persons-world.ts";
import { config, newGateway } from "./world.ts";
import type { FakeConnector, GatewayWorld, Person } from "./world.ts";

const LINES = [{ path: "gateway.trustedProxies", change: "add", value: '"::1"' }] as const;

let world: GatewayWorld;
let connector: FakeConnector;
let settings: SettingsQuestion;

beforeEach(async () => {
  world = await newGateway();
  connector = await world.connect();
  settings = { hash: await settingsHash(LINES), lines: [...LINES] };
  connector.send({ type: "report", report: { state: "needs-settings", version: "2026.9.6", settings } });
  await until(async () => (await seen()).json.gatewayState === "needs-settings");
});

/** Polls the room: what a link says is taken up in its own time. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo()));
}

const path = (): string => `/api/decisions/${world.gateway}/local-acts`;
const seen = (person: Person = world.person) => callAs<LocalActsView>(person, "approve", "GET", path());
const send = (signed: SignedByOwner, person: Person = world.person) =>
  callAs<LocalActAnswer>(person, "approve", "POST", path(), { signed });

function bytes(changes: Partial<LocalActStatement> = {}): Uint8Array<ArrayBuffer> {
  const issuedAtMs = Date.now();
  const body = { v: 1, gateway: world.gateway, act: "apply-settings", subject: settings.hash, head: "h".repeat(43), issuedAtMs, applyByMs: issuedAtMs + LOCAL_ACT_MS, ...changes }; // prettier-ignore
  return encodeBody(body, LOCAL_ACT_KEYS);
}

const sign = (changes: Partial<LocalActStatement> = {}, by: Person = world.person) => by.authenticator.sign("local-act", bytes(changes));

/** Actions of the room's own history, newest last. */
async function history(): Promise<{ actor: string; action: string; detail: Record<string, unknown> }[]> {
  const lines = await world.room.auditLines({ account: world.person.id, from: 0, isExport: false });
  return lines.ok ? lines.value.map((line) => JSON.parse(line) as { actor: string; action: string; detail: Record<string, unknown> }) : [];
}

test("[SA6] the owner's pages see what waits, with its hash", async () => {
  expect((await seen()).json).toMatchObject({ gatewayName: "Home", gatewayState: "needs-settings", settings });
  const { json } = await callAs<{ gateway: Gateway }>(world.person, "app", "GET", `/api/gateways/${world.gateway}`);
  expect(json.gateway).toMatchObject({ state: "needs-settings", settings });
});

test("[SA6] an approver and a viewer see the state, never the settings", async () => {
  for (const role of [APPROVER, VIEWER]) {
    const { person } = await confirmedPerson(world, role);
    const { json } = await callAs<{ gateway: Gateway }>(person, "app", "GET", `/api/gateways/${world.gateway}`);
    expect(json.gateway).toMatchObject({ state: "needs-settings", settings: null });
    expect((await seen(person)).status).toBe(404);
    expect((await send(await sign({}, person), person)).status).toBe(404);
  }
});

test("[SA7] an act goes to the machine once; its answer goes to the owner and into the history", async () => {
  const signed = await sign();
  const answer = send(signed);
  const { id, signed: handed } = await connector.next("local-act");
  expect(handed).toEqual(signed);
  connector.send({ type: "local-act-done", id, act: "apply-settings", outcome: "done" });
  expect((await answer).json).toEqual({ outcome: "done" });
  expect((await history()).at(-1)).toMatchObject({ actor: "owner", action: "settings-applied", detail: {} });
});

test("[SA7] the history names the person who asked, and why nothing was done", async () => {
  const { person, name } = { ...(await confirmedPerson(world, OWNER)), name: "Ann" };
  const answer = send(await sign({}, person), person);
  const { id } = await connector.next("local-act");
  connector.send({ type: "local-act-done", id, act: "apply-settings", outcome: "stale-head" });
  expect((await answer).json).toEqual({ outcome: "stale-head" });
  expect((await history()).at(-1)).toMatchObject({ actor: "owner", action: "settings-not-applied", detail: { person: name, why: "stale-head" } }); // prettier-ignore
});

test.each<[string, () => Promise<SignedByOwner>, string]>([
  ["of another gateway", () => sign({ gateway: "a".repeat(23) }), "bad-statement"],
  ["about settings that do not wait", () => sign({ subject: "o".repeat(43) }), "over"],
  ["that is too old", () => sign({ issuedAtMs: 1, applyByMs: 2 }), "too-late"],
  ["under another tag", () => world.person.authenticator.sign("grant", bytes()), "bad-signature"],
  ["by a stranger's passkey", async () => (await newAuthenticator(config.approveOrigin)).sign("local-act", bytes()), "not-owner"],
])("[SA7] an act %s never reaches the machine", async (_what, made, outcome) => {
  expect((await send(await made())).json).toEqual({ outcome });
  const answer = send(await sign());
  const { id } = await connector.next("local-act");
  connector.send({ type: "local-act-done", id, act: "apply-settings", outcome: "done" });
  expect((await answer).json).toEqual({ outcome: "done" });
});

test("[SA7] a link that goes before the answer: not known; without a link nothing is kept for later", async () => {
  const answer = send(await sign());
  await connector.next("local-act");
  connector.ws.close(1000, "gone");
  expect((await answer).json).toEqual({ outcome: "unanswered" });
  expect(await send(await sign())).toMatchObject({ status: 200, json: { outcome: "over" } });
  const again = await world.connect();
  again.send({ type: "report", report: { state: "needs-settings", settings } });
  await until(async () => (await seen()).json.gatewayState === "needs-settings");
  const asked = send(await sign());
  const { id } = await again.next("local-act");
  again.send({ type: "local-act-done", id, act: "apply-settings", outcome: "done" });
  expect((await asked).json).toEqual({ outcome: "done" });
});

test("[SA7] what was done on the machine itself is in the history", async () => {
  connector.send({ type: "local-act-done", id: null, act: "apply-settings", outcome: "done" });
  await until(async () => (await history()).at(-1)?.action === "settings-applied");
  expect((await history()).at(-1)).toMatchObject({ actor: "host" });
});
