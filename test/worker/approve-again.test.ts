/** Another machine becomes a gateway's connector: what the log before admitted ends at once, and its devices are approved together. */
import { expect, test } from "vitest";
import { againBody, judgeFormer } from "../../src/core/trust/approve-again.ts";
import type { FormerGrant } from "../../src/core/trust/approve-again.ts";
import { keyThumbprint } from "../../src/core/trust/digests.ts";
import { statementHash } from "../../src/core/trust/statement-list.ts";
import type { BlockedDevice } from "../../src/protocol/blocks.ts";
import type { ApproveAgainView, DecidedAgain } from "../../src/protocol/approval-api.ts";
import { GRANT_KEYS, encodeBody } from "../../src/protocol/statement-encoding.ts";
import type { GrantStatement } from "../../src/protocol/statements.ts";
import type { DeviceRow, GrantRow } from "../../src/worker/room/storage/rows.ts";
import { newLogKey } from "../support/test-key-log.ts";
import type { Authenticator } from "../support/fake-authenticator.ts";
import { CutWorld } from "./cut-world.ts";
import { Machine } from "./enrolment-world.ts";
import { ask, askOwner, config, enrol, env, grantFor, openSession } from "./world.ts";

type World = CutWorld;
type Allowed = Awaited<ReturnType<World["allow"]>>;

/** Another machine is claimed. @returns a connector that speaks for it */
async function connectAnew(world: World): Promise<void> {
  const key = await newLogKey();
  expect(await enrol(world.gateway, key.key)).toEqual({ ok: true, value: null });
  Object.assign(world, { key });
}

async function viewOf(world: World): Promise<ApproveAgainView> {
  const answer = await world.gateway.room.approveAgainView({ account: world.gateway.person.id });
  if (!answer.ok) throw new Error(answer.failure);
  return answer.value;
}

/** What the page offers. */
async function offered(world: World): Promise<{ readonly view: ApproveAgainView; readonly formers: FormerGrant[] }> {
  const view = await viewOf(world);
  const { gateway, person } = world.gateway;
  const ownerKeys = [person.authenticator.ownerKey];
  const expected = { gateway, nowMs: Date.now(), origin: config.approveOrigin, rpId: config.rpId, ownerKeys };
  const judged = await Promise.all(view.devices.map(({ former }) => judgeFormer(former, expected)));
  return { view, formers: judged.filter((each) => each !== null) };
}

/** One gesture over these grants, through the approval origin. */
async function approve(world: World, bodies: readonly GrantStatement[], by?: Authenticator): Promise<readonly DecidedAgain[]> {
  const { gateway, person } = world.gateway;
  const bytes = bodies.map((body) => encodeBody({ ...body }, GRANT_KEYS));
  const list = await Promise.all(bytes.map((each) => statementHash("grant", each)));
  const signer = by ?? person.authenticator;
  const signed = await Promise.all(bytes.map((each) => signer.sign("grant", each, { list: () => list })));
  const answer = await ask(`${config.approveOrigin}/api/decisions/${gateway}/approve-again`, {
    method: "POST",
    cookie: await person.cookie("approve"),
    body: { statements: signed.map(({ statement }) => statement), list, assertion: signed[0]?.assertion },
  });
  expect(answer.status).toBe(200);
  return (await answer.json<{ results: DecidedAgain[] }>()).results;
}

function bodiesOf({ view, formers }: Awaited<ReturnType<typeof offered>>): GrantStatement[] {
  return formers.map((former) => againBody(former, { head: view.head, ceiling: view.ceiling, isOnline: true }, Date.now()));
}

function statesOf(world: World): Promise<Record<string, string>> {
  return world.inRoom((storage) => Object.fromEntries(storage.all<DeviceRow>("devices").map(({ id, state }) => [id, state])));
}

async function twoDevices(): Promise<{ readonly world: World; readonly first: Allowed; readonly second: Allowed }> {
  const world = await CutWorld.create();
  await world.connect();
  const [first, second] = [await world.allow(), await world.allow()];
  return { world, first, second };
}

