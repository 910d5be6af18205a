/** Several frames in one message of the link, between ends that both read it, and beside ends that do not. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { FrameSender } from "../../src/core/link/frame-sender.ts";
import { piecesOf } from "../../src/core/link/message-frames.ts";
import { FLAG_FIN, FLAG_TEXT, FRAME_DATA } from "../../src/protocol/frame.ts";
import { CREDIT_STEP_BYTES, INITIAL_CREDIT_BYTES, MAX_FRAME_BYTES, MAX_FRAME_PAYLOAD_BYTES } from "../../src/protocol/limits.ts";
import { utf8 } from "../../src/protocol/statement-encoding.ts";
import { FakeConnector } from "./fake-connector.ts";
import type { FakeStream } from "./fake-connector.ts";
import { FakeBrowser, allowDevice, env, newBench, upgrade } from "./room-bench.ts";

async function world(isBatching: boolean) {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity, 0, isBatching ? { batch: true } : {});
  const open = async (): Promise<{ browser: FakeBrowser; stream: FakeStream }> => {
    const answer = upgrade(bench, await allowDevice(bench));
    const stream = await connector.streams.next();
    stream.opened();
    return { browser: new FakeBrowser(await answer), stream };
  };
  return { bench, connector, open };
}

/** One message of the link with the frames of all these messages. */
function batchOf(messages: readonly (readonly [FakeStream, string | Uint8Array])[]): Uint8Array<ArrayBuffer> {
  const sent: Uint8Array<ArrayBuffer>[] = [];
  const frames = new FrameSender({ transmit: (message) => sent.push(message), allocate: (bytes) => new Uint8Array(bytes) });
  frames.isBatching = true;
  for (const [stream, message] of messages) {
    const isText = typeof message === "string";
    for (const piece of piecesOf(isText ? utf8(message) : message, isText)) frames.putData(stream.id, piece, 0);
  }
  frames.flush();
  const [only] = sent;
  if (only === undefined || sent.length > 1) throw new Error(`${sent.length} messages`);
  return only;
}

async function holding({ room }: Awaited<ReturnType<typeof newBench>>): Promise<boolean[]> {
  return runInDurableObject(room, (_room, state) =>
    state.getWebSockets("stream").map((ws) => (ws.deserializeAttachment() as { holding: boolean }).holding),
  );
}

test("[FR5] frames of several streams in one message reach their browsers, in order, also after the room slept", async () => {
  const { bench, connector, open } = await world(true);
  const [a, b] = [await open(), await open()];
  const send = (): void => connector.frame(batchOf([[a.stream, "one"], [b.stream, "two"], [a.stream, "three"], [b.stream, new Uint8Array(5)]])); // prettier-ignore
  for (let round = 0; round < 2; round += 1) {
    send();
    expect([await a.browser.messages.next(), await a.browser.messages.next()]).toEqual(["one", "three"]);
    expect(await b.browser.messages.next()).toBe("two");
    expect((await b.browser.messages.next()) as ArrayBuffer).toHaveProperty("byteLength", 5);
    await evictDurableObject(bench.room);
  }
});

test("[FR5] [case 22] a batch that is cut off ends the link with 1002, and nothing of it is acted on", async () => {
  const { connector, open } = await world(true);
  const { browser, stream } = await open();
  const whole = batchOf([[stream, "one"], [stream, "two"]]); // prettier-ignore
  connector.frame(whole.subarray(0, whole.byteLength - 1));
  expect((await connector.closed).code).toBe(1002);
  expect((await browser.closed).code).toBe(4502);
  expect(browser.messages.count).toBe(0);
});

test("[FR5] [case 11] a batch of a connector that never said so ends the link with 1002; such a connector gets none", async () => {
  const { connector, open } = await world(false);
  const { browser, stream } = await open();
  browser.ws.send(new Uint8Array(200_000));
  expect((await stream.messages.next()).data.byteLength).toBe(200_000);
  await stream.send(new Uint8Array(100_000));
  await browser.messages.next();
  browser.ws.send("small");
  await stream.messages.next();
  expect(Math.max(...connector.messageSizes)).toBeLessThanOrEqual(MAX_FRAME_BYTES);
  connector.frame(batchOf([[stream, "one"], [stream, "two"]])); // prettier-ignore
  expect((await connector.closed).code).toBe(1002);
  expect(browser.messages.count).toBe(0);
});

