/** Streams that nobody closed: each says on which leg it broke, to the browser and, bounded, in the audit. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { FRAME_DATA, FRAME_PROBE, encodeFrame } from "../../src/protocol/frame.ts";
import { BREAK_ROWS } from "../../src/protocol/limits.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { FakeConnector } from "./fake-connector.ts";
import { connected, env, openStream, visit } from "./room-bench.ts";
import type { Bench } from "./room-bench.ts";

interface Row {
  readonly actor: string;
  readonly device: string | null;
  readonly detail: Readonly<Record<string, unknown>>;
}

async function broken(bench: Bench): Promise<Row[]> {
  const lines = await runInDurableObject(bench.room, (_room, state) => new RoomStorage(state.storage).auditLines(0, 500));
  return lines.map((line) => JSON.parse(line) as Row & { action: string }).filter(({ action }) => action === "stream-broken");
}

test("[ST9] [ST6] the link goes: every stream says room-connector, and the audit has one row for all of them", async () => {
  const { bench, connector, device } = await connected();
  const streams = [
    await openStream(bench, connector, device),
    await openStream(bench, connector, device),
    await openStream(bench, connector, device),
  ];
  connector.ws.close(1001, "going away");
  for (const { browser } of streams) expect(await browser.closed).toEqual({ code: 4502, reason: "room-connector: connection lost" });
  expect(await broken(bench)).toMatchObject([
    { actor: "gateway", device: null, detail: { leg: "room-connector", why: "connection lost", code: 4502, streams: 3, unnoted: 0 } },
  ]);
});

test("[ST9] a newer connector, or one that breaks the protocol: the reason says that, too", async () => {
  const { bench, connector, device } = await connected();
  const first = await openStream(bench, connector, device);
  const next = await FakeConnector.up(env, bench.gateway, bench.identity, connector.generation);
  expect(await first.browser.closed).toEqual({ code: 4502, reason: "room-connector: a newer connector took over" });
  const second = await openStream(bench, next, device);
  next.frame(encodeFrame(FRAME_PROBE, 0, second.stream.id, new Uint8Array(1)));
  expect(await second.browser.closed).toEqual({ code: 1002, reason: "room-connector: bad probe" });
  expect((await broken(bench)).map(({ detail }) => detail["leg"])).toEqual(["room-connector", "room-connector"]);
});

test("[ST9] [ST5] what the gateway says crosses as it is and is no break; a gateway that is lost is one", async () => {
  const { bench, connector, device } = await connected();
  const clean = await openStream(bench, connector, device);
  clean.stream.close(1008, "pairing required");
  expect(await clean.browser.closed).toEqual({ code: 1008, reason: "pairing required" });
  expect(await broken(bench)).toEqual([]);
  const lost = await openStream(bench, connector, device);
  lost.stream.close(1006, "");
  expect(await lost.browser.closed).toEqual({ code: 4502, reason: "connector-gateway: connection lost" });
  const reset = await openStream(bench, connector, device);
  reset.stream.reset(4502, "connector-gateway: gateway not serving");
  expect(await reset.browser.closed).toEqual({ code: 4502, reason: "connector-gateway: gateway not serving" });
  const asking = visit(bench, device, "/");
  (await connector.streams.next()).reset(4502, "connector-gateway: gateway did not answer");
  expect(await (await asking).text()).toBe("The gateway did not answer (connector-gateway).\n");
  expect(await broken(bench)).toMatchObject([
    { actor: "gateway", device: device.device, detail: { leg: "connector-gateway", why: "connection lost" } },
    { detail: { leg: "connector-gateway", why: "gateway not serving" } },
    { detail: { leg: "connector-gateway", why: "gateway did not answer" } },
  ]);
});

test("[ST9] a browser that closes, a page that leaves, a session that is over and a cut are no breaks", async () => {
  const { bench, connector, device } = await connected();
  const closed = await openStream(bench, connector, device);
  closed.browser.ws.close(1000, "bye");
  await closed.stream.endings.next();
  const asking = visit(bench, device, "/");
  const stream = await connector.streams.next();
  stream.opened(200);
  await (await asking).body?.cancel();
  void stream.body(new Uint8Array(10));
  const over = await openStream(bench, connector, device);
  over.stream.reset(4401, "session over");
  expect(await over.browser.closed).toEqual({ code: 4401, reason: "session over" });
  expect(await broken(bench)).toEqual([]);
});

test("[ST9] a room that woke in the middle of a message names the leg, and its row comes after the wake", async () => {
  const { bench, connector, device } = await connected();
  const { browser, stream } = await openStream(bench, connector, device);
  const beside = await openStream(bench, connector, device);
  await stream.send("before");
  await browser.messages.next();
  connector.frame(encodeFrame(FRAME_DATA, 0, stream.id, new Uint8Array(10)));
  await beside.stream.send("in order");
  await beside.browser.messages.next();
  await evictDurableObject(bench.room);
  await beside.stream.send("awake");
  expect(await browser.closed).toEqual({ code: 4502, reason: "device-room: room restarted" });
  await expect
    .poll(() => broken(bench))
    .toMatchObject([{ actor: "device", detail: { leg: "device-room", why: "room restarted", streams: 1 } }]);
});

test("[AU7] breaks beyond the first few have no row of their own; the next row counts them", async () => {
  const { bench, connector, device } = await connected();
  const breaks = BREAK_ROWS.burst + 15;
  for (let i = 0; i < breaks; i += 1) {
    const { browser, stream } = await openStream(bench, connector, device);
    stream.reset(4502, "connector-gateway: gateway not serving");
    await browser.closed;
  }
  const rows = await broken(bench);
  expect(rows.length).toBeGreaterThanOrEqual(BREAK_ROWS.burst);
  expect(rows.length).toBeLessThan(breaks);
});
