/** Grants smaller than a piece, as a connector makes them over a slow line: the room sends what they cover. */
import { expect, test } from "vitest";
import { FLAG_SPLIT, FRAME_END } from "../../src/protocol/frame.ts";
import { INITIAL_CREDIT_BYTES, MAX_FRAME_PAYLOAD_BYTES } from "../../src/protocol/limits.ts";
import { FakeConnector } from "./fake-connector.ts";
import { hash, pattern } from "./long-messages.ts";
import { connected, env, newBench, openStream, visit } from "./room-bench.ts";

/** What four whole pieces leave of the first window. */
const REST = INITIAL_CREDIT_BYTES - 4 * MAX_FRAME_PAYLOAD_BYTES;

test("[CR12] the room says that it cuts pieces", async () => {
  const bench = await newBench();
  const connector = await FakeConnector.dial(env, bench.gateway);
  await connector.hello(bench.gateway, bench.identity);
  expect((await connector.welcome()).split).toBe(true);
});

test("[CR12] [ST2] a message goes on with what a small grant covers when it says so, and arrives whole", async () => {
  const { bench, connector, device } = await connected();
  const { browser, stream } = await openStream(bench, connector, device);
  stream.isGranting = false;
  const message = pattern(INITIAL_CREDIT_BYTES + 100_000);
  browser.ws.send(message);
  expect(await stream.probes.next()).toBe(REST);
  // Without it a piece waits until there is credit for all of it.
  stream.grant(3_000);
  expect(await stream.probes.next()).toBe(REST + 3_000);
  expect(stream.receivedBytes).toBe(4 * MAX_FRAME_PAYLOAD_BYTES);
  for (let each = 1; each <= 3; each += 1) {
    stream.grant(5_000, FLAG_SPLIT);
    expect(await stream.probes.next()).toBe(0);
    expect(stream.receivedBytes).toBe(INITIAL_CREDIT_BYTES + 3_000 + each * 5_000);
  }
  stream.grant(100_000 - 18_000);
  const got = await stream.messages.next();
  expect(await hash(got.data)).toBe(await hash(message));
});

test("[CR12] [ST4] an upload goes on with what a small grant covers, and ends at its end", async () => {
  const { bench, connector, device } = await connected();
  const body = pattern(INITIAL_CREDIT_BYTES + 100_000);
  const answer = visit(bench, device, "/upload", { method: "POST", headers: { origin: bench.origin }, body });
  const stream = await connector.streams.next();
  stream.isGranting = false;
  expect(await stream.probes.next()).toBe(INITIAL_CREDIT_BYTES - stream.receivedBytes);
  const before = INITIAL_CREDIT_BYTES - stream.receivedBytes;
  stream.grant(3_000, FLAG_SPLIT);
  expect(await stream.probes.next()).toBe(0);
  expect(stream.receivedBytes).toBe(INITIAL_CREDIT_BYTES + 3_000);
  expect(before).toBeLessThan(MAX_FRAME_PAYLOAD_BYTES);
  stream.grant(200_000);
  expect(await stream.endings.next()).toMatchObject({ type: FRAME_END });
  expect(stream.receivedBytes).toBe(body.byteLength);
  stream.opened(204);
  stream.end();
  expect((await answer).status).toBe(204);
});
