/** Cuts in a real room: whole or not at all, whatever is away; confirmed only by the connector's signature; unanswered ones escalate. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { verifyAudit } from "../../src/core/trust/audit-chain.ts";
import { readReceipt } from "../../src/core/trust/receipt.ts";
import { CLOSE_CUT, CLOSE_UNANSWERED } from "../../src/protocol/close-codes.ts";
import { FRAME_RESET } from "../../src/protocol/frame.ts";
import {
  CUT_AGAIN_MS,
  CUT_ANSWER_MS,
  INITIAL_CREDIT_BYTES,
  MAX_FRAME_PAYLOAD_BYTES,
  MAX_MESSAGE_BYTES,
} from "../../src/protocol/limits.ts";
import { receiptFileSchema } from "../../src/protocol/receipt.ts";
import { Relay } from "../../src/worker/room/relay/relay.ts";
import type { Room } from "../../src/worker/room/room.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import type { DeviceRow } from "../../src/worker/room/storage/rows.ts";
import { newLogKey } from "../support/test-key-log.ts";
import { CutWorld } from "./cut-world.ts";
import type { CuttingConnector } from "./cut-world.ts";
import { ask, config, env, newPerson } from "./world.ts";
import { passTime } from "./room-clock.ts";
import { expectFailures } from "./expected-failures.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Everything that a cut changes. */
function traces(world: CutWorld, device: string) {
  return world.inRoom((storage) => ({
    state: storage.get<DeviceRow>("devices", device)?.state,
    sessions: storage.all<{ device: string }>("sessions").filter((row) => row.device === device).length,
    owed: storage.owed().map((message) => message.type),
    receipt: storage.receipt(device)?.gateway.state ?? null,
    entries: storage.lastAudit()?.seq,
    outbox: storage.outbox(1_000).length,
  }));
}

/** A cut with its confirmation. */
async function confirmedCut(world: CutWorld, connector: CuttingConnector, device: { id: string; grant: string }) {
  const cutting = world.cut(device.id);
  const message = await connector.cuts.next();
  const receipt = await world.sign(message, device.grant);
  connector.answer(message, { receipt });
  return { result: await cutting, message, receipt };
}

test.each(["addAudit", "owe", "saveReceipt", "toOutbox"] as const)(
  "[CUT1] a cut is whole or nothing: when storage refuses %s, nothing of it stands, and the next try works",
  async (step) => {
    expectFailures("room-call");
    const world = await CutWorld.create();
    const connector = await world.connect();
    const device = await world.allow();
    await world.stream(connector, device);
    await world.alarm();
    const before = await traces(world, device.id);
    const failed = await runInDurableObject(world.gateway.room, async (room) => {
      const broken = vi.spyOn(RoomStorage.prototype, step).mockImplementation(() => {
        throw new Error("the disk refused");
      });
      const outcome = await (room as unknown as Room).cut({ account: world.gateway.person.id, device: device.id }).then(
        () => "cut",
        () => "failed",
      );
      broken.mockRestore();
      return outcome;
    });
    expect(failed).toBe("failed");
    expect(await traces(world, device.id)).toEqual(before);
    const { result } = await confirmedCut(world, connector, device);
    expect(result).toMatchObject({ ok: true, value: { gateway: { state: "done" }, isSigned: true } });
  },
);