test("[EN11] another machine ends every grant, session, token and stream of the log before, in D1, too, and one entry counts the devices", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const [device, cut] = [await world.allow(), await world.allow()];
  const changes = { connectorKey: await keyThumbprint(world.key.key) };
  expect((await openSession(world.gateway, device, { changes })).token).not.toBe(null);
  const cutting = world.cut(cut.id);
  connector.answer(await connector.cuts.next(), {});
  await cutting;
  const { browser } = await world.stream(connector, device);
  await connectAnew(world);
  expect((await browser?.closed)?.code).toBe(4401);
  expect(await statesOf(world)).toMatchObject({ [device.id]: "approve-again", [cut.id]: "cut" });
  const left = await world.inRoom((storage) => ({
    sessions: storage.all("sessions").length,
    tokens: storage.all<DeviceRow>("devices").filter(({ token }) => token !== null).length,
    grants: storage.all<GrantRow>("grants").map(({ state }) => state),
  }));
  expect(left).toEqual({ sessions: 0, tokens: 0, grants: ["revoked", "revoked"] });
  const told = await world.inRoom((storage) => storage.auditLines(0, 500).filter((line) => line.includes("connector-enrolled-anew")));
  expect(told.map((line) => (JSON.parse(line) as { detail: unknown }).detail)).toEqual(expect.arrayContaining([{ devices: 1 }]));
  await world.alarm();
  const mirrored = async (sql: string): Promise<unknown> => (await env.DB.prepare(sql).bind(device.id).first())?.["state"];
  expect(await mirrored("SELECT state FROM devices WHERE id = ?")).toBe("approve-again");
  expect(await mirrored("SELECT state FROM grants WHERE device_id = ?")).toBe("revoked");
  const challenge = await ask(`${world.gateway.origin}/.gatehouse/api/challenge`, { method: "POST", body: { key: device.device.key } });
  expect(await challenge.json()).toMatchObject({ standing: "approve-again", grant: null, connector: null });
});

test("[EN11] a decision that the old machine never heard of is never sent to the new one", async () => {
  const world = await CutWorld.create();
  const device = await world.allow();
  expect(await statesOf(world)).toEqual({ [device.id]: "waiting" });
  await connectAnew(world);
  const connector = await world.connect();
  await approve(world, bodiesOf(await offered(world)));
  expect(connector.came.filter((id) => id === `grant-${device.grant}`)).toEqual([]);
  expect(await statesOf(world)).toEqual({ [device.id]: "allowed" });
});

test("[EN12] one gesture approves every device again, each comes in with its own key, and its kind, name and end stay", async () => {
  const { world, first, second } = await twoDevices();
  await world.gateway.room.renameDevice({ account: world.gateway.person.id, device: first.id, name: "Hall tablet" });
  const before = await world.inRoom((storage) => storage.get<DeviceRow>("devices", first.id));
  await connectAnew(world);
  await world.connect();
  const results = await approve(world, bodiesOf(await offered(world)));
  expect(results).toEqual([first.id, second.id].map((device) => ({ device, outcome: "applied" })));
  const row = await world.inRoom((storage) => storage.get<DeviceRow>("devices", first.id));
  const { name, kind, access, notAfterMs } = before ?? {};
  expect(row).toMatchObject({ state: "allowed", name, kind, access, notAfterMs });
  expect(name).toBe("Hall tablet");
  const changes = { connectorKey: await keyThumbprint(world.key.key) };
  expect((await openSession(world.gateway, { ...first, grant: row?.grant ?? "" }, { changes })).status).toBe(200);
  expect((await openSession(world.gateway, first, { changes })).status).not.toBe(200);
  expect((await viewOf(world)).devices).toEqual([]);
});

test("[GR6] a list with grants for another gateway, with wider access, a later end, another device or a second time: those are refused, the rest stands", async () => {
  const world = await CutWorld.create();
  await world.connect();
  const waiting = await askOwner(world.gateway);
  const chat = await grantFor(world.gateway, waiting, { access: "chat" });
  await world.gateway.room.allow({ account: world.gateway.person.id, request: waiting.request, code: waiting.digits, signed: chat.signed });
  const [second, third] = [await world.allow(), await world.allow()];
  const stranger = await CutWorld.create();
  await connectAnew(world);
  await world.connect();
  const bodies = bodiesOf(await offered(world));
  const [narrow, good, other] = bodies as [GrantStatement, GrantStatement, GrantStatement];
  expect([narrow.access, bodies.length]).toEqual(["chat", 3]);
  const results = await approve(world, [
    { ...narrow, access: "full" },
    { ...narrow, notAfterMs: narrow.notAfterMs + 1 },
    { ...narrow, gateway: stranger.gateway.gateway },
    { ...narrow, request: good.request },
    { ...narrow, kind: "ask" },
    good,
    good,
    { ...other, notAfterMs: other.notAfterMs - 1 },
  ]);
  const refused = { device: null, outcome: "refused", refusal: "other" };
  const taken = (device: string) => ({ device, outcome: "applied" });
  expect(results).toEqual([refused, refused, refused, refused, refused, taken(second.id), refused, taken(third.id)]);
  expect(await statesOf(world)).toMatchObject({ [narrow.device]: "approve-again", [second.id]: "allowed" });
});

