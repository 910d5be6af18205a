/** Frames that say their place, in workerd: what is lost or doubled on the link ends the stream by that name, and a room's sleep never does. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { FLAG_FIN, FLAG_TEXT, FRAME_DATA, FRAME_END, FRAME_RESET } from "../../src/protocol/frame.ts";
import { CREDIT_STEP_BYTES } from "../../src/protocol/limits.ts";
import { utf8 } from "../../src/protocol/statement-encoding.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { FakeConnector } from "./fake-connector.ts";
import { allowDevice, env, newBench, openStream, visit } from "./room-bench.ts";
import type { Bench } from "./room-bench.ts";

const MISSING = { code: 4502, reason: "room-connector: bytes are missing" };
const TWICE = { code: 4502, reason: "room-connector: bytes came twice" };
const TEXT = FLAG_TEXT | FLAG_FIN;

async function world(places = true) {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity, 0, places ? { batch: true, places: true } : {});
  const device = await allowDevice(bench);
  return { bench, connector, device, ...(await openStream(bench, connector, device)) };
}

async function broken({ room }: Bench): Promise<unknown[]> {
  const lines = await runInDurableObject(room, (_room, state) => new RoomStorage(state.storage).auditLines(0, 500));
  const rows = lines.map((line) => JSON.parse(line) as { action: string; detail: { leg: string; why: string } });
  return rows.filter(({ action }) => action === "stream-broken").map(({ detail }) => `${detail.leg}: ${detail.why}`);
}

test("[FR6] [ST6] [case 31] a frame of the gateway is lost on the link: the browser's stream ends by that name at the next one, which is not shown", async () => {
  const { bench, browser, stream } = await world();
  await stream.send("one");
  stream.framed(FRAME_DATA, TEXT, utf8("two"));
  await stream.send("three");
  expect(await browser.closed).toEqual(MISSING);
  expect(await stream.endings.next()).toEqual({ type: FRAME_RESET, ...MISSING });
  expect([await browser.messages.next(), browser.messages.count]).toEqual(["one", 0]);
  expect(await broken(bench)).toEqual([MISSING.reason]);
});

test("[FR6] [ST6] [case 31] a frame of the gateway comes twice: the browser gets it once, and its stream ends by that name", async () => {
  const { bench, connector, browser, stream } = await world();
  const frame = stream.framed(FRAME_DATA, TEXT, utf8("once"));
  connector.frame(frame);
  connector.frame(frame);
  expect(await browser.closed).toEqual(TWICE);
  expect([await browser.messages.next(), browser.messages.count]).toEqual(["once", 0]);
  expect(await broken(bench)).toEqual([TWICE.reason]);
});

test("[FR6] [ST6] [case 31] the last words of the gateway are lost: its close is not passed on as if nothing were", async () => {
  const { browser, stream } = await world();
  stream.framed(FRAME_DATA, TEXT, utf8("goodbye"));
  stream.close(1000, "done");
  expect(await browser.closed).toEqual(MISSING);
});

test("[FR6] [ST4] [case 31] part of an answer is lost: its end does not make it whole", async () => {
  const { bench, connector, device } = await world();
  const asking = visit(bench, device, "/");
  const exchange = await connector.streams.next();
  exchange.opened(200);
  await exchange.body(new Uint8Array(1_000));
  exchange.framed(FRAME_DATA, 0, new Uint8Array(1_000));
  const { body } = await asking;
  const read = new Response(body).arrayBuffer().then(
    () => "whole",
    () => "broke off",
  );
  exchange.end();
  expect(await exchange.endings.next()).toMatchObject({ type: FRAME_END });
  expect(await exchange.endings.next()).toEqual({ type: FRAME_RESET, ...MISSING });
  expect(await read).toBe("broke off");
});

test("[FR6] [ST9] [case 31] an upload that lost bytes: the visitor's error names the leg", async () => {
  const { bench, connector, device } = await world();
  const asking = visit(bench, device, "/");
  (await connector.streams.next()).reset(MISSING.code, MISSING.reason);
  expect(await (await asking).text()).toBe("The gateway's connection broke (room-connector).\n");
});

test("[FR6] [CR5] a room that sleeps after each message counts on: nothing begins anew, and what is lost between two sleeps is found", async () => {
  const { bench, browser, stream } = await world();
  for (let round = 0; round < 4; round += 1) {
    browser.ws.send(`up ${round}`);
    await stream.messages.next();
    await stream.send(`down ${round}`);
    expect(await browser.messages.next()).toBe(`down ${round}`);
    await evictDurableObject(bench.room);
  }
  expect([stream.wrong, stream.anew]).toEqual([[], []]);
  stream.framed(FRAME_DATA, TEXT, utf8("lost before the room woke"));
  await stream.send("after it");
  expect(await browser.closed).toEqual(MISSING);
});

test("[FR6] [CR5] a room that sleeps after many messages begins anew, each time with another count, and tells no honest connector that bytes are missing", async () => {
  const { bench, browser, stream } = await world();
  for (let round = 0; round < 3; round += 1) {
    for (let i = 0; i < 20; i += 1) {
      browser.ws.send(`up ${i}`);
      await stream.messages.next();
      await stream.send(`down ${i}`);
      await browser.messages.next();
    }
    await evictDurableObject(bench.room);
  }
  browser.ws.send("the last");
  await stream.messages.next();
  expect(stream.wrong).toEqual([]);
  expect([stream.anew.length, new Set(stream.anew).size]).toEqual([3, 3]);
});

test("[FR6] [CR5] a count that was lost before the first frame went out is begun by that frame, however many came before it", async () => {
  const { bench, browser, stream } = await world();
  for (let round = 0; round < 3; round += 1) {
    for (let i = 0; i < 20; i += 1) {
      await stream.send(`down ${i}`);
      await browser.messages.next();
    }
    browser.ws.send("up");
    await stream.messages.next();
    await evictDurableObject(bench.room);
  }
  browser.ws.send("up");
  await stream.messages.next();
  expect(stream.wrong).toEqual([]);
  expect(new Set(stream.anew).size).toBe(stream.anew.length);
});

test.each([1, 20])("[FR6] [ST5] a close that wakes the room stands behind the %s messages before it", async (messages) => {
  const { bench, browser, stream } = await world();
  for (let i = 0; i < messages; i += 1) {
    browser.ws.send("up");
    await stream.messages.next();
  }
  await evictDurableObject(bench.room);
  browser.ws.close(1000, "bye");
  expect(await stream.endings.next()).toMatchObject({ code: 1000, reason: "bye" });
  expect(stream.wrong).toEqual([]);
});

test("[FR6] [case 11] to and from a connector that never said so no frame says its place, and a frame that does ends the link with 1002", async () => {
  const { bench, connector, browser, stream } = await world(false);
  browser.ws.send("up");
  await stream.messages.next();
  await stream.send("down");
  expect(await browser.messages.next()).toBe("down");
  await evictDurableObject(bench.room);
  browser.ws.send("up");
  await stream.messages.next();
  expect(stream.anew).toEqual([]);
  connector.hasPlaces = true;
  await stream.send("with its place");
  expect((await connector.closed).code).toBe(1002);
});

test("[FR6] [CR4] a second PROBE without a grant between is answered with CREDIT 0, whose place tells whether that grant was lost", async () => {
  const { browser, stream } = await world();
  await stream.send(new Uint8Array(CREDIT_STEP_BYTES));
  await browser.messages.next();
  await expect.poll(() => stream.credits).toEqual([CREDIT_STEP_BYTES]);
  stream.probe();
  stream.probe();
  stream.probe();
  await expect.poll(() => stream.credits).toEqual([CREDIT_STEP_BYTES, 0, 0]);
});