test("[CUT1] [CUT3] [case 26] a confirmed cut: sockets closed, the signed receipt kept, its place in the audit chain named, nothing owed", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const device = await world.allow();
  const { stream, browser } = await world.stream(connector, device);
  const { result, message, receipt } = await confirmedCut(world, connector, device);
  expect(result).toMatchObject({
    ok: true,
    value: {
      edge: { socketsClosed: 1 },
      gateway: { state: "done", entriesRemoved: 1, tookMs: 3, atMs: 2_000, deniedAtMs: 1_000, why: null },
      by: "owner",
      isSigned: true,
    },
  });
  expect(await browser?.closed).toMatchObject({ code: CLOSE_CUT });
  expect(await stream.endings.next()).toMatchObject({ type: FRAME_RESET, code: CLOSE_CUT });
  expect(await connector.acks.next()).toBe(message.cut);
  expect(await traces(world, device.id)).toMatchObject({ state: "cut", sessions: 0, owed: [], receipt: "done" });
  const lines = await world.inRoom((storage) => storage.auditLines(0, 1_000));
  const body = await readReceipt(receipt, world.key.key);
  expect(verifyAudit(lines, { gateway: world.gateway.gateway, head: body?.audit ?? undefined })).toMatchObject({ seq: lines.length - 1 });
  expect(lines[body?.audit?.seq ?? -1]).toContain('"action":"cut"');
});

test("[CUT4] [case 28] cut while the gateway is offline: denied at once, pending with its reason, confirmed when the gateway is back", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const device = await world.allow();
  const cutting = world.cut(device.id);
  const message = await connector.cuts.next();
  connector.answer(message, { done: false, removed: 0, atMs: 1_000 });
  expect(await cutting).toMatchObject({ ok: true, value: { gateway: { state: "pending", why: "gateway-away", deniedAtMs: 1_000 } } });
  expect(await traces(world, device.id)).toMatchObject({ state: "cut", owed: ["cut"] });
  const receipt = await world.sign(message, device.grant);
  connector.link.say({ type: "cut-done", device: device.id, removed: 1, atMs: 2_000, by: "owner", receipt });
  expect(await connector.acks.next()).toBe(message.cut);
  expect(await world.receipt(device.id)).toMatchObject({ value: { gateway: { state: "done", atMs: 2_000 }, isSigned: true } });
  expect(await traces(world, device.id)).toMatchObject({ owed: [] });
});

test("[CUT4] a confirmation that was lost with the link is asked for again, by the same name, and comes once into the audit chain", async () => {
  const world = await CutWorld.create();
  const first = await world.connect();
  const device = await world.allow();
  const cutting = world.cut(device.id);
  const message = await first.cuts.next();
  first.answer(message, { done: false, removed: 0 });
  await cutting;
  const second = await world.connect();
  const again = await second.cuts.next();
  expect(again).toEqual(message);
  const receipt = await world.sign(again, device.grant);
  second.answer(again, { receipt });
  await second.acks.next();
  second.link.say({ type: "cut-done", device: device.id, removed: 1, atMs: 2_000, by: "owner", receipt });
  await second.acks.next();
  expect((await world.auditActions()).filter((action) => action === "cut-done-on-gateway")).toHaveLength(1);
});

test("[CUT1] [CUT4] [case 28] cut without a link, and cut while the connector has proven itself but not acknowledged: denied at once, applied with the ack", async () => {
  const world = await CutWorld.create();
  const first = await world.connect();
  const [one, two] = [await world.allow(), await world.allow()];
  first.link.ws.close(1000);
  await expect.poll(async () => (await world.gateway.room.snapshot({ account: world.gateway.person.id })).ok && (await world.gateway.room.snapshot({ account: world.gateway.person.id }))).toMatchObject({ value: { state: "no-link" } }); // prettier-ignore
  expect(await world.cut(one.id)).toMatchObject({ value: { gateway: { state: "pending", why: "no-link" } } });
  const connector = await world.connect({ ack: false });
  const cutting = world.cut(two.id);
  const early = await connector.cuts.next();
  expect(early.device).toBe(two.id);
  expect(await traces(world, two.id)).toMatchObject({ state: "cut" });
  world.ack(connector);
  const both = [await connector.cuts.next(), await connector.cuts.next()];
  expect(both.map((message) => message.device)).toEqual([one.id, two.id]);
  for (const [i, message] of both.entries()) connector.answer(message, { receipt: await world.sign(message, (i === 0 ? one : two).grant) });
  expect(await cutting).toMatchObject({ value: { gateway: { state: "done" } } });
  await expect.poll(() => world.receipt(one.id)).toMatchObject({ value: { gateway: { state: "done" }, isSigned: true } });
});

