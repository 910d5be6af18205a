/** What the room tells a device of the end of its access, and whom it tells nothing. */
import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { newDevice } from "../support/fake-device.ts";
import { passTime } from "./room-clock.ts";
import { allowedDevice, ask, dump, newGateway } from "./world.ts";
import type { GatewayWorld } from "./world.ts";

afterEach(() => {
  vi.useRealTimers();
});

type Device = Awaited<ReturnType<typeof newDevice>>;

async function standing(world: GatewayWorld, device: Device, changes: { signer?: Device; origin?: string; roomNonce?: string } = {}) {
  const answered = await ask(`${world.origin}/.gatehouse/api/challenge`, { method: "POST", body: { key: device.key } });
  const { roomNonce }: { roomNonce: string } = await answered.json();
  const about = { gateway: world.gateway, origin: changes.origin ?? world.origin, roomNonce: changes.roomNonce ?? roomNonce };
  const { statement } = await device.ask(about);
  const { signature } = await (changes.signer ?? device).ask({ ...about, key: device.key });
  const answer = await ask(`${world.origin}/.gatehouse/api/standing`, { method: "POST", body: { signed: { statement, signature } } });
  return { status: answer.status, text: await answer.text(), roomNonce };
}

test("[EA1] a cut is told to whoever proves the key, with its time; a forged, foreign or late proof hears nothing, and nothing is stored", async () => {
  const world = await newGateway();
  await world.connect();
  const allowed = await allowedDevice(world);
  expect(await standing(world, allowed.device)).toMatchObject({ status: 200, text: '{"end":null}' });
  expect(await world.room.cut({ account: world.person.id, device: allowed.id })).toMatchObject({ ok: true });
  const elsewhere = await newGateway();
  const before = await dump(world.room);
  const told = await standing(world, allowed.device);
  expect([told.status, JSON.parse(told.text)]).toEqual([200, { end: { why: "cut", atMs: expect.any(Number) as number, untilMs: null } }]);
  const attempts = [
    { signer: await newDevice() },
    { origin: "https://elsewhere.example" },
    { roomNonce: "A".repeat(43) },
    { roomNonce: (await standing(elsewhere, allowed.device)).roomNonce },
  ];
  for (const attempt of attempts) {
    const refused = await standing(world, allowed.device, attempt);
    expect([refused.status, refused.text]).toEqual([400, expect.not.stringContaining("cut")]);
  }
  expect(await standing(world, await newDevice())).toMatchObject({ status: 200, text: '{"end":null}' });
  const again = await ask(`${world.origin}/.gatehouse/api/challenge`, { method: "POST", body: { key: allowed.device.key } });
  expect(await again.json()).toMatchObject({ standing: "unknown", grant: null });
  expect(await dump(world.room)).toBe(before);
});

test("[EA2] expired and paused are told as such, and a new grant ends what was told", async () => {
  const world = await newGateway();
  await world.connect();
  const first = await allowedDevice(world);
  await world.room.suspend({ account: world.person.id, device: first.id, token: null });
  expect(JSON.parse((await standing(world, first.device)).text)).toMatchObject({ end: { why: "paused" } });
  await world.room.resume({ account: world.person.id, device: first.id });
  expect((await standing(world, first.device)).text).toBe('{"end":null}');
  passTime(366 * 24 * 3_600_000);
  await runDurableObjectAlarm(world.room);
  expect(JSON.parse((await standing(world, first.device)).text)).toMatchObject({ end: { why: "expired" } });
});