test("[GR6] the machine judges each grant alone: one that it refuses can be approved once more, the other one is in", async () => {
  const { world, first, second } = await twoDevices();
  await connectAnew(world);
  const connector = await world.connect({ answersGrants: false });
  const approving = approve(world, bodiesOf(await offered(world)));
  await expect.poll(() => connector.came.filter((id) => id.startsWith("grant-")).length).toBe(2);
  const ids = connector.came.filter((id) => id.startsWith("grant-"));
  connector.link.say({ type: "result", id: ids[0] ?? "", ok: false, refusal: "over-ceiling" });
  connector.link.say({ type: "result", id: ids[1] ?? "", ok: true });
  expect(await approving).toMatchObject([{ outcome: "refused", refusal: "over-ceiling" }, { outcome: "applied" }]);
  expect(await statesOf(world)).toEqual({ [first.id]: "approve-again", [second.id]: "allowed" });
  expect((await offered(world)).formers.map(({ statement }) => statement.device)).toEqual([first.id]);
});

test("[GR6] a paused, a blocked and an expired device, and one whose token was copied, are in no list", async () => {
  const { world, first, second } = await twoDevices();
  const [frozen, old] = [await world.allow(), await world.allow()];
  const account = world.gateway.person.id;
  await world.gateway.room.suspend({ account, device: first.id, token: null });
  await world.inRoom((storage) => {
    storage.put("blocks", second.id, { device: second.id, name: "Second", sinceMs: 1, untilMs: null } satisfies BlockedDevice);
    const row = storage.get<DeviceRow>("devices", frozen.id);
    if (row !== null) storage.put("devices", row.id, { ...row, token: { current: "x", previous: null, rotatedAtMs: 1, isFrozen: true } });
    const over = storage.get<DeviceRow>("devices", old.id);
    if (over !== null) storage.put("devices", over.id, { ...over, notAfterMs: 5 });
  });
  await connectAnew(world);
  expect((await viewOf(world)).devices).toEqual([]);
});

test("[EN13] a machine whose owner has signed is told the policy of the one before; without one before, and for everybody else, there is none", async () => {
  const world = await CutWorld.create();
  await world.inRoom((storage) => storage.setPolicy({ maxAccess: "chat", maxExpiryMs: 86_400_000 }));
  const { room, person } = world.gateway;
  expect(await room.policy({ account: person.id })).toEqual({ ok: true, value: { maxAccess: "chat", maxExpiryMs: 86_400_000 } });
  const machine = await Machine.begin(null);
  expect(await machine.poll()).toMatchObject({ state: "open", formerPolicy: null });
  await connectAnew(world);
  expect(await room.policy({ account: person.id })).toMatchObject({ value: { maxAccess: "full" } });
});

test("[EN12] one gesture takes fifty grants and no more, and a body of fifty fits", async () => {
  const { world, first } = await twoDevices();
  await connectAnew(world);
  await world.connect();
  const [body] = bodiesOf(await offered(world));
  if (body === undefined) throw new Error("nothing offered");
  const { gateway, person } = world.gateway;
  const bytes = encodeBody({ ...body, name: "\u{1f4f1}".repeat(32) }, GRANT_KEYS);
  const hash = await statementHash("grant", bytes);
  const list = Array.from({ length: 50 }, () => hash);
  const { statement, assertion } = await person.authenticator.sign("grant", bytes, { list: () => list });
  const send = async (count: number): Promise<Response> =>
    ask(`${config.approveOrigin}/api/decisions/${gateway}/approve-again`, {
      method: "POST",
      cookie: await person.cookie("approve"),
      body: { statements: Array.from({ length: count }, () => statement), list, assertion },
    });
  expect((await send(51)).status).toBe(400);
  expect(await statesOf(world)).toMatchObject({ [first.id]: "approve-again" });
  const answer = await send(50);
  expect((await answer.json<{ results: DecidedAgain[] }>()).results.map(({ outcome }) => outcome)).toEqual(["applied", ...Array.from({ length: 49 }, () => "refused")]); // prettier-ignore
});