test("[CUT1] [case 13] cut while D1 is down: committed and confirmed in the room, D1 hears of it once when it is back", async () => {
  expectFailures("outbox");
  const world = await CutWorld.create();
  const connector = await world.connect();
  const device = await world.allow();
  await world.alarm();
  const away = ["devices", "grants", "device_tokens", "audit_events", "pairing_requests"];
  for (const name of away) await env.DB.exec(`ALTER TABLE ${name} RENAME TO ${name}_away`);
  const { result } = await confirmedCut(world, connector, device);
  await world.alarm();
  for (const name of away) await env.DB.exec(`ALTER TABLE ${name}_away RENAME TO ${name}`);
  expect(result).toMatchObject({ ok: true, value: { gateway: { state: "done" }, isSigned: true } });
  await world.alarm();
  await world.alarm();
  const rows = await env.DB.prepare("SELECT state FROM devices WHERE id = ?").bind(device.id).all();
  const events = await env.DB.prepare("SELECT action FROM audit_events WHERE device_id = ? AND action IN ('cut', 'cut-done-on-gateway') ORDER BY seq").bind(device.id).all(); // prettier-ignore
  expect([rows.results, events.results]).toEqual([[{ state: "cut" }], [{ action: "cut" }, { action: "cut-done-on-gateway" }]]);
});

test("[CUT4] cut twice, at once and later: one cut, one receipt, one audit entry", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const device = await world.allow();
  const both = [world.cut(device.id), world.cut(device.id)];
  const message = await connector.cuts.next();
  const receipt = await world.sign(message, device.grant);
  connector.answer(message, { receipt });
  const [first, second] = await Promise.all(both);
  expect(second).toEqual(first);
  expect(await world.cut(device.id)).toEqual(first);
  expect((await world.auditActions()).filter((action) => action === "cut")).toHaveLength(1);
  const names = await world.inRoom((storage) => storage.receipt(device.id)?.cut);
  expect(names).toBe(message.cut);
});

test("[CUT1] [ST7] [case 26] cut in the middle of 25 MiB to the device and 25 MiB from it: nothing crosses after the commit, its neighbour goes on", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const [device, other] = [await world.allow(), await world.allow()];
  const { stream, browser } = await world.stream(connector, device);
  const neighbour = await world.stream(connector, other);
  const small = await world.stream(connector, device);
  const large = new Uint8Array(MAX_MESSAGE_BYTES);
  // Both ways are under way: part of one message is in the room, and a gateway that reads nothing holds up the other.
  stream.isGranting = false;
  browser?.ws.send(large);
  await stream.body(large.subarray(0, 4 * 1024 * 1024));
  await expect.poll(() => stream.receivedBytes).toBe(INITIAL_CREDIT_BYTES - (INITIAL_CREDIT_BYTES % MAX_FRAME_PAYLOAD_BYTES));
  const { result } = await confirmedCut(world, connector, device);
  expect(result).toMatchObject({ ok: true, value: { edge: { socketsClosed: 2 } } });
  const received = stream.receivedBytes;
  stream.ignoresCredit = true;
  stream.grant(MAX_MESSAGE_BYTES);
  await stream.send(large.subarray(4 * 1024 * 1024));
  expect(await browser?.closed).toMatchObject({ code: CLOSE_CUT });
  expect(browser?.messages.count).toBe(0);
  // What the connector had under way already reaches a room that knows the stream no more.
  await small.stream.send("after the cut");
  expect(await small.browser?.closed).toMatchObject({ code: CLOSE_CUT });
  expect(small.browser?.messages.count).toBe(0);
  neighbour.browser?.ws.send("still here");
  expect((await neighbour.stream.messages.next()).isText).toBe(true);
  expect(stream.receivedBytes).toBe(received);
}, 30_000);

