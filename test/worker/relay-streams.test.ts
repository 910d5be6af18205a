/** WebSocket streams through a real room: what arrives is what was sent. */
import { expect, test } from "vitest";
import { FakeConnector } from "./fake-connector.ts";
import type { FakeStream } from "./fake-connector.ts";
import { FakeBrowser, allowDevice, env, newBench, upgrade } from "./room-bench.ts";
import type { AllowedDevice, Bench } from "./room-bench.ts";

async function connected() {
  const bench = await newBench();
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  const device = await allowDevice(bench);
  return { bench, connector, device };
}

async function openStream(
  bench: Bench,
  connector: FakeConnector,
  device: AllowedDevice,
  path = "/",
): Promise<{ browser: FakeBrowser; stream: FakeStream }> {
  const answer = upgrade(bench, device, path);
  const stream = await connector.streams.next();
  stream.opened();
  return { browser: new FakeBrowser(await answer), stream };
}

function pattern(bytes: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i += 1) out[i] = (i * 31 + (i >> 8)) & 0xff;
  return out;
}

async function hash(bytes: ArrayBuffer | Uint8Array<ArrayBuffer>): Promise<string> {
  return [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))].join(",");
}

test.each([0, 1, 65_527, 65_528, 65_529, 200_000, 262_144, 1_000_000])(
  "[ST2] a binary message of %d bytes arrives as one message in both directions",
  async (bytes) => {
    const { bench, connector, device } = await connected();
    const { browser, stream } = await openStream(bench, connector, device);
    const message = pattern(bytes);
    browser.ws.send(message);
    const up = await stream.messages.next();
    expect(up.isText).toBe(false);
    expect(await hash(up.data)).toBe(await hash(message));
    await stream.send(message);
    const down = await browser.messages.next();
    expect(down).toBeInstanceOf(ArrayBuffer);
    expect(await hash(down as ArrayBuffer)).toBe(await hash(message));
  },
);