test("[FR5] what the room has to send at once leaves in as few messages as hold it: 64 KiB and its header in one", async () => {
  const { connector, open } = await world(true);
  const { browser, stream } = await open();
  const before = connector.messageSizes.length;
  browser.ws.send(new Uint8Array(65_536));
  expect((await stream.messages.next()).data.byteLength).toBe(65_536);
  expect([connector.messageSizes.length - before, connector.batchCount]).toEqual([1, 1]);
});

test("[FR5] [CR4] the probe behind what exceeds the credit goes along with it: 400,000 bytes begin with two messages", async () => {
  const { connector, open } = await world(true);
  const { browser, stream } = await open();
  stream.isGranting = false;
  const before = connector.messageSizes.length;
  browser.ws.send(new Uint8Array(400_000));
  expect(await stream.probes.next()).toBe(INITIAL_CREDIT_BYTES - 4 * MAX_FRAME_PAYLOAD_BYTES);
  expect([connector.messageSizes.length - before, connector.batchCount]).toEqual([2, 2]);
});

test("[FR5] [ST6] what several messages of one event say stays apart", async () => {
  const { open } = await world(true);
  const { browser, stream } = await open();
  const bytes = Uint8Array.from({ length: 250_000 }, (_, at) => (at >> 8) & 0xff);
  browser.ws.send(bytes);
  expect((await stream.messages.next()).data).toEqual(bytes);
  const back = Uint8Array.from({ length: 100_000 }, (_, at) => (at >> 7) & 0xff);
  await Promise.all([stream.send(bytes), stream.send(back)]);
  expect(new Uint8Array((await browser.messages.next()) as ArrayBuffer)).toEqual(bytes);
  expect(new Uint8Array((await browser.messages.next()) as ArrayBuffer)).toEqual(back);
});

test("[CR4] a probe is not answered when all was granted before it came", async () => {
  const { connector, open } = await world(true);
  const { browser, stream } = await open();
  connector.frame(batchOf([[stream, new Uint8Array(MAX_FRAME_PAYLOAD_BYTES)], [stream, new Uint8Array(CREDIT_STEP_BYTES - MAX_FRAME_PAYLOAD_BYTES)]])); // prettier-ignore
  await browser.messages.next();
  stream.probe();
  // What comes later was sent later.
  browser.ws.send("next");
  await stream.messages.next();
  expect(stream.credits).toEqual([CREDIT_STEP_BYTES]);
});

test("[CR3] the room's grant goes along with the browser's next message", async () => {
  const { connector, open } = await world(true);
  const { browser, stream } = await open();
  connector.frame(batchOf([[stream, new Uint8Array(20_000)]])); // prettier-ignore
  await browser.messages.next();
  expect(stream.credits).toEqual([]);
  browser.ws.send("next");
  await stream.messages.next();
  expect(stream.credits).toEqual([20_000]);
  expect(connector.batchCount).toBe(1);
});

test("[ST6] a message whose frames come together is never noted as held; half of one is, and ends its stream when the room wakes without it", async () => {
  const { bench, connector, open } = await world(true);
  const [a, b] = [await open(), await open()];
  connector.frame(batchOf([[a.stream, new Uint8Array(65_536)]])); // prettier-ignore
  await a.browser.messages.next();
  expect(await holding(bench)).toEqual([false, false]);
  // The neighbour's frame behind it: what a stream holds is noted although the event goes on with another.
  const frames: Uint8Array<ArrayBuffer>[] = [];
  const sender = new FrameSender({ transmit: (message) => frames.push(message), allocate: (bytes) => new Uint8Array(bytes) });
  sender.isBatching = true;
  sender.put(FRAME_DATA, 0, a.stream.id, new Uint8Array(MAX_FRAME_PAYLOAD_BYTES));
  sender.put(FRAME_DATA, FLAG_FIN | FLAG_TEXT, b.stream.id, utf8("whole"));
  sender.flush();
  for (const message of frames) connector.frame(message);
  expect(await b.browser.messages.next()).toBe("whole");
  expect(new Set(await holding(bench))).toEqual(new Set([false, true]));
  await evictDurableObject(bench.room);
  b.browser.ws.send("awake");
  await b.stream.messages.next();
  expect(await a.browser.closed).toEqual({ code: 4502, reason: "device-room: room restarted" });
  expect(a.browser.messages.count).toBe(0);
});