test("[CUT1] [ST7] a room that stops between the commit and the closes lets nothing cross afterwards, in either direction", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const device = await world.allow();
  const [up, down] = [await world.stream(connector, device), await world.stream(connector, device)];
  const forgotten = vi.spyOn(Relay.prototype, "endDevice").mockReturnValue(0);
  await confirmedCut(world, connector, device);
  forgotten.mockRestore();
  up.browser?.ws.send("after the cut");
  expect(await up.browser?.closed).toMatchObject({ code: CLOSE_CUT });
  expect(await up.stream.endings.next()).toMatchObject({ type: FRAME_RESET, code: CLOSE_CUT });
  await down.stream.send("after the cut");
  expect(await down.browser?.closed).toMatchObject({ code: CLOSE_CUT });
  expect([up.stream.receivedBytes, down.browser?.messages.count]).toEqual([0, 0]);
});

test("[CUT3] a receipt that another key signed, or that says another gateway, device, cut or host, confirms nothing; the owner sees why", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const device = await world.allow();
  const cutting = world.cut(device.id);
  const message = await connector.cuts.next();
  connector.answer(message, { receipt: await world.sign(message, device.grant, {}, await newLogKey()) });
  expect(await cutting).toMatchObject({ value: { gateway: { state: "pending", why: "bad-receipt" }, isSigned: false } });
  const honest = await world.sign(message, device.grant);
  const others = [
    await world.sign(message, device.grant, { gateway: "a".repeat(23) }),
    await world.sign(message, device.grant, { device: "b".repeat(26) }),
    await world.sign(message, device.grant, { by: "host" }),
    { ...honest, statement: (await world.sign(message, device.grant, { removed: 9 })).statement },
  ];
  for (const receipt of others) connector.link.say({ type: "cut-done", device: device.id, removed: 1, atMs: 2_000, by: "owner", receipt });
  await expect.poll(async () => (await world.auditActions()).filter((action) => action === "receipt-refused").length).toBe(5);
  connector.link.say({ type: "cut-done", device: device.id, removed: 1, atMs: 1, by: "owner", receipt: await world.sign(message, device.grant, { cut: "c".repeat(26) }) }); // prettier-ignore
  expect(await connector.acks.next()).toBe("c".repeat(26));
  expect(await world.receipt(device.id)).toMatchObject({ value: { gateway: { state: "pending" }, isSigned: false } });
  connector.link.say({ type: "cut-done", device: device.id, removed: 1, atMs: 2_000, by: "owner", receipt: honest });
  expect(await connector.acks.next()).toBe(message.cut);
  expect(await world.receipt(device.id)).toMatchObject({ value: { gateway: { state: "done" }, isSigned: true } });
});

test("[CUT4] [case 46] a receipt that a restored room does not know cuts the device there, too; one of an earlier grant does not", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const [forgotten, anew] = [await world.allow(), await world.allow()];
  const say = async (device: { id: string }, grant: string, cut: string): Promise<void> => {
    const message = { type: "cut", id: "x", device: device.id, cutAtMs: 1, cut } as const;
    connector.link.say({
      type: "cut-done",
      device: device.id,
      removed: 1,
      atMs: 2,
      by: "owner",
      receipt: await world.sign(message, grant),
    });
    expect(await connector.acks.next()).toBe(cut);
  };
  await say(forgotten, forgotten.grant, "d".repeat(26));
  await say(anew, "g".repeat(26), "f".repeat(26));
  expect(await traces(world, forgotten.id)).toMatchObject({ state: "cut", receipt: "done" });
  expect(await traces(world, anew.id)).toMatchObject({ state: "allowed", receipt: null });
});

