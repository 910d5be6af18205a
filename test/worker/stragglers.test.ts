/** Sockets of cut devices that do not answer their close: nothing of theirs crosses, and the room gets rid of them without being at their mercy. */
import { runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { CLOSE_CUT } from "../../src/protocol/close-codes.ts";
import { ABORT_PAUSE_MS, CLOSE_ANSWER_MS, MAX_BYTES_AFTER_CUT, MAX_FRAMES_AFTER_CUT } from "../../src/protocol/limits.ts";
import type { Room } from "../../src/worker/room/room.ts";
import { Stragglers } from "../../src/worker/room/relay/unclosed-sockets.ts";
import { CutWorld } from "./cut-world.ts";
import type { CuttingConnector } from "./cut-world.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function cut(world: CutWorld, connector: CuttingConnector, device: { readonly id: string; readonly grant: string }): Promise<void> {
  const cutting = world.cut(device.id);
  const message = await connector.cuts.next();
  connector.answer(message, { receipt: await world.sign(message, device.grant) });
  await cutting;
}

/** What the room restarts with, so that the test's own room stays. */
function restarts(): () => number {
  const asked = vi.spyOn(Stragglers.prototype, "restart").mockImplementation(() => undefined);
  return () => asked.mock.calls.length;
}

function isClosing(world: CutWorld): Promise<boolean> {
  return world.inRoom((_storage, state) => state.getWebSockets("stream").some((ws) => ws.readyState === WebSocket.CLOSING));
}

/** The client answers after all: the next test's clock must not find it, the spy counts for every room. */
async function answer(world: CutWorld, ws: WebSocket): Promise<void> {
  ws.accept();
  await expect.poll(() => isClosing(world)).toBe(false);
}

/** Messages of a client that ignores the close, at the handler where they would come in. */
async function goOn(world: CutWorld, count: number, message: string | ArrayBuffer): Promise<void> {
  await runInDurableObject(world.gateway.room, async (room, state) => {
    const [server] = state.getWebSockets("stream");
    if (server === undefined) throw new Error("the socket is gone");
    for (let i = 0; i < count; i += 1) await (room as unknown as Room).webSocketMessage(server, message);
  });
}

test("[CUT6] [case 27] a cut client that ignores its close and sends on: dropped, and after fifty messages or a megabyte the room restarts", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const asked = restarts();
  const [device, bulky, other] = [await world.allow(), await world.allow(), await world.allow()];
  const first = await world.stream(connector, device, false);
  const neighbour = await world.stream(connector, other);
  await cut(world, connector, device);
  await goOn(world, MAX_FRAMES_AFTER_CUT, "still here");
  expect(asked()).toBe(0);
  await goOn(world, 1, "still here");
  expect(asked()).toBe(1);
  expect(first.stream.receivedBytes).toBe(0);
  neighbour.browser?.ws.send("neighbour");
  expect((await neighbour.stream.messages.next()).isText).toBe(true);
  first.ws.accept();
  const second = await world.stream(connector, bulky, false);
  await cut(world, connector, bulky);
  await expect.poll(() => isClosing(world)).toBe(true);
  await runInDurableObject(world.gateway.room, async (room, state) => {
    for (const ws of state.getWebSockets("stream"))
      if (ws.readyState === WebSocket.CLOSING)
        await (room as unknown as Room).webSocketMessage(ws, new ArrayBuffer(MAX_BYTES_AFTER_CUT + 1));
  });
  expect(asked()).toBeGreaterThan(1);
  expect(second.stream.receivedBytes).toBe(0);
  await answer(world, second.ws);
});

test("[CUT6] [case 27] one that was cut on the gateway's machine is watched the same way; the gateway's own 4403 is only a close", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const asked = restarts();
  const byGateway = await world.stream(connector, await world.allow(), false);
  byGateway.stream.close(CLOSE_CUT, "the gateway's own");
  await expect.poll(() => isClosing(world)).toBe(true);
  await goOn(world, MAX_FRAMES_AFTER_CUT + 1, "still here");
  expect(asked()).toBe(0);
  await answer(world, byGateway.ws);
  const onHost = await world.stream(connector, await world.allow(), false);
  onHost.stream.reset(CLOSE_CUT, "device cut");
  await expect.poll(() => isClosing(world)).toBe(true);
  await goOn(world, MAX_FRAMES_AFTER_CUT, "still here");
  expect(asked()).toBe(0);
  await goOn(world, 1, "still here");
  expect(asked()).toBe(1);
  await answer(world, onHost.ws);
});

test("[CUT6] [case 27] a silent one is ended once nobody else streams, at the latest after ten minutes; one that answered is not waited for", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const asked = restarts();
  const [device, other, honest] = [await world.allow(), await world.allow(), await world.allow()];
  const answering = await world.stream(connector, honest);
  await cut(world, connector, honest);
  await answering.browser?.closed;
  vi.useFakeTimers({ now: Date.now() + CLOSE_ANSWER_MS + 1, toFake: ["Date"] });
  await world.alarm();
  expect(asked()).toBe(0);
  await world.stream(connector, device, false);
  const neighbour = await world.stream(connector, other);
  await cut(world, connector, device);
  await world.alarm();
  expect(asked()).toBe(0);
  vi.useFakeTimers({ now: Date.now() + CLOSE_ANSWER_MS + 1, toFake: ["Date"] });
  // A sign of life of the link at this time.
  await neighbour.stream.send("tick");
  await neighbour.browser?.messages.next();
  await world.alarm();
  expect(asked()).toBe(0);
  neighbour.browser?.ws.close(1000);
  await neighbour.stream.endings.next();
  await world.alarm();
  expect(asked()).toBe(1);
  const later = await world.stream(connector, other);
  await world.alarm();
  expect(asked()).toBe(1);
  vi.useFakeTimers({ now: Date.now() + ABORT_PAUSE_MS, toFake: ["Date"] });
  await later.stream.send("tick");
  await later.browser?.messages.next();
  await world.alarm();
  expect(later.browser?.ws.readyState).toBe(WebSocket.OPEN);
  expect(asked()).toBe(2);
});

test("[CUT6] the restart is made once in ten minutes, also by the instance after it", async () => {
  const world = await CutWorld.create();
  const connector = await world.connect();
  const device = await world.allow();
  await world.stream(connector, device, false);
  await cut(world, connector, device);
  const aborted: string[] = [];
  await world.inRoom(async (_storage, state) => {
    const ctx = new Proxy(state, {
      get: (target, name) => {
        if (name === "abort") return (why: string) => aborted.push(why);
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
    const clock = { nowMs: Date.now() };
    const stragglers = new Stragglers(ctx, () => clock.nowMs);
    stragglers.restart();
    stragglers.restart();
    clock.nowMs += ABORT_PAUSE_MS - 1;
    stragglers.restart();
    await state.storage.sync();
    expect(aborted).toHaveLength(1);
    clock.nowMs += 1;
    new Stragglers(ctx, () => clock.nowMs).restart();
    await state.storage.sync();
  });
  await expect.poll(() => aborted.length).toBe(2);
});
