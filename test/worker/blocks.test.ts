/** Blocked devices: how a block ends, who may end it, and that its end admits nobody. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { activationHash, deviceId } from "../../src/core/trust/digests.ts";
import { BLOCK_MS } from "../../src/protocol/limits.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { newDevice } from "../support/fake-device.ts";
import { APPROVER, VIEWER, callAs, confirmedPerson } from "./persons-world.ts";
import { passTime } from "./room-clock.ts";
import { allowedDevice, ask, askOwner, grantFor, newGateway, newPerson, openSession } from "./world.ts";
import type { GatewayWorld, Person, WaitingDevice } from "./world.ts";

afterEach(() => {
  vi.useRealTimers();
});

interface View {
  readonly blocked: readonly { readonly device: string; readonly name: string; readonly untilMs: number | null }[];
}

async function blockedDevice(world: GatewayWorld, known?: WaitingDevice["device"]) {
  const waiting = await askOwner(world, known);
  expect(await world.room.deny({ account: world.person.id, request: waiting.request, block: true })).toMatchObject({ ok: true });
  return { device: waiting.device, id: await deviceId(world.gateway, waiting.device.key) };
}

async function listed(world: GatewayWorld, person: Person = world.person): Promise<View["blocked"]> {
  return (await callAs<View>(person, "app", "GET", `/api/gateways/${world.gateway}`)).json.blocked;
}

function act(world: GatewayWorld, device: string, what: "unblock" | "block-for-good", person: Person = world.person) {
  return callAs(person, "app", "POST", `/api/gateways/${world.gateway}/devices/${device}/${what}`);
}

async function actions(world: GatewayWorld, device: string): Promise<string[]> {
  const lines = await world.room.auditLines({ account: world.person.id, from: 0, isExport: false });
  if (!lines.ok) throw new Error(lines.failure);
  const rows = lines.value.map((line) => JSON.parse(line) as { actor: string; action: string; device: string | null });
  return rows.filter((row) => row.device === device && row.action.includes("block")).map((row) => `${row.actor} ${row.action}`);
}

test("[BL1] a block ends by itself after a day, and the row with it", async () => {
  const world = await newGateway();
  const { device, id } = await blockedDevice(world);
  const [row] = await listed(world);
  expect(row).toMatchObject({ device: id, name: "Phone" });
  expect(Math.abs((row?.untilMs ?? 0) - Date.now() - BLOCK_MS)).toBeLessThan(60_000);
  passTime(BLOCK_MS - 60_000);
  expect(await (await askOwner(world, device)).next("refused")).toMatchObject({ end: { why: "blocked" } });
  passTime(60_000);
  await runDurableObjectAlarm(world.room);
  expect(await listed(world)).toEqual([]);
  expect(await runInDurableObject(world.room, (_room, state) => new RoomStorage(state.storage).hasAny("blocks"))).toBe(false);
  expect((await askOwner(world, device)).digits).toMatch(/^\d{4}$/);
});

test("[BL1] one that is blocked for good stays, over a day and a second look", async () => {
  const world = await newGateway();
  const { device, id } = await blockedDevice(world);
  expect((await act(world, id, "block-for-good")).status).toBe(200);
  expect((await act(world, id, "block-for-good")).status).toBe(200);
  passTime(2 * BLOCK_MS);
  await runDurableObjectAlarm(world.room);
  expect(await listed(world)).toMatchObject([{ device: id, untilMs: null }]);
  expect(await (await askOwner(world, device)).next("refused")).toMatchObject({ end: { why: "blocked", untilMs: null } });
  expect(await actions(world, id)).toEqual(["owner device-blocked", "owner device-blocked-for-good"]);
});

test("[BL2] owner and approver block and unblock without a passkey; a viewer, a stranger, and a device that is not blocked get one answer", async () => {
  const world = await newGateway();
  const { id } = await blockedDevice(world);
  const viewer = (await confirmedPerson(world, VIEWER)).person;
  const stranger = await newPerson();
  const none = await deviceId(world.gateway, (await newDevice()).key);
  const answers = [];
  for (const what of ["unblock", "block-for-good"] as const)
    for (const [person, device] of [[viewer, id], [stranger, id], [world.person, none]] as const) answers.push(await act(world, device, what, person)); // prettier-ignore
  for (const answer of answers) expect(answer).toEqual(answers[0]);
  expect(answers[0]).toMatchObject({ status: 404, code: "not-found" });
  expect(await listed(world, viewer)).toEqual([]);
  const approver = (await confirmedPerson(world, APPROVER)).person;
  expect(await listed(world, approver)).toHaveLength(1);
  expect((await act(world, id, "unblock", approver)).status).toBe(200);
  expect(await listed(world)).toEqual([]);
  expect(await actions(world, id)).toEqual(["owner device-blocked", "approver device-unblocked"]);
});

test("[BL3] the end of a block admits nobody: what the device had is cut with it", async () => {
  const world = await newGateway();
  await world.connect();
  const device = await allowedDevice(world);
  const { token } = await openSession(world, device);
  const { id } = await blockedDevice(world, device.device);
  expect((await act(world, id, "unblock")).status).toBe(200);
  expect(await openSession(world, device, { token })).toMatchObject({ status: 403, code: "not-allowed" });
  expect((await askOwner(world, device.device)).digits).toMatch(/^\d{4}$/);
});

test("[BL4] the owner's own way opens at a blocked door and ends the block; without its code the block stays", async () => {
  const world = await newGateway();
  await world.connect();
  const { device, id } = await blockedDevice(world);
  const code = "a".repeat(43);
  const grant = await grantFor(world, { ...(await askOwner(world)), device }, { kind: "owner", request: null, activation: await activationHash(code) }); // prettier-ignore
  expect(await world.room.ownerGrant({ account: world.person.id, signed: grant.signed })).toMatchObject({ ok: true });
  const owned = { id, grant: grant.id, device };
  expect(await openSession(world, owned)).toMatchObject({ status: 403 });
  expect(await listed(world)).toHaveLength(1);
  expect(await (await askOwner(world, device)).next("refused")).toMatchObject({ end: { why: "blocked" } });
  const answered = await ask(`${world.origin}/.gatehouse/api/challenge`, { method: "POST", body: { key: device.key } });
  expect(await answered.json()).toMatchObject({ standing: "allowed" });
  expect(await openSession(world, owned, { activationCode: code })).toMatchObject({ status: 200 });
  expect(await listed(world)).toEqual([]);
  expect(await actions(world, id)).toEqual(["owner device-blocked", "device device-unblocked"]);
});

test("[BL6] the gateway's machine reads the list over the link, and lets a device ask again at once", async () => {
  const world = await newGateway();
  const connector = await world.connect();
  const { device, id } = await blockedDevice(world);
  connector.send({ type: "ask-blocked", id: "1", unblock: null });
  expect(await connector.next("blocked")).toMatchObject({ id: "1", wasBlocked: false, devices: [{ device: id, name: "Phone" }] });
  connector.send({ type: "ask-blocked", id: "2", unblock: id });
  expect(await connector.next("blocked")).toEqual({ type: "blocked", id: "2", wasBlocked: true, devices: [] });
  connector.send({ type: "ask-blocked", id: "3", unblock: id });
  expect(await connector.next("blocked")).toMatchObject({ id: "3", wasBlocked: false });
  expect(await actions(world, id)).toEqual(["owner device-blocked", "host device-unblocked"]);
  expect((await askOwner(world, device)).digits).toMatch(/^\d{4}$/);
});