test("[CUT6] a connector that does not answer a cut in time loses its link, and the owner sees why; the next one is asked again", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const device = await world.allow();
  const cutting = world.cut(device.id);
  const message = await connector.cuts.next();
  passTime(CUT_ANSWER_MS - 1_000);
  await world.alarm();
  expect(connector.link.ws.readyState).toBe(WebSocket.OPEN);
  passTime(CUT_ANSWER_MS + 1);
  await world.alarm();
  expect(await connector.link.closed).toMatchObject({ code: CLOSE_UNANSWERED });
  expect(await cutting).toMatchObject({ value: { gateway: { state: "pending", why: "no-answer", deniedAtMs: null } } });
  expect(await world.auditActions()).toContain("cut-unanswered");
  vi.useRealTimers();
  const next = await world.connect();
  expect(await next.cuts.next()).toEqual(message);
});

test("[CUT6] the time runs also in a room that slept since it asked; an answered cut closes no link", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const [device, other] = [await world.allow(), await world.allow()];
  await confirmedCut(world, connector, other);
  passTime(CUT_ANSWER_MS + 1);
  await world.alarm();
  expect(connector.link.ws.readyState).toBe(WebSocket.OPEN);
  vi.useRealTimers();
  connector.link.ws.close(1000);
  await connector.link.closed;
  expect(await world.cut(device.id)).toMatchObject({ value: { gateway: { state: "pending", why: "no-link" } } });
  const next = await world.connect();
  await next.cuts.next();
  await evictDurableObject(world.gateway.room);
  passTime(CUT_ANSWER_MS + 1);
  await world.alarm();
  expect(await next.link.closed).toMatchObject({ code: CLOSE_UNANSWERED });
});

test("[CUT4] [case 47] a machine whose disk refused the cut keeps its link and is asked again after a minute", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const device = await world.allow();
  const cutting = world.cut(device.id);
  const message = await connector.cuts.next();
  connector.link.say({ type: "result", id: message.id, ok: false, refusal: "internal" });
  expect(await cutting).toMatchObject({ value: { gateway: { state: "pending", why: "not-written" } } });
  passTime(CUT_AGAIN_MS + 1);
  await world.alarm();
  const again = await connector.cuts.next();
  expect(again).toEqual(message);
  connector.answer(again, { receipt: await world.sign(again, device.grant) });
  expect(await connector.acks.next()).toBe(message.cut);
  expect(connector.link.ws.readyState).toBe(WebSocket.OPEN);
});

test("[CUT3] [case 11] a connector of the version before confirms without a signature, which the receipt says; it cannot be exported", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect({ protocol: 1 });
  const device = await world.allow();
  const cutting = world.cut(device.id);
  connector.answer(await connector.cuts.next(), {});
  expect(await cutting).toMatchObject({ value: { gateway: { state: "done" }, isSigned: false } });
  expect(await world.gateway.room.receiptFile({ account: world.gateway.person.id, device: device.id })).toEqual({
    ok: false,
    failure: "not-found",
  });
});

test("[CUT5] [case 40] the owner exports the receipt, which is recorded; nobody else gets it", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const device = await world.allow();
  const { receipt } = await confirmedCut(world, connector, device);
  const url = `${config.appOrigin}/api/gateways/${world.gateway.gateway}/devices/${device.id}/receipt.json`;
  const answer = await ask(url, { cookie: await world.gateway.person.cookie("app") });
  expect([answer.status, answer.headers.get("content-disposition")]).toEqual([
    200,
    `attachment; filename="gatehouse-receipt-${device.id}.json"`,
  ]);
  const file = receiptFileSchema.parse(await answer.json());
  expect(file).toMatchObject({ ...receipt, connectorKey: world.key.key });
  expect(await world.auditActions()).toContain("receipt-exported");
  const stranger = await newPerson();
  expect((await ask(url, { cookie: await stranger.cookie("app") })).status).toBe(404);
  expect(await world.gateway.room.receiptFile({ account: stranger.id, device: device.id })).toEqual({ ok: false, failure: "not-found" });
});
